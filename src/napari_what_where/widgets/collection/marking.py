"""A frame on the canvas around where a kind is most typical; no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.picking import camera_of
from napari_what_where.widgets.refine.target import HELPER
from napari_what_where.widgets.results import shear_matrix

if TYPE_CHECKING:
    from napari.layers import Labels, Shapes
    from napari.viewer import Viewer

    from napari_what_where.collection.report.types import Box

NAME = "most typical"
_COLOUR = "#ffdd00"
_WIDTH = 1 / 150
"""Of the frame's line, in sides of the image."""


class Marker:
    """One Shapes layer with one frame, made when it is needed and gone with what it marks."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._layer: Shapes | None = None

    def show(self, layer: Labels, place: np.ndarray, axes: Sequence[int], box: Box) -> None:
        """Put the frame around a box of a plane of a layer, go to that plane, and bring the box into sight.

        ``place``: a pixel of the plane; ``axes``: its rows and columns; ``box``: slices along those.
        """
        self.clear()
        corners = np.tile(np.asarray(place, float), (4, 1))
        (top, left), (bottom, right) = ((each.start - 0.5 for each in box), (each.stop - 0.5 for each in box))
        corners[:, list(axes)] = [(top, left), (top, right), (bottom, right), (bottom, left)]
        self._go_to(layer, corners.mean(axis=0))
        active = self._viewer.layers.selection.active
        side = max(layer.data.shape[axis] for axis in axes)
        self._layer = self._viewer.add_shapes(
            [corners],
            shape_type="polygon",
            edge_color=_COLOUR,
            face_color="transparent",
            edge_width=max(1.0, side * _WIDTH),
            name=NAME,
            metadata={HELPER: "typical"},
            **_placed_as(layer),
        )
        self._viewer.layers.selection.active = active

    def clear(self) -> None:
        """Take the frame away."""
        layer, self._layer = self._layer, None
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)

    def _go_to(self, layer: Labels, place: np.ndarray) -> None:
        world = np.asarray(layer.data_to_world(place), float)
        dims, missing = self._viewer.dims, self._viewer.dims.ndim - layer.ndim
        for axis, value in enumerate(world):
            if axis + missing not in dims.displayed:
                dims.set_point(axis + missing, value)
        shown = [axis - missing for axis in dims.displayed]
        if any(axis < 0 for axis in shown):
            return
        low, high = np.asarray(layer.corner_pixels, float)[:, shown]
        if not ((low <= place[shown]) & (place[shown] <= high)).all():
            centre = np.zeros(3)
            centre[-len(shown) :] = world[shown]
            camera_of(self._viewer).center = tuple(centre)


def _placed_as(layer: Labels) -> dict[str, Any]:
    """What lays another layer where this one is."""
    return {
        "scale": layer.scale,
        "translate": layer.translate,
        "rotate": layer.rotate,
        "shear": shear_matrix(layer),
        "affine": layer.affine.affine_matrix,
        "units": layer.units,
        "axis_labels": layer.axis_labels,
    }
