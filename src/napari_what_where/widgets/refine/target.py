"""Which plane of a Labels layer is on screen, which pixel of it is under the mouse, and where new layers lie on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.results import METADATA_KEY, shear_matrix
from napari_what_where.widgets.source import shown_axes

if TYPE_CHECKING:
    from napari.layers import Labels

HELPER = "refine-helper"
"""In the metadata of layers of ours that only help to make an edit: strokes and previews."""


@dataclass(frozen=True, eq=False)
class Plane:
    """One plane of a Labels layer.

    ``index``: for each axis of its data a number, or all of it along ``axes``, which are rows and columns in the order
    of the data, whatever the order on screen.
    """

    layer: Labels
    index: tuple[int | slice, ...]
    axes: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = (int(self.layer.data.shape[axis]) for axis in self.axes)
        return rows, columns

    @property
    def of_several(self) -> bool:
        """Whether its layer has others."""
        return any(size > 1 for axis, size in enumerate(self.layer.data.shape) if axis not in self.axes)

    @property
    def block_shape(self) -> tuple[int, ...]:
        """The shape of :meth:`block`."""
        sizes = self.layer.data.shape
        return tuple(int(sizes[axis]) if axis in self.axes else 1 for axis in range(len(self.index)))

    @property
    def key(self) -> tuple[Any, ...]:
        """What tells it from other planes of the same layer."""
        return tuple(None if isinstance(step, slice) else step for step in self.index)

    def lies_in(self, shape: tuple[int, ...]) -> bool:
        """Whether data of that shape have such a plane."""
        return len(shape) == len(self.index) and all(
            isinstance(step, slice) or step < size for step, size in zip(self.index, shape, strict=True)
        )

    @property
    def size(self) -> int:
        """How many pixels it has."""
        return self.shape[0] * self.shape[1]

    def read(self) -> np.ndarray:
        """(rows, columns) labels as they are now; a view of the layer's data where that is an array in memory."""
        return np.asarray(self.layer.data[self.index])

    def pixel_at(self, world: Any) -> tuple[int, int] | None:
        """The (row, column) under a position of the viewer; None outside."""
        place = np.asarray(self.layer.world_to_data(np.asarray(world)[-self.layer.ndim :]))
        row, column = (round(float(place[axis])) for axis in self.axes)
        inside = 0 <= row < self.shape[0] and 0 <= column < self.shape[1]
        return (row, column) if inside else None

    def world_of(self, row: float, column: float) -> np.ndarray:
        """Where a pixel lies, along the axes of the layer."""
        place = np.array([0.0 if isinstance(step, slice) else float(step) for step in self.index])
        place[list(self.axes)] = row, column
        return np.asarray(self.layer.data_to_world(place))

    def pixel_size(self) -> tuple[float, float]:
        """Extent of a pixel along rows and columns, in world units."""
        scale = np.abs(np.asarray(self.layer.scale))
        return float(scale[self.axes[0]]), float(scale[self.axes[1]])

    def unit(self) -> str | None:
        """Name of the unit along rows and columns; None for pixels, or where they differ."""
        first, second = (str(self.layer.units[axis]) for axis in self.axes)
        return None if first != second or first in ("pixel", "dimensionless") else first

    def block(self, plane: np.ndarray) -> np.ndarray:
        """(rows, columns) as data of as many axes as the layer has, of length 1 along all others."""
        others = tuple(axis for axis in range(len(self.index)) if axis not in self.axes)
        return np.expand_dims(plane, others)

    def placement(self) -> dict[str, Any]:
        """The arguments that lay a layer of that data over this plane."""
        from napari.utils.transforms import Affine

        layer = self.layer
        first = np.array([0.0 if isinstance(step, slice) else float(step) for step in self.index])
        shear = shear_matrix(layer)
        own = Affine(scale=layer.scale, rotate=layer.rotate, shear=shear, translate=layer.translate)
        return {
            "scale": layer.scale,
            "rotate": layer.rotate,
            "shear": shear,
            "translate": own(first),
            "affine": layer.affine.affine_matrix,
            "units": layer.units,
            "axis_labels": layer.axis_labels,
        }


def dtype_of(layer: Labels) -> np.dtype[Any]:
    """The numpy type of a layer's labels, whatever kind of array holds them: tensorstore has types of its own."""
    from napari.utils._dtype import normalize_dtype

    return np.dtype(normalize_dtype(layer.data.dtype))


def most_of(layer: Labels) -> int:
    """The largest label that a layer has room for."""
    dtype = dtype_of(layer)
    return 1 if dtype == np.bool_ else int(np.iinfo(dtype).max)


def check_writable(layer: Labels) -> None:
    """Raises ``ValueError``, in words, for labels whose pixels or names can not be changed."""
    if not _writable(layer.data):
        # napari's copy of an array on disk, or of a recipe for one, is that array or recipe again.
        remedy = (
            "Duplicate it into memory first (right click ▸ Duplicate)"
            if isinstance(layer.data, np.ndarray)
            else "Save it first (File ▸ Save Selected Layers), and work on the saved file, opened again"
        )
        raise ValueError(f"{layer.name!r} can only be read. {remedy}.")
    if not layer.editable:
        raise ValueError(f"{layer.name!r} is locked against editing (the “editable” mark of the layer).")


def _writable(data: Any) -> bool:
    """Whether an array takes new values: numpy's, tensorstore's, zarr's and HDF5's say so, each in its own way."""
    if not hasattr(data, "__setitem__") or type(data).__module__.partition(".")[0] == "dask":
        return False
    if isinstance(data, np.ndarray):
        return bool(data.flags.writeable)
    if type(data).__module__.partition(".")[0] == "h5py":
        return str(data.file.mode) != "r"
    return bool(getattr(data, "writable", True)) and not getattr(data, "read_only", False)


def labels_layers(viewer: Any) -> list[Any]:
    """The Labels layers that can be refined, topmost first."""
    from napari.layers import Labels

    return [layer for layer in reversed(viewer.layers) if isinstance(layer, Labels) and HELPER not in layer.metadata]


def image_layers(viewer: Any) -> list[Any]:
    """The Image layers that labels may be of, topmost first: none of our own results."""
    from napari.layers import Image

    return [
        layer for layer in reversed(viewer.layers) if isinstance(layer, Image) and METADATA_KEY not in layer.metadata
    ]


def plane_on_screen(viewer: Any, layer: Labels, *, to_look: bool = False) -> Plane:
    """The plane of the layer that the viewer shows. Raises ``ValueError``, in words, where there is none to edit.

    ``to_look``: what can only be read will do.
    """
    if layer.multiscale:
        raise ValueError(
            f"{layer.name!r} has several resolutions; napari cannot edit it. Open one of them as a layer of its own."
        )
    if not to_look:
        check_writable(layer)
    if layer.ndim < 2:
        raise ValueError(f"{layer.name!r} has {layer.ndim} axis; expected labels of at least rows and columns.")
    if viewer.dims.ndisplay != 2:
        raise ValueError("Switch to the 2D view first: the tools work on the plane that is on screen.")
    axes = shown_axes(viewer, layer.ndim)
    place = np.asarray(layer.world_to_data(np.asarray(viewer.dims.point)[-layer.ndim :]))
    index: list[int | slice] = []
    for axis, size in enumerate(layer.data.shape):
        step = round(float(place[axis]))
        if axis not in axes and not 0 <= step < size:
            raise ValueError(f"{layer.name!r} has nothing in the plane on screen. Move the sliders to it.")
        index.append(slice(None) if axis in axes else step)
    return Plane(layer, tuple(index), axes)


def every_plane(plane: Plane) -> Iterator[Plane]:
    """All planes of the layer that have the same rows and columns, in order."""
    sizes = [1 if axis in plane.axes else size for axis, size in enumerate(plane.layer.data.shape)]
    for place in np.ndindex(*sizes):
        index = tuple(slice(None) if axis in plane.axes else int(step) for axis, step in enumerate(place))
        yield Plane(plane.layer, index, plane.axes)
