"""The model that comes with the package: our own small diffusion model, and beside it the image filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.catalogue import BUILT_IN_TIMESTEP
from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.activations.networks.network import STAGE
from napari_what_where.activations.networks.unconditional import UnconditionalUNet
from napari_what_where.activations.types import TokenActivations
from napari_what_where.image import PerceptualScale, check_image
from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.working_plane.object_scale import WorkingPlane

FILTERS_WEIGHT = 1.0
"""Of each of the filters' layers, beside 1 for each of the network's."""
FILTERS_STEPS = 10
"""Of progress, beside one for each block of the network."""


class BuiltIn(UnconditionalUNet):
    """A ``UNet2DModel`` trained on procedural images (``training/``), with the filters' layers in the same operator.

    The filters see finer than the network's tokens of 8 pixels. They have values only, which stand in for queries and
    keys in the *where* pathway.

    Options beside those of :class:`~napari_what_where.activations.networks.diffusion.DiffusionBackbone`:

    ``filters``
        Whether the filters' layers join the network's; by default they do.
    ``timesteps``
        By default ``BUILT_IN_TIMESTEP``.
    """

    def __init__(
        self,
        info: BackboneInfo,
        folder: Path,
        class_name: str,
        *,
        filters: bool = True,
        timesteps: int | Sequence[int] | None = None,
        **options: Any,
    ) -> None:
        if not isinstance(filters, bool):
            raise TypeError(f"filters is {filters!r}; expected True or False.")
        super().__init__(
            info, folder, class_name, timesteps=BUILT_IN_TIMESTEP if timesteps is None else timesteps, **options
        )
        self.filters = FiltersBackbone() if filters else None

    def load(self) -> torch.nn.Module:
        return repeat_borders(super().load())

    @property
    def keepable(self) -> bool:
        """No: it takes no longer to run than to read."""
        return False

    def options(self) -> dict[str, Any]:
        return {**super().options(), "filters": self.filters is not None}

    def describe_view(self, plane: WorkingPlane | None) -> dict[str, Any]:
        seen = super().describe_view(plane)
        return seen if self.filters is None or plane is None else {**seen, **asdict(plane)}

    def visit(
        self,
        image: Any,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        self._network_then_filters(image, None, receive, scale, report)

    def visit_plane(
        self,
        image: Any,
        plane: WorkingPlane,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        self._network_then_filters(image, plane, receive, scale, report)

    def _network_then_filters(
        self,
        image: Any,
        plane: WorkingPlane | None,
        receive: Callable[[TokenActivations], None],
        scale: PerceptualScale | None,
        report: Report,
    ) -> None:
        checked = check_image(image)
        scale = scale or PerceptualScale.fit([checked])
        parts = _TwoParts(report, FILTERS_STEPS if self.filters else 0)
        resolution = self.resolution if plane is None else self._resolution_of(plane)
        self._visit(checked, resolution, receive, scale, parts.network)
        if self.filters is not None:
            self.filters.view(checked, _standing_in(receive), scale=scale, plane=plane, report=parts.filters)


def repeat_borders(network: torch.nn.Module) -> torch.nn.Module:
    """Let convolutions see the outermost pixels repeated around the picture, in place; returns the network.

    Of zeros around it a network learns where the border is (Islam, Jia & Bruce, ICLR 2020), and then its eigenvectors
    show a frame. Reflection would do as well, but not for maps of a single pixel.
    """
    for each in network.modules():
        if isinstance(each, torch.nn.Conv2d) and each.padding != (0, 0):
            each.padding_mode = "replicate"
    return network


def _standing_in(receive: Callable[[TokenActivations], None]) -> Callable[[TokenActivations], None]:
    def take(layer: TokenActivations) -> None:
        receive(replace(layer, name=f"filters {layer.name}", weight=FILTERS_WEIGHT, stands_in=True))

    return take


class _TwoParts:
    """Progress of one stage whose steps the network does first, and the filters the rest."""

    def __init__(self, report: Report, steps: int) -> None:
        self._report, self._steps, self._before = report, steps, 0

    def network(self, progress: Progress) -> None:
        if progress.stage == STAGE:
            self._before = progress.total
            progress = progress._replace(total=progress.total + self._steps)
        self._report(progress)

    def filters(self, progress: Progress) -> None:
        done = self._steps * progress.done // max(1, progress.total)
        self._report(Progress(STAGE, self._before + done, self._before + self._steps))
