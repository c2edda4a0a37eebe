"""How long a run will take and how much memory it will need; what to do when that is more than there is."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from napari_what_where.activations.registry import model_row
from napari_what_where.estimates.costs import (
    Job,
    device_bytes,
    kept_bytes,
    label_bytes,
    peak_bytes,
    seconds_of,
    seconds_of_objects,
)
from napari_what_where.estimates.networks import look_of
from napari_what_where.estimates.speed import known_speed, learn_speed
from napari_what_where.memory import MemoryProblem, OutOfMemory, free_memory, readable_bytes
from napari_what_where.working_plane.object_scale import OBJECT_SPAN, WORKING_SIZE, plan_plane

LEAST_PART = 64
"""Side in pixels of the smallest part of an image that is proposed."""
_WANTED_FREE = 0.05
"""Share of the free memory that is left to everything else."""
_WORTHWHILE = 0.85
"""Settings count as smaller if they need at most this share of the memory."""


@dataclass(frozen=True)
class Estimate:
    """What a run will take, about.

    Attributes
    ----------
    seconds : of wall time, at the speed of this machine as far as it is known
    bytes : most memory at one time beyond what the process and the image have already
    device_bytes : likewise on the GPU; 0 without one
    planes : how many will be analysed
    working : (rows, columns) of the plane that is worked on
    tiles : in how many tiles each plane is worked on
    asked : the arguments of :func:`estimate_run`
    speed : by how much this machine is slower than the one that the figures were taken on
    """

    seconds: float
    bytes: int
    device_bytes: int
    planes: int
    working: tuple[int, int]
    tiles: int
    asked: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    speed: float = field(default=1.0, compare=False)

    def scaled(self, factor: float) -> Estimate:
        """The same run on a machine that takes ``factor`` times as long."""
        return replace(self, seconds=self.seconds * factor, speed=self.speed * factor)

    def text(self) -> str:
        """For people: "about 3 s, 0.6 GiB"."""
        card = f", {readable_bytes(self.device_bytes)} on the graphics card" if self.device_bytes else ""
        return f"{readable_seconds(self.seconds)}, {readable_bytes(self.bytes)}{card}"


class NotEnoughMemory(MemoryProblem):
    """A run that would not fit. ``fits``: changes of its settings, each of which would make it fit by itself.

    A change is {"smallest_object": pixels}, {"part": (rows, columns)} or {"planes": number}; the least first.
    """

    def __init__(self, message: str, fits: tuple[dict[str, Any], ...] = ()) -> None:
        super().__init__(message)
        self.fits = fits

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.fits)


def estimate_run(
    shape: tuple[int, ...],
    dtype: Any,
    *,
    channels: int = 1,
    backbone: str = "filters",
    backbone_options: Mapping[str, Any] | None = None,
    pathway: str = "what",
    count: int = 16,
    device: str = "auto",
    smallest_object: float | None = None,
    follow_edges: bool = True,
    planes: int = 1,
    objects: bool = False,
) -> Estimate:
    """What analysing an image, and its labels, will take; instant.

    Parameters
    ----------
    shape : (rows, columns)
    dtype : of the pixels
    channels : 1 for grey
    planes : how many images of that shape are analysed, one after the other, and kept
    objects : whether objects are found, too
    backbone, backbone_options, pathway, count, device, smallest_object, follow_edges :
        As for :func:`~napari_what_where.analyze`. "auto" counts as a GPU only once torch is there to ask.

    Raises ``TypeError`` or ``ValueError`` for a smallest object that is none. The figures behind it were measured with
    the filters backbone, see ``benchmarks/estimates.py``; those of pretrained models are counted, see
    :mod:`~napari_what_where.estimates.networks`, and corrected by the runs of this machine. A model that is not in the
    catalogue is taken for ``filters``.
    """
    asked = {name: value for name, value in locals().items() if name != "shape"}
    rows, columns = int(shape[0]), int(shape[1])
    plane = plan_plane((rows, columns), smallest_object)
    job = Job((rows, columns), np.dtype(dtype), channels, count, follow_edges, plane)
    look = look_of(backbone, backbone_options or {}, (rows, columns), plane, pathway)
    on_gpu = _is_gpu(device)
    seconds = planes * (seconds_of(job, look) + (seconds_of_objects(job) if objects else 0.0))
    most = peak_bytes(job, look) + (planes - 1) * (kept_bytes(job) + label_bytes(job))
    card = device_bytes(job, look) if on_gpu else 0
    speed = known_speed(_kind(on_gpu, look is not None))
    base = Estimate(seconds, int(most), card, planes, plane.shape, len(plane.tiles), {"shape": (rows, columns)} | asked)
    return base.scaled(speed)


def remember_speed(estimate: Estimate, seconds: float) -> None:
    """Note how long an estimated run took, so that the next on this machine is estimated from it."""
    network = model_row(str(estimate.asked.get("backbone"))) is not None
    learn_speed(_kind(bool(estimate.device_bytes), network), estimate.seconds / estimate.speed, seconds)


def _kind(on_gpu: bool, network: bool) -> str:
    """What speeds are known by: filters and networks are limited by different things."""
    return ("gpu" if on_gpu else "cpu") + (" network" if network else "")


def check_fits(estimate: Estimate, *, available: int | None = None) -> None:
    """Raise :class:`NotEnoughMemory` if a run cannot fit, saying what is needed, what is free and what would fit.

    ``available``: bytes of memory to go by; by default what is free now, see
    :func:`~napari_what_where.memory.free_memory`, and on the GPU for what is needed there.
    """
    free = free_memory() if available is None else available
    if estimate.bytes > free:
        _refuse(estimate, free, "free", lambda other: other.bytes <= (1 - _WANTED_FREE) * free)
    if estimate.device_bytes and available is None:
        device = str(estimate.asked.get("device", "cuda"))
        on_card = free_memory(device if device.startswith("cuda") else "cuda")
        if estimate.device_bytes > on_card:
            _refuse(
                replace(estimate, bytes=estimate.device_bytes),
                on_card,
                "free on the graphics card",
                lambda other: other.device_bytes <= (1 - _WANTED_FREE) * on_card,
            )


def smaller_settings(
    settings: Mapping[str, Any], shape: tuple[int, ...], problem: OutOfMemory | None = None
) -> dict[str, Any] | None:
    """The next smaller settings to offer after a run did not fit; None when there is nothing smaller.

    ``settings``: keywords of ``analyze``; ``shape``: (rows, columns, …) of the image; ``problem``: what the run
    raised. After a GPU ran out the same run on the CPU, else objects twice as large as those that were worked at.
    """
    device = problem.device if problem is not None else str(settings.get("device", "auto"))
    if device.startswith(("cuda", "mps")) and settings.get("device") != "cpu":
        return {**settings, "device": "cpu"}
    size, area = settings.get("smallest_object"), (int(shape[0]), int(shape[1]))
    options = {"count": settings.get("count", 16), "follow_edges": settings.get("follow_edges", True)}
    now = estimate_run(area, np.uint8, smallest_object=size, **options).bytes
    while size is not None and size < max(area):
        size = _doubled(size, area)
        if estimate_run(area, np.uint8, smallest_object=size, **options).bytes < _WORTHWHILE * now:
            return {**settings, "smallest_object": size}
    return None


def readable_seconds(seconds: float) -> str:
    """About so long, as a person would say it: "about 3 s", "about 4 min", "about 2.5 hours"."""
    if seconds < 1:
        return "under a second"
    if seconds < 9.5:
        return f"about {round(seconds)} s"
    if seconds < 57.5:
        return f"about {5 * round(seconds / 5)} s"
    if seconds < 9.5 * 60:
        return f"about {max(1, round(seconds / 60))} min"
    if seconds < 57.5 * 60:
        return f"about {5 * round(seconds / 300)} min"
    halves = max(2, round(seconds / 1800))
    return f"about {halves / 2:g} hour{'' if halves == 2 else 's'}"


def _is_gpu(device: str) -> bool:
    """Whether a run will be on a GPU; torch is asked only if it has been imported for another reason."""
    if str(device) != "auto":
        return str(device).startswith(("cuda", "mps"))
    torch = sys.modules.get("torch")
    # Another thread may be importing it right now.
    if torch is None or getattr(torch.__spec__, "_initializing", False):
        return False
    return bool(torch.cuda.is_available())


# ----------------------------------------------------------------------------------------------------- what would fit


def _refuse(estimate: Estimate, free: int, where: str, fits: Callable[[Estimate], bool]) -> None:
    changes = _what_fits(estimate, fits)
    said = {
        "smallest_object": lambda size: f"a smallest object of {size:g} pixels",
        "part": lambda part: f"a part of {part[0]:,} × {part[1]:,} pixels",
        "planes": lambda planes: f"{planes:,} plane{'' if planes == 1 else 's'}",
    }
    words = [said[name](value) for change in changes for name, value in change.items()]
    network = model_row(str(estimate.asked.get("backbone"))) is not None
    otherwise = "choose a smaller model or a lower resolution" if network else "close other programs first"
    remedy = f"{' or '.join(words)} would fit." if words else f"{otherwise}."
    raise NotEnoughMemory(
        f"This run needs about {readable_bytes(estimate.bytes)} of memory and {readable_bytes(free)} are {where}; "
        f"{remedy}",
        tuple(changes),
    )


def _what_fits(estimate: Estimate, fits: Callable[[Estimate], bool]) -> list[dict[str, Any]]:
    """Each change of the settings that by itself makes the run fit, by searching its estimate."""
    asked = dict(estimate.asked)
    if not asked:
        return []
    return [
        change
        for change in (_larger_objects(asked, fits), _fewer_planes(asked, fits), _smaller_part(asked, fits))
        if change is not None
    ]


def _larger_objects(asked: dict[str, Any], fits: Callable[[Estimate], bool]) -> dict[str, Any] | None:
    size, longest = asked["smallest_object"], max(asked["shape"])
    while size is not None and size < longest:
        size = _doubled(size, asked["shape"])
        if fits(estimate_run(**asked | {"smallest_object": size})):
            return {"smallest_object": size}
    return None


def _fewer_planes(asked: dict[str, Any], fits: Callable[[Estimate], bool]) -> dict[str, Any] | None:
    most = _largest(asked["planes"] - 1, lambda planes: fits(estimate_run(**asked | {"planes": planes})))
    return {"planes": most} if most else None


def _smaller_part(asked: dict[str, Any], fits: Callable[[Estimate], bool]) -> dict[str, Any] | None:
    """The largest part of the image's own aspect, in hundredths of its sides."""
    rows, columns = asked["shape"]

    def part(hundredths: int) -> tuple[int, int]:
        return rows * hundredths // 100, columns * hundredths // 100

    most = _largest(99, lambda share: min(part(share)) >= 2 and fits(estimate_run(**asked | {"shape": part(share)})))
    return {"part": part(most)} if most and max(part(most)) >= LEAST_PART else None


def _largest(most: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to ``most`` that fits, 0 if none, where all below one that fits do."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _doubled(size: float, shape: tuple[int, int]) -> float:
    """Twice the smallest object that was worked at: that of the finest detail that the image has, or larger."""
    return float(round(2 * max(size, OBJECT_SPAN * min(1.0, max(shape) / WORKING_SIZE))))
