"""Parts of a large image to run on: what is on screen, or inside shapes that the user drew."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.files.outlines import Polygon, Window, draw_outline, window_around
from napari_what_where.widgets.source import shown_axes

if TYPE_CHECKING:
    from napari.layers import Image, Shapes


@dataclass(frozen=True, eq=False)
class Part:
    """A window of a plane, as slices of its rows and columns, and the ``outline`` in it that counts, (rows, columns)
    bool, with the ``polygons`` that it was drawn from; None for all of it.
    """

    window: Window
    outline: np.ndarray | None = None
    polygons: tuple[Polygon, ...] = ()


def part_on_screen(viewer: Any, layer: Image, channel_axis: int | None = None) -> Part:
    """What of the layer is on screen. Raises ``ValueError`` if that is none of it."""
    axes = shown_axes(viewer, layer.ndim, aside=channel_axis)
    corners = np.asarray(layer.corner_pixels, float)[:, list(axes)]
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level][list(axes)]
    low, high = corners
    return Part(window_around(low, high, _sizes(layer, axes), what=f"What is on screen of {layer.name!r}"))


def part_in_shapes(viewer: Any, layer: Image, channel_axis: int | None = None) -> Part:
    """What of the layer lies inside the selected shapes, or the only one. Raises ``ValueError`` if none is drawn."""
    shapes = _shapes_layer(viewer)
    chosen = sorted(shapes.selected_data) or ([0] if len(shapes.data) == 1 else [])
    if not chosen:
        raise ValueError(f"Layer {shapes.name!r} has {len(shapes.data)} shapes; select those to run on.")
    axes = shown_axes(viewer, layer.ndim, aside=channel_axis)
    polygons = tuple(_polygon(_outline_in(layer, shapes, number)[:, list(axes)]) for number in chosen)
    window, outline = draw_outline(polygons, _sizes(layer, axes), what=f"The shape in {shapes.name!r}")
    return Part(window, outline, () if outline is None else polygons)


def _polygon(corners: np.ndarray) -> Polygon:
    """Corners to a hundredth of a pixel, as text has room for them."""
    return tuple((float(row), float(column)) for row, column in np.round(corners, 2))


def _shapes_layer(viewer: Any) -> Shapes:
    from napari.layers import Shapes

    active = viewer.layers.selection.active
    if isinstance(active, Shapes):
        return active
    drawn = [layer for layer in viewer.layers if isinstance(layer, Shapes) and len(layer.data)]
    if not drawn:
        raise ValueError("There is no shape to run on. Add a Shapes layer and draw a rectangle, ellipse or polygon.")
    return drawn[-1]


def _outline_in(layer: Image, shapes: Shapes, number: int) -> np.ndarray:
    """The corners of a shape in the pixel coordinates of ``layer``, (corners, layer.ndim)."""
    kind = shapes.shape_type[number]
    if kind in ("line", "path"):
        raise ValueError(f"A {kind} has no inside; draw a rectangle, ellipse or polygon to run on.")
    corners = np.asarray(shapes.data[number], float)
    if kind == "ellipse":  # given by the corners of the box around it
        centre, across, down = corners.mean(axis=0), (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
        angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)[:, None]
        corners = centre + np.cos(angle) * across + np.sin(angle) * down
    world = np.array([shapes.data_to_world(corner) for corner in corners])
    # napari aligns the axes of layers from the last one.
    missing = layer.ndim - world.shape[1]
    world = np.pad(world, ((0, 0), (max(missing, 0), 0)))[:, -layer.ndim :]
    return np.array([layer.world_to_data(point) for point in world])


def _sizes(layer: Image, axes: tuple[int, int]) -> tuple[int, int]:
    data = layer.data[0] if layer.multiscale else layer.data
    return int(data.shape[axes[0]]), int(data.shape[axes[1]])
