"""Gaussian gradients of many planes, in units that hold at every image size."""

from __future__ import annotations

import numpy as np

from napari_what_where.grids import apply_weights, mean_weights
from napari_what_where.working_plane.object_scale import Part, Tile

COARSE_SIDE = 5.0
"""Pixels to a leaf's side on the plane where wide gradients are taken: more would add cost, not detail."""


def leaf_side(shape: tuple[int, int], leaves: int) -> float:
    """Side in pixels of a square leaf, where ``leaves`` of them tile a (rows, columns) ``shape``; at least 1."""
    return max(1.0, float(np.sqrt(shape[0] * shape[1] / leaves)))


def blur(planes: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian of standard deviation ``sigma`` pixels over (rows, columns, channels), edges repeated; float32."""
    from scipy.ndimage import gaussian_filter1d

    for axis in (0, 1):
        planes = gaussian_filter1d(planes, sigma, axis=axis, mode="nearest", truncate=3.0)
    return planes


def squared_gradient(planes: np.ndarray, sigma: float) -> np.ndarray:
    """|∇|² of (rows, columns, channels) planes blurred by ``sigma`` pixels, summed over channels: (rows, columns).

    In units that make the peak on a straight step of height h equal h², whatever the blur: a Gaussian step rises by
    h / √(2π σ²) per pixel, and the central difference adds 1/3 to the variance.
    """
    blurred = blur(planes, sigma)
    squared = np.zeros(planes.shape[:2], np.float32)
    for axis in (0, 1):
        if planes.shape[axis] > 1:
            squared += (np.gradient(blurred, axis=axis) ** 2).sum(axis=2)
    return squared * np.float32(2 * np.pi * (sigma**2 + 1 / 3))


def wide_squared_gradient(
    planes: np.ndarray, side: float, scales: tuple[float, ...], part: Part | None = None
) -> np.ndarray:
    """Mean of :func:`squared_gradient` over Gaussians of ``scales`` leaf sides, at the cost of a coarse plane.

    ``part``: where the planes lie in a larger one, whose coarse plane is used; by default they are all of it.
    """
    part = part or Part.whole(planes.shape)
    factor = max(1.0, side / COARSE_SIDE)
    grid = max(1, round(part.shape[0] / factor)), max(1, round(part.shape[1] / factor))
    coarse, cells = coarsen(planes, grid, part)
    squared = np.mean([squared_gradient(coarse, scale * side / factor) for scale in scales], axis=0)
    return interpolate_part(squared[..., None], Part(cells, grid), part)[..., 0]


def coarsen(planes: np.ndarray, grid: tuple[int, int], part: Part) -> tuple[np.ndarray, Tile]:
    """Area mean of part of a plane over those cells of the whole plane's ``grid`` that lie within it."""
    if grid == part.shape:
        return planes, part.tile
    tile, (rows, columns) = part.tile, part.shape
    top, bottom = _cells_within(grid[0], rows, tile.top, tile.bottom)
    left, right = _cells_within(grid[1], columns, tile.left, tile.right)
    over_rows = mean_weights(grid[0], rows)[top:bottom, tile.rows]
    over_columns = mean_weights(grid[1], columns)[left:right, tile.columns]
    return apply_weights(over_rows, over_columns, planes), Tile(top, bottom, left, right)


def _cells_within(coarse: int, fine: int, first: int, last: int) -> tuple[int, int]:
    """The cells, from the first to before the last, all of whose pixels are ``first`` … ``last`` − 1; at least one."""
    low = -(-first * coarse // fine)
    high = last * coarse // fine
    return (low, high) if high > low else (min(low, coarse - 1), min(low, coarse - 1) + 1)


def interpolate(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(grid_rows, grid_columns, channels) cell means → (rows, columns, channels), linear between cell centres."""
    return interpolate_part(planes, Part.whole(planes.shape), Part.whole(shape))


def interpolate_part(planes: np.ndarray, cells: Part, part: Part) -> np.ndarray:
    """:func:`interpolate` from some cells of a grid to part of a plane; beyond the outermost cells as they are."""
    if cells.shape == part.shape and cells.tile == part.tile:
        return planes
    tile = part.tile
    over_rows = _linear_weights(cells.shape[0], part.shape[0], cells.tile.rows, tile.rows)
    over_columns = _linear_weights(cells.shape[1], part.shape[1], cells.tile.columns, tile.columns)
    return apply_weights(over_rows, over_columns, planes)


def interpolate_to(planes: np.ndarray, part: Part) -> np.ndarray:
    """:func:`interpolate` to part of a plane, from the few cells around it."""
    grid = planes.shape[0], planes.shape[1]
    spans = [
        (max(0, first * coarse // fine - 1), min(coarse, -(-last * coarse // fine) + 1))
        for coarse, fine, first, last in (
            (grid[0], part.shape[0], part.tile.top, part.tile.bottom),
            (grid[1], part.shape[1], part.tile.left, part.tile.right),
        )
    ]
    cells = Tile(*spans[0], *spans[1])
    return interpolate_part(planes[cells.rows, cells.columns], Part(cells, grid), part)


def _linear_weights(coarse: int, fine: int, cells: slice, pixels: slice):  # type: ignore[no-untyped-def]
    """Sparse (pixels, cells) float32 weights of linear interpolation between the centres of ``coarse`` cells."""
    from scipy import sparse

    position = np.clip((np.arange(pixels.start, pixels.stop) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    low = np.minimum(position.astype(np.int64), max(coarse - 2, 0))
    high = np.minimum(low + 1, coarse - 1)
    share = (position - low).astype(np.float32)
    rows = np.concatenate([np.arange(len(position))] * 2)
    near = np.clip(np.concatenate([low, high]), cells.start, cells.stop - 1) - cells.start
    entries = np.concatenate([1 - share, share]), (rows, near)
    return sparse.csr_array(entries, shape=(len(position), cells.stop - cells.start))
