"""What all neural networks have in common as backbones: a picture in, the activations of each attention layer out."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from numbers import Real
from typing import Any, Literal, NamedTuple

import torch

from napari_what_where.activations.backbone import Backbone, BackboneInfo
from napari_what_where.activations.capture import AttentionCall, capture_attention
from napari_what_where.activations.networks.pictures import picture_shape, picture_tensor
from napari_what_where.activations.networks.placement import place
from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.image import PerceptualScale
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress
from napari_what_where.working_plane.object_scale import OBJECT_SPAN, WorkingPlane

STAGE = "activations"
OBJECT_TOKENS = 3
"""Tokens that the smallest object of interest is to span, where an object size was asked for."""
MOST_ENLARGED = 2
"""Times the model's own resolution, at most."""


class Pass(NamedTuple):
    """One forward pass: what tells it from others of the same image, and what runs it."""

    label: str
    run: Callable[[], Any]


class _Enough(Exception):
    """Ends a forward pass whose last wanted network layer has been seen."""


class NetworkBackbone(Backbone):
    """A torch module as a backbone: its self-attention layers, in the order in which they run.

    A family's adapter sets what follows, and implements :meth:`load` and :meth:`run`, or :meth:`passes`.

    Attributes
    ----------
    attention
        Regular expression of the full names of the modules whose attention products are wanted, those of
        self-attention; as ``module.named_modules()`` has them.
    step
        Sides of the picture are multiples of so many pixels.
    token
        Pixels of the picture across one of the finest tokens.
    patch
        Cells across a token in the nearest enclosing module whose input has rows and columns: the patch size of
        transformers on pixels or latents, 1 where attention works on feature maps.
    image_tokens
        Where the image's tokens stand, beside class, register or text tokens, in queries, keys and values.
    ends_early
        Whether a pass is ended after the last network layer, for models that cannot finish on other than square
        images. Requires that modules run in the order of their names.
    half
        Half-precision type for GPUs.
    longest
        Longest side of a picture that the network takes; a longer one is squeezed, aspect and all. None: any.

    Parameters
    ----------
    info : BackboneInfo
    resolution : int
        The picture has about resolution² pixels, at the image's own aspect.
    layers : sequence of str, optional
        Network layers to use: names, or patterns with ``*``, such as "up_blocks.*". By default all.
    precision : "auto", "full" or "half"
        Of weights and activations; "auto" takes half on GPUs.
    """

    attention: str = ".*"
    step: int = 16
    token: int = 16
    patch: int = 1
    image_tokens: Literal["first", "last"] = "last"
    ends_early: bool = False
    half: torch.dtype = torch.float16
    longest: int | None = None

    def __init__(
        self,
        info: BackboneInfo,
        *,
        resolution: int = 512,
        layers: Sequence[str] | None = None,
        precision: Literal["auto", "full", "half"] = "auto",
    ) -> None:
        given: Any = resolution
        if not isinstance(given, Real) or not float(given).is_integer() or float(given) < 1:
            raise ValueError(f"resolution is {resolution!r}; expected a whole number of pixels, such as 512.")
        if precision not in ("auto", "full", "half"):
            raise ValueError(f"precision is {precision!r}; expected 'auto', 'full' or 'half'.")
        self.info = info
        self.resolution = int(resolution)
        self.layers = None if layers is None else tuple([layers] if isinstance(layers, str) else layers)
        self.precision = precision
        self.device = torch.device("cpu")
        self._module: torch.nn.Module | None = None
        self._placed: tuple[torch.device, torch.dtype] | None = None
        self._loaded_as = torch.float32

    # What a family's adapter says

    def load(self) -> torch.nn.Module:
        """The module that attends to the image, with its weights, on the CPU; called once."""
        raise NotImplementedError

    def prepare(self, picture: torch.Tensor) -> Any:
        """What all passes share; by default the picture, on the device and in the type that is in use.

        ``picture``: (1, 3, rows, columns) float32 on the CPU, red, green and blue in [0, 1]. What takes long calls
        :func:`~napari_what_where.progress.checkpoint` every so often, so that it can be cancelled.
        """
        return picture.to(self.device, self.dtype)

    def run(self, prepared: Any) -> Any:
        """One forward pass on what :meth:`prepare` made of the picture."""
        raise NotImplementedError

    def passes(self, prepared: Any) -> Iterable[Pass]:
        """The forward passes over a picture; by default one, :meth:`run`. Each is run before the next is asked for."""
        yield Pass("", lambda: self.run(prepared))

    @property
    def pass_count(self) -> int:
        """How many passes there will be."""
        return 1

    def token_grid(self, call: AttentionCall, picture: torch.Tensor) -> Grid:
        """Token grid of an attention product."""
        if call.plane is None:
            raise ValueError(
                f"{self.info.name}: no module around {call.name} takes an input with rows and columns, so its token "
                "grid is unknown. Override token_grid in the adapter."
            )
        return call.plane[0] // self.patch, call.plane[1] // self.patch

    # What follows from it

    @property
    def module(self) -> torch.nn.Module:
        """The module, loaded at first use, and again where more precision is asked for than it was loaded with."""
        if self._loaded_as not in (torch.float32, self.dtype):
            self._module = None
        if self._module is None:
            self._module = self.load().eval().requires_grad_(False)
            self._placed, self._loaded_as = None, self.dtype
        return self._module

    @property
    def dtype(self) -> torch.dtype:
        """Of weights and activations, on the device that is in use."""
        half = self.precision == "half" or (self.precision == "auto" and self.device.type == "cuda")
        return self.half if half else torch.float32

    @property
    def network_layers(self) -> tuple[str, ...]:
        """Names of the modules whose attention is used, in the model's order.

        Raises ``ValueError`` where none is what ``layers`` asks for.
        """
        known = [name for name, _ in self.module.named_modules() if re.fullmatch(self.attention, name)]
        if self.layers is None:
            return tuple(known)
        chosen = tuple(name for name in known if any(fnmatchcase(name, pattern) for pattern in self.layers))
        if not chosen:
            some = ", ".join(known[:4]) + (", …" if len(known) > 4 else "")
            raise ValueError(f"layers is {self.layers!r}, of which {self.info.name} has none; it has {some}")
        return chosen

    def use(self, device: torch.device) -> None:
        self.device = device

    def options(self) -> dict[str, Any]:
        """Options as they decide the activations, ready for JSON; adapters add theirs."""
        return {
            "resolution": self.resolution,
            "layers": None if self.layers is None else list(self.layers),
            "precision": str(self.dtype).removeprefix("torch."),
        }

    def describe(self) -> dict[str, Any]:
        return {"name": self.info.name, "options": self.options()}

    def visit(
        self,
        image: Any,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        self._visit(image, self.resolution, receive, scale, report)

    def visit_plane(
        self,
        image: Any,
        plane: WorkingPlane,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        """One view of the whole image, larger the smaller the objects are, up to ``MOST_ENLARGED`` times as large."""
        self._visit(image, self._resolution_of(plane), receive, scale, report)

    def describe_view(self, plane: WorkingPlane | None) -> dict[str, Any]:
        """The resolution alone: the picture is the whole image, however fine the plane."""
        return {"resolution": self.resolution if plane is None else self._resolution_of(plane)}

    def _resolution_of(self, plane: WorkingPlane) -> int:
        wanted = (plane.shape[0] * plane.shape[1]) ** 0.5 * OBJECT_TOKENS * self.token / OBJECT_SPAN
        return min(MOST_ENLARGED * self.resolution, max(self.resolution, round(wanted)))

    def _visit(
        self,
        image: Any,
        resolution: int,
        receive: Callable[[TokenActivations], None],
        scale: PerceptualScale | None,
        report: Report,
    ) -> None:
        picture = picture_tensor(
            image, scale, lambda shape: picture_shape(shape, resolution, self.step, self.longest), report
        )
        if self._module is None:
            loading = Progress(f"loading {self.info.name}", 0, 0)
            report(loading)
            with checkpoints(report, loading):
                self._module = self.module
        names = frozenset(self.network_layers)
        watch = _Watch(self, report)
        with torch.no_grad():
            with checkpoints(report, watch.start):
                prepared = self.prepare(picture)
            self._place()
            for one in self.passes(prepared):
                counts: dict[str, int] = {}

                def take(call: AttentionCall, label: str = one.label, counts: dict[str, int] = counts) -> None:
                    counts[call.name] = counts.get(call.name, 0) + 1
                    receive(self._activations(call, picture, label, counts[call.name]))
                    if self.ends_early and len(counts) == len(names):
                        raise _Enough

                seen = capture_attention(self.module, take, wanted=names.__contains__, on_enter=watch.enter)
                with suppress(_Enough), seen:
                    one.run()
                if not counts:
                    raise ValueError(
                        f"{self.info.name} has no attention product that can be seen in {len(names)} modules: expected "
                        "torch's scaled_dot_product_attention or torch.nn.MultiheadAttention in at least one of them. "
                        "Products written out by hand and compiled modules cannot be seen."
                    )
        watch.finish()

    def _place(self) -> None:
        wanted = (self.device, self.dtype)
        if self._placed != wanted:
            self._module, self._placed, self._loaded_as = place(self.module, *wanted), wanted, self.dtype

    def _activations(self, call: AttentionCall, picture: torch.Tensor, label: str, number: int) -> TokenActivations:
        """Those of the image's tokens, of the only image in the batch."""
        grid = self.token_grid(call, picture)
        tokens = grid[0] * grid[1]
        seen = call.query.shape[2]
        if min(seen, call.key.shape[2]) < tokens:
            raise ValueError(
                f"{call.name} has {seen} queries and {call.key.shape[2]} keys; expected at least {tokens}, one a token "
                f"of its {grid[0]} × {grid[1]} grid."
            )
        name = " ".join([call.name, *([f"#{number}"] if number > 1 else []), *([label] if label else [])])
        first = self.image_tokens == "first"
        query, key, value = (
            (each[0, :, :tokens] if first else each[0, :, each.shape[2] - tokens :]).contiguous()
            for each in (call.query, call.key, call.value)
        )
        if call.obstacle:
            return TokenActivations(name, grid, value=value, obstacle=call.obstacle)
        return TokenActivations(name, grid, query, key, value)


class _Watch:
    """Reports progress from inside forward passes: one step for each block that is entered."""

    def __init__(self, backbone: NetworkBackbone, report: Report) -> None:
        names = [name for name, _ in backbone.module.named_modules() if name]
        numbered = [name for name in names if name.rpartition(".")[2].isdecimal()]
        self._steps = frozenset(numbered or names)
        self._total = max(1, len(self._steps) * backbone.pass_count)
        self._done, self._report = 0, report
        self.start = Progress(STAGE, 0, self._total)
        report(self.start)

    def enter(self, name: str) -> None:
        if name in self._steps:
            self._done = min(self._done + 1, self._total)
            self._report(Progress(STAGE, self._done, self._total))

    def finish(self) -> None:
        self._report(Progress(STAGE, self._total, self._total))
