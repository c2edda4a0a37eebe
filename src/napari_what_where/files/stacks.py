"""What of which files is analysed, as planes: one plane is a stack of one, several files may be its channels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_what_where.files.indexing import Select, format_select, full_index, select_planes
from napari_what_where.files.outlines import Polygon, Window, draw_outline, format_polygon
from napari_what_where.files.reading import StoredArray, read_image, read_stored
from napari_what_where.image import data_channels

_EVERYTHING = (slice(None), slice(None))


@dataclass(frozen=True)
class FilePart:
    """Which part of a file is analysed, and what its axes are; by default the one plane that it holds.

    Attributes
    ----------
    select : integers and slices from the first axis of the file on, see
        :func:`~napari_what_where.files.indexing.parse_select`; None for all of it.
    channel_axis : the axis of what is selected that holds channels, negative from the last; None for none.
    plane_axis : likewise the axis whose every plane is analysed; None for one plane.
    within : polygons in pixels of the plane; what is analysed is the smallest window that holds them, and outside of
        them all is background. None for all of the plane.
    """

    select: Select | None = None
    channel_axis: int | None = None
    plane_axis: int | None = None
    within: tuple[Polygon, ...] = ()

    def as_text(self) -> dict[str, Any]:
        """The attributes as JSON has them."""
        return {
            "select": None if self.select is None else format_select(self.select),
            "channel_axis": self.channel_axis,
            "plane_axis": self.plane_axis,
            "within": [format_polygon(polygon) for polygon in self.within],
        }


@dataclass(frozen=True, eq=False)
class FileStack:
    """Planes of one file, or of several that are channels of one image.

    Attributes
    ----------
    planes : sequence of (rows, columns[, channels]) arrays, each read when it is asked for
    flat : whether this is one plane, and no stack of one.
    window, outline : which rows and columns of the file's planes these are, and which of their pixels count, as
        :func:`~napari_what_where.files.outlines.draw_outline` gives them.
    pixel_size : of rows and columns, in ``units``; None where the files do not say.
    units : name of a unit
    axis : "T" where planes are times, else "Z".
    spacing : of planes, in seconds along "T", else in ``units``; None where the files do not say.
    plane_shape : (rows, columns) of the file's planes, of which the window is a part; None if it is all of them.
    """

    planes: Sequence[np.ndarray]
    flat: bool
    window: Window = _EVERYTHING
    outline: np.ndarray | None = None
    pixel_size: tuple[float, float] | None = None
    units: str | None = None
    axis: str = "Z"
    spacing: float | None = None
    plane_shape: tuple[int, int] | None = None


def open_stack(paths: Sequence[str | os.PathLike[str]], part: FilePart | None = None) -> FileStack:
    """Open the files of one image; several are its channels, in this order.

    Scale and units are those of the first file. Pixels are read when a plane is asked for, where the files can be
    mapped, see :func:`~napari_what_where.files.reading.read_stored`.

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        It is no image, the part does not fit it, or channels are of different shapes or have channels themselves.
    """
    part = part or FilePart()
    opened = [_open_file(path, part) for path in paths]
    views = [view for view, _ in opened]
    if len(views) > 1:
        _check_channels(views, paths, part)
    window, outline = _EVERYTHING, None
    rows, columns = views[0].shape[1:3]
    if part.within:
        window, outline = draw_outline(part.within, (rows, columns))
    holds_channels = part.channel_axis is not None or len(views) > 1
    planes = _Planes(views, window, holds_channels)
    return FileStack(planes, part.plane_axis is None, window, outline, plane_shape=(rows, columns), **opened[0][1])


def _open_file(path: str | os.PathLike[str], part: FilePart) -> tuple[np.ndarray, dict[str, Any]]:
    """Planes of one file, (planes, rows, columns[, channels]), and what it says of their scale."""
    if part.select is None and part.channel_axis is None and part.plane_axis is None:
        image = read_image(path)
        return image.pixels[np.newaxis], {"pixel_size": image.pixel_size, "units": image.units}
    stored = read_stored(path)
    view = select_planes(stored.array, part.select, part.channel_axis, part.plane_axis)
    return view, _scale(stored, part)


def _scale(stored: StoredArray, part: FilePart) -> dict[str, Any]:
    """Size of a pixel and distance of planes; that of a pixel is known of planes along the file's own only."""
    index = zip(stored.axes, full_index(stored.array.shape, part.select), strict=True)
    left = [(axis, abs(step.step or 1)) for axis, step in index if isinstance(step, slice)]
    taken = {axis % len(left) for axis in (part.plane_axis, part.channel_axis) if axis is not None}
    (row, row_step), (column, column_step) = [each for number, each in enumerate(left) if number not in taken][:2]
    scale: dict[str, Any] = {}
    if (row, column) == ("Y", "X") and stored.sizes:
        scale = {"pixel_size": (stored.sizes["Y"] * row_step, stored.sizes["X"] * column_step), "units": stored.units}
    if part.plane_axis is not None:
        plane, step = left[part.plane_axis]
        size = stored.sizes.get(plane) if plane in "ZT" else None
        scale |= {"axis": "T" if plane == "T" else "Z", "spacing": None if size is None else size * step}
    return scale


def _check_channels(views: Sequence[np.ndarray], paths: Sequence[str | os.PathLike[str]], part: FilePart) -> None:
    first = views[0].shape
    for view, path in zip(views, paths, strict=True):
        if view.ndim != 3:
            raise ValueError(f"{os.fspath(path)} has channels or colours itself; expected one channel in each file")
        if view.shape != first:
            shapes = (first, view.shape) if part.plane_axis is not None else (first[1:], view.shape[1:])
            raise ValueError(
                f"{os.fspath(path)} has shape {shapes[1]}, {os.fspath(paths[0])} {shapes[0]}; channels of one image "
                "need one shape"
            )


class _Planes(Sequence[np.ndarray]):
    """Windows of planes, as arrays of their own."""

    def __init__(self, views: Sequence[np.ndarray], window: Window, holds_channels: bool) -> None:
        self._views, self._window, self._holds_channels = views, window, holds_channels

    def __len__(self) -> int:
        return len(self._views[0])

    def __getitem__(self, number: Any) -> Any:
        parts = [np.array(view[number][self._window], order="C") for view in self._views]
        plane = parts[0] if len(parts) == 1 else np.stack(parts, axis=-1)
        # Whether values look like colours is asked of what is analysed, not of the whole plane.
        return data_channels(plane) if self._holds_channels else plane
