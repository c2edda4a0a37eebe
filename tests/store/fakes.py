"""A backbone that counts its forward passes, and what it takes to see that a replay is what was captured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.backbone import Backbone, BackboneInfo
from napari_what_where.activations.types import TokenActivations
from napari_what_where.image import check_image
from napari_what_where.progress import Progress, ignore_progress

INFO = BackboneInfo("fake", "test", "counts its forward passes", ("what", "where"), 0, "none")
LAYER_BYTES = 3 * 2 * 12 * 5 * 4


class Fake(Backbone):
    """Hands over ``layers``, or some that follow from image, scale and plane."""

    info = INFO

    def __init__(self, layers: Sequence[TokenActivations] | None = None, *, keep: bool = True, **options: Any) -> None:
        self.layers, self.options, self.keep = layers, options, keep
        self.visits = 0

    def describe(self) -> dict[str, Any]:
        return {"name": self.info.name, **self.options}

    @property
    def keepable(self) -> bool:
        return self.keep

    def visit(self, image, receive, *, scale=None, report=ignore_progress):
        self._forward(check_image(image).sum() + (0 if scale is None else scale.high.sum()), receive, report)

    def visit_plane(self, image, plane, receive, *, scale=None, report=ignore_progress):
        self._forward(check_image(image).sum() + sum(plane.shape), receive, report)

    def _forward(self, seed: float, receive: Callable[[TokenActivations], None], report: Any) -> None:
        self.visits += 1
        for number, layer in enumerate(made_up(int(seed)) if self.layers is None else self.layers):
            report(Progress("activations", number, 4))
            receive(layer)
        report(Progress("activations", 4, 4))


def made_up(seed: int = 0, *, count: int = 4) -> list[TokenActivations]:
    """Network layers of ``LAYER_BYTES`` each, on grids of 3 × 4."""
    source = torch.Generator().manual_seed(seed)
    draws = torch.randn(count, 3, 2, 12, 5, generator=source)
    return [TokenActivations(f"block {number}", (3, 4), *each) for number, each in enumerate(draws)]


def bits(layers: Sequence[TokenActivations]) -> list[Any]:
    """All that tells one capture from another, to the last bit."""
    return [
        (layer.name, layer.grid, layer.obstacle, *(_bits(getattr(layer, role)) for role in ("query", "key", "value")))
        for layer in layers
    ]


def _bits(tensor: torch.Tensor | None) -> Any:
    if tensor is None:
        return None
    return tensor.dtype, tuple(tensor.shape), tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()


class Slow(Fake):
    """Says in a file how many layers it has handed over, and waits after each."""

    def __init__(self, told: Path, pause: float) -> None:
        super().__init__(made_up(count=60))
        self.told, self.pause = told, pause

    def _forward(self, seed, receive, report):
        def slowly(layer: TokenActivations) -> None:
            receive(layer)
            self.told.write_text(layer.name)
            time.sleep(self.pause)

        super()._forward(seed, slowly, report)
