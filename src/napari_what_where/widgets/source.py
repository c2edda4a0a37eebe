"""From napari Image layers and what the viewer shows of them, to planes to analyse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.image import composite_alpha, data_channels
from napari_what_where.working_plane.object_scale import plan_plane

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.utils.transforms import Affine

    from napari_what_where.files.outlines import Polygon
    from napari_what_where.widgets.parts import Part


FULL_SIZE = 2**25
"""Planes of more pixels are shown at the resolution that was worked at: what is finer would be repeated pixels, and
every step of the slider would wait for them."""


@dataclass(frozen=True, eq=False)
class Source:
    """Planes of one Image layer, or of several as channels, as they were when Run was pressed.

    Attributes
    ----------
    arrays : one array a layer, all of one shape; a trailing axis of colours if ``rgb``.
    index : for each axis of the layer a number if it stands still, else a slice.
    axes : the two axes that are rows and columns, in the order of the data.
    channel_axis : an axis that holds channels, if one does.
    plane_axis : the axis whose every plane is analysed; None: the one plane of ``index``.
    linked : whether numbers are carried from plane to plane.
    outline : (rows, columns) bool of the part that counts, where that is no rectangle.
    polygons : what the outline was drawn from, in pixels of the whole plane.
    to_world, affine, units, axis_labels : the layer's own, for the layers that result.
    level, factor : of a multiscale layer the level that is read, and how many pixels of the finest one, along rows, are
        one of its own. A source of a coarser level is a smaller image with larger pixels, in all that follows.
    """

    name: str
    layer_ids: tuple[Any, ...]
    arrays: tuple[Any, ...]
    rgb: bool
    multiscale: bool
    index: tuple[int | slice, ...]
    axes: tuple[int, int]
    channel_axis: int | None
    plane_axis: int | None
    linked: bool
    outline: np.ndarray | None
    polygons: tuple[Polygon, ...]
    to_world: Affine
    affine: np.ndarray
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]
    paths: tuple[str | None, ...]
    level: int = 0
    factor: float = 1.0

    @property
    def ndim(self) -> int:
        """Number of axes of the layer, without colours."""
        return len(self.index)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of a plane."""
        rows, columns = (_length(self.index[axis], self.arrays[0].shape[axis]) for axis in self.axes)
        return rows, columns

    @property
    def plane_count(self) -> int:
        """How many planes are analysed."""
        return 1 if self.plane_axis is None else int(self.arrays[0].shape[self.plane_axis])

    @property
    def channels(self) -> int:
        """How many channels, or colours, a pixel has."""
        data = self.arrays[0]
        each = data.shape[-1] if self.rgb else 1 if self.channel_axis is None else data.shape[self.channel_axis]
        return int(each) * len(self.arrays)

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two runs runs on the same pixels, in the same place."""
        steps = tuple((step.start, step.stop) if isinstance(step, slice) else step for step in self.index)
        place = (self.to_world.affine_matrix.tobytes(), np.asarray(self.affine).tobytes(), self.units, self.axis_labels)
        outline = None if self.outline is None else self.outline.tobytes()
        use = (self.axes, self.channel_axis, self.plane_axis, self.linked, outline, self.level)
        return (self.layer_ids, tuple(self.arrays[0].shape), steps, use, *place)

    @property
    def plane_name(self) -> str:
        """The layer's name, with what of it was analysed: "cells [t 3]", "cells [every t, 10:90, 20:80]"."""
        places = []
        for axis, (label, step) in enumerate(zip(self.axis_labels, self.index, strict=True)):
            # napari calls axes that nobody has named -1, -2, …
            known = "" if label.lstrip("-").isdigit() else f"{label} "
            if axis == self.plane_axis:
                places.append(f"every {known or 'plane'}".strip())
            elif not isinstance(step, slice):
                places.append(f"{known}{step}")
            elif axis in self.axes and step != slice(None):
                places.append(f"{step.start}:{step.stop}")
        return f"{self.name} [{', '.join(places)}]" if places else self.name

    def pixels(self, number: int = 0) -> np.ndarray:
        """One plane, (rows, columns[, channels]); reads it, so call it off the GUI thread.

        ``number``: which, along the plane axis.
        """
        index = list(self.index)
        if self.plane_axis is not None:
            index[self.plane_axis] = number
        planes = [self._channels_last(np.asarray(array[tuple(index)])) for array in self.arrays]
        plane = planes[0] if len(planes) == 1 else np.stack(planes, axis=-1)
        if self.holds_channels:
            return data_channels(plane)
        return composite_alpha(plane) if self.has_wide_alpha else plane

    @property
    def planes(self) -> Sequence[np.ndarray]:
        """All planes, each read when it is asked for."""
        return _Planes(self)

    @property
    def channel_position(self) -> int | None:
        """Which axis of what ``index`` gives holds the channels."""
        if self.channel_axis is None:
            return None
        return sorted((*self.axes, self.channel_axis)).index(self.channel_axis)

    @property
    def holds_channels(self) -> bool:
        """Whether pixels hold channels of data, not colours, whatever their type."""
        return self.channel_axis is not None or len(self.arrays) > 1

    @property
    def has_wide_alpha(self) -> bool:
        """Whether napari shows a fourth channel as alpha that a bare array would not be known to have."""
        return self.rgb and self.arrays[0].shape[-1] == 4 and self.arrays[0].dtype != np.uint8

    @property
    def path(self) -> str | None:
        """The file that the pixels came from, if it is one."""
        return self.paths[0] if len(self.paths) == 1 else None

    def extent(self) -> tuple[np.ndarray, np.ndarray]:
        """For each axis of the layer its first pixel and how many pixels the planes reach over."""
        first = [0 if axis in self.inner_axes else _first(step) for axis, step in enumerate(self.index)]
        sizes = [_length(step, self.arrays[0].shape[axis]) for axis, step in enumerate(self.index)]
        return np.array(first, float), np.array(sizes, float)

    @property
    def inner_axes(self) -> tuple[int, ...]:
        """Axes that are taken whole: that of the channels and that of the planes."""
        return tuple(axis for axis in (self.channel_axis, self.plane_axis) if axis is not None)

    def pixel_size(self) -> tuple[float, float]:
        """Extent of a pixel along the plane's rows and columns, in world units."""
        scale = np.abs(self.to_world.scale)
        return float(scale[self.axes[0]]), float(scale[self.axes[1]])

    def plane_spacing(self) -> float:
        """Distance of planes along the plane axis, in world units."""
        return 1.0 if self.plane_axis is None else float(abs(self.to_world.scale[self.plane_axis]))

    def unit_name(self, axis: int | None = None) -> str | None:
        """Name of the unit along an axis, by default the plane's rows; None for pixels."""
        unit = str(self.units[self.axes[0] if axis is None else axis])
        return None if unit in ("pixel", "dimensionless") else unit

    def _channels_last(self, plane: np.ndarray) -> np.ndarray:
        position = self.channel_position
        return plane if position is None else np.moveaxis(plane, position, -1)


class _Planes(Sequence[np.ndarray]):
    def __init__(self, source: Source) -> None:
        self._source = source

    def __len__(self) -> int:
        return self._source.plane_count

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._source.pixels(number)


@dataclass(frozen=True)
class Use:
    """What the axes of a layer are used for, and which part of its plane."""

    channel_axis: int | None = None
    plane_axis: int | None = None
    linked: bool = False
    part: Part | None = None
    """A part of the plane; None for all of it."""
    smallest_object: float | None = None
    """In pixels of the finest level: of a large pyramid no finer level is read than that needs."""


def source_of(viewer: Any, layers: Image | Sequence[Image], use: Use | None = None) -> Source:
    """The planes of one layer, or of several as channels, that ``viewer`` shows now.

    Raises ``ValueError``, in words, for fewer than two axes, and for layers that do not lie on each other.
    """
    several = tuple(layers) if isinstance(layers, Sequence) else (layers,)
    layer, use = several[0], use or Use()
    check_together(several)
    if layer.ndim < 2:
        raise ValueError(f"Layer {layer.name!r} has {layer.ndim} axis; expected an image of at least rows and columns.")
    axes = shown_axes(viewer, layer.ndim, aside=use.channel_axis)
    level, factors = _level(layer, axes, use) if len(several) == 1 else (0, np.ones(layer.ndim))
    arrays = tuple(each.data[level] if each.multiscale else each.data for each in several)
    if use.plane_axis in axes:
        raise ValueError(
            f"Axis {use.plane_axis} of {layer.name!r} is on screen, as rows or columns; its planes cannot be run one "
            "by one. Choose “this one”, or show other axes."
        )
    shape = arrays[0].shape[: layer.ndim]
    place = layer.world_to_data(np.asarray(viewer.dims.point)[-layer.ndim :])
    place = np.rint((np.asarray(place) + 0.5) / factors - 0.5).astype(int)
    place = np.clip(place, 0, np.array(shape) - 1)
    window = (slice(None), slice(None)) if use.part is None else use.part.window
    index: list[int | slice] = [int(step) for step in place]
    for axis in (use.channel_axis, use.plane_axis):
        if axis is not None:
            index[axis] = slice(None)
    for axis, span in zip(axes, window, strict=True):
        index[axis] = span
    return Source(
        name=" + ".join(each.name for each in several),
        layer_ids=tuple(each.unique_id for each in several),
        arrays=arrays,
        rgb=bool(layer.rgb),
        multiscale=bool(layer.multiscale),
        index=tuple(index),
        axes=axes,
        channel_axis=use.channel_axis,
        plane_axis=use.plane_axis,
        linked=use.linked and use.plane_axis is not None,
        outline=None if use.part is None else use.part.outline,
        polygons=() if use.part is None else use.part.polygons,
        to_world=_to_world(layer, factors),
        affine=layer.affine.affine_matrix,
        units=tuple(layer.units),
        axis_labels=tuple(layer.axis_labels),
        paths=tuple(_path_of(each) for each in several),
        level=level,
        factor=float(factors[axes[0]]),
    )


def check_together(layers: Sequence[Image]) -> None:
    """Raise ``ValueError``, in words, unless the layers can be the channels of one image."""
    first = layers[0]
    for layer in layers[1:]:
        if layer.rgb or first.rgb:
            raise ValueError(f"Layer {(layer if layer.rgb else first).name!r} is in colour already; run it by itself.")
        shapes = [tuple((each.data[0] if each.multiscale else each.data).shape) for each in (first, layer)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"Layers {first.name!r} and {layer.name!r} have shapes {shapes[0]} and {shapes[1]}; channels of one "
                "image need one shape. Select others, or one alone."
            )
        corners = [each.data_to_world(size) for each in (first, layer) for size in ((0,) * first.ndim, shapes[0])]
        if not np.allclose(corners[:2], corners[2:]):
            raise ValueError(
                f"Layers {first.name!r} and {layer.name!r} do not lie on each other; channels of one image need the "
                "same scale and position. Align them first, or run one alone."
            )


def shown_axes(viewer: Any, ndim: int, *, aside: int | None = None) -> tuple[int, int]:
    """A layer's two axes on screen, in data order; in 3D, or where the layer lacks one of them, its last two.

    ``aside``: an axis that holds channels, and so is neither rows nor columns.
    """
    missing = viewer.dims.ndim - ndim
    shown = sorted(axis - missing for axis in viewer.dims.displayed)
    if len(shown) != 2 or shown[0] < 0 or aside in shown:
        last = [axis for axis in range(ndim) if axis != aside][-2:]
        return last[0], last[1]
    return shown[0], shown[1]


def _first(step: int | slice) -> int:
    return (step.start or 0) if isinstance(step, slice) else step


def _length(step: int | slice, size: int) -> int:
    return len(range(size)[step]) if isinstance(step, slice) else 1


def _level(layer: Image, axes: tuple[int, int], use: Use) -> tuple[int, np.ndarray]:
    """The level of a multiscale layer to read, and how many of the finest pixels are one of its own, along each axis.

    Of planes too large to be shown whole, the coarsest that has all the pixels that will be worked on; else the finest.
    """
    finest = np.ones(layer.ndim)
    if not layer.multiscale or use.part is not None:
        return 0, finest
    rows, columns = (int(layer.data[0].shape[axis]) for axis in axes)
    if rows * columns <= FULL_SIZE:
        return 0, finest
    working = plan_plane((rows, columns), use.smallest_object).shape
    for level in range(len(layer.data) - 1, 0, -1):
        shape = layer.data[level].shape
        if all(shape[axis] >= size for axis, size in zip(axes, working, strict=True)):
            return level, np.asarray(layer.data[0].shape[: layer.ndim]) / shape[: layer.ndim]
    return 0, finest


def _to_world(layer: Image, factors: np.ndarray) -> Affine:
    """The layer's own transform, for pixels ``factors`` times as large."""
    from napari.utils.transforms import Affine

    whole = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, translate=layer.translate)
    if (factors == 1).all():
        return whole
    corner = whole((factors - 1) / 2)
    return Affine(scale=layer.scale * factors, rotate=layer.rotate, shear=layer.shear, translate=corner)


def _path_of(layer: Image) -> str | None:
    path = layer.source.path
    return str(path) if path is not None and Path(path).is_file() else None
