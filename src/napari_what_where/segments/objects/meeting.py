"""Objects that tile a large plane grow until they meet, tile by tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from napari_what_where.segments.objects.whole import TILED, typical_radius
from napari_what_where.working_plane.object_scale import Tile
from napari_what_where.working_plane.tiling import map_tiles

REACH = 4
"""Radii beyond which nothing changes where objects meet."""


def meet_by_tiles(
    labels: np.ndarray,
    plane: Callable[[Tile], np.ndarray],
    tiles: Sequence[Tile],
    report: Callable[[float], None],
) -> np.ndarray:
    """Grow objects that tile the plane until they meet, at the crests between them; leave others as they are.

    ``labels``: (rows, columns) int32; ``plane``: its bright objects in a window, float32; ``tiles`` cover it once.
    See :mod:`~napari_what_where.segments.objects.whole`. Cost: 0.3 µs a pixel.
    """
    areas = label_areas(labels)
    if not len(areas):
        return labels
    radius = typical_radius(areas)
    halves = [lambda share, first=first: report(first + share / 2) for first in (0.0, 0.5)]

    def far(tile: Tile) -> int:
        return int(np.count_nonzero(_away(labels, tile, tile.grown(int(radius), labels.shape)) > radius / 2))

    if sum(map_tiles(far, tiles, halves[0])) > TILED * labels.size:
        return labels
    grown = np.empty_like(labels)

    def grow(tile: Tile) -> np.ndarray:
        from scipy.ndimage import gaussian_filter
        from skimage.segmentation import watershed

        window = tile.grown(int(np.ceil(REACH * radius)), labels.shape)
        within = _away(labels, window, window.grown(int(np.ceil(radius)), labels.shape)) <= radius
        met = watershed(-gaussian_filter(plane(window), 1.0), labels[window.rows, window.columns], mask=within)
        return met[tile.within(window)]

    for tile, part in zip(tiles, map_tiles(grow, tiles, halves[1]), strict=True):
        grown[tile.rows, tile.columns] = part
    return grown


def label_areas(labels: np.ndarray) -> np.ndarray:
    """Pixels of each label from 1 on, (labels,) int64."""
    count, strip = int(labels.max()) + 1, max(1, 2**22 // labels.shape[1])
    areas = np.zeros(count, np.int64)
    for first in range(0, len(labels), strip):
        areas += np.bincount(labels[first : first + strip].ravel(), minlength=count)
    return areas[1:]


def _away(labels: np.ndarray, tile: Tile, window: Tile) -> np.ndarray:
    """Distance of a tile's pixels from the nearest label, right as far as ``window`` reaches beyond the tile."""
    from scipy.ndimage import distance_transform_edt

    background = labels[window.rows, window.columns] == 0
    if background.all():
        return np.full(tile.shape, np.inf)
    return distance_transform_edt(background)[tile.within(window)]
