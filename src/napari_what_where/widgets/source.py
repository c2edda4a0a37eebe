"""From a napari Image layer and what the viewer shows of it, to one plane to analyse."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.image import composite_alpha

if TYPE_CHECKING:
    from napari.layers import Image
    from napari.utils.transforms import Affine
    from napari.viewer import Viewer


@dataclass(frozen=True, eq=False)
class Source:
    """One plane of an Image layer, as it was when Run was pressed.

    ``index`` has a number for each axis that is not shown and a full slice for the two that are; ``axes`` are those
    two. ``to_world``, ``affine``, ``units`` and ``axis_labels`` are the layer's own, for the layers that result.
    """

    name: str
    layer_id: Any
    data: Any
    rgb: bool
    multiscale: bool
    index: tuple[int | slice, ...]
    axes: tuple[int, int]
    to_world: Affine
    affine: np.ndarray
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]
    path: str | None

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two runs runs on the same plane, in the same place."""
        steps = tuple("all" if isinstance(step, slice) else step for step in self.index)
        place = (self.to_world.affine_matrix.tobytes(), np.asarray(self.affine).tobytes(), self.units, self.axis_labels)
        return (self.layer_id, tuple(self.data.shape), steps, *place)

    @property
    def plane_name(self) -> str:
        """The layer's name, with the place in the stack if it is one: "cells [t 3]"; "cells [3]" for unnamed axes."""
        # napari calls axes that nobody has named -1, -2, …
        names = ["" if label.lstrip("-").isdigit() else f"{label} " for label in self.axis_labels]
        steps = zip(names, self.index, strict=True)
        places = [f"{name}{step}" for name, step in steps if not isinstance(step, slice)]
        return f"{self.name} [{', '.join(places)}]" if places else self.name

    def pixels(self) -> np.ndarray:
        """The plane, (rows, columns[, channels]); reads it, so call it off the GUI thread."""
        plane = np.asarray(self.data[self.index])
        return composite_alpha(plane) if self.has_wide_alpha else plane

    @property
    def has_wide_alpha(self) -> bool:
        """Whether napari shows a fourth channel as alpha that a bare array would not be known to have."""
        return self.rgb and self.data.shape[-1] == 4 and self.data.dtype != np.uint8

    def origin(self) -> np.ndarray:
        """Data coordinates of the plane's first pixel, one an axis of the layer."""
        return np.array([0 if isinstance(step, slice) else step for step in self.index], float)

    def pixel_size(self) -> tuple[float, float]:
        """Extent of a pixel along the plane's rows and columns, in world units."""
        scale = np.abs(self.to_world.scale)
        return float(scale[self.axes[0]]), float(scale[self.axes[1]])

    def unit_name(self) -> str | None:
        """Name of the unit along the plane's rows, or None for pixels."""
        unit = str(self.units[self.axes[0]])
        return None if unit in ("pixel", "dimensionless") else unit


def source_of(viewer: Viewer, layer: Image) -> Source:
    """The plane of ``layer`` that ``viewer`` shows now. Raises ``ValueError``, in words, for fewer than two axes."""
    data = layer.data[0] if layer.multiscale else layer.data
    if layer.ndim < 2:
        raise ValueError(f"Layer {layer.name!r} has {layer.ndim} axis; expected an image of at least rows and columns.")
    first, second = _shown_axes(viewer, layer.ndim)
    place = np.rint(layer.world_to_data(np.asarray(viewer.dims.point)[-layer.ndim :])).astype(int)
    place = np.clip(place, 0, np.array(data.shape[: layer.ndim]) - 1)
    index = tuple(slice(None) if axis in (first, second) else int(place[axis]) for axis in range(layer.ndim))
    return Source(
        name=layer.name,
        layer_id=layer.unique_id,
        data=data,
        rgb=bool(layer.rgb),
        multiscale=bool(layer.multiscale),
        index=index,
        axes=(first, second),
        to_world=_to_world(layer),
        affine=layer.affine.affine_matrix,
        units=tuple(layer.units),
        axis_labels=tuple(layer.axis_labels),
        path=_path_of(layer),
    )


def _shown_axes(viewer: Viewer, ndim: int) -> tuple[int, int]:
    """The layer's two axes on screen, in data order; in 3D, or where the layer lacks one of them, its last two."""
    missing = viewer.dims.ndim - ndim
    shown = sorted(axis - missing for axis in viewer.dims.displayed)
    if len(shown) != 2 or shown[0] < 0:
        return ndim - 2, ndim - 1
    return shown[0], shown[1]


def _to_world(layer: Image) -> Affine:
    from napari.utils.transforms import Affine

    return Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear, translate=layer.translate)


def _path_of(layer: Image) -> str | None:
    path = layer.source.path
    return str(path) if path is not None and Path(path).is_file() else None
