"""Gaussian gradients of many planes, in units that hold at every image size."""

from __future__ import annotations

import numpy as np

from napari_what_where.grids import area_mean

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


def wide_squared_gradient(planes: np.ndarray, side: float, scales: tuple[float, ...]) -> np.ndarray:
    """Mean of :func:`squared_gradient` over Gaussians of ``scales`` leaf sides, at the cost of a coarse plane."""
    shape = planes.shape[0], planes.shape[1]
    factor = max(1.0, side / COARSE_SIDE)
    grid = max(1, round(shape[0] / factor)), max(1, round(shape[1] / factor))
    coarse = planes if grid == shape else area_mean(planes, grid)
    squared = np.mean([squared_gradient(coarse, scale * side / factor) for scale in scales], axis=0)
    return interpolate(squared[..., None], shape)[..., 0]


def interpolate(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(grid_rows, grid_columns, channels) cell means → (rows, columns, channels), linear between cell centres."""
    grid = planes.shape[0], planes.shape[1]
    if grid == shape:
        return planes
    over_rows = _linear_weights(grid[0], shape[0])
    over_columns = _linear_weights(grid[1], shape[1])
    channels = planes.shape[2]
    tall = over_rows @ planes.reshape(grid[0], -1)
    wide = over_columns @ tall.reshape(shape[0], grid[1], channels).transpose(1, 0, 2).reshape(grid[1], -1)
    return np.ascontiguousarray(wide.reshape(shape[1], shape[0], channels).transpose(1, 0, 2))


def _linear_weights(coarse: int, fine: int):  # type: ignore[no-untyped-def]
    """Sparse (fine, coarse) float32 weights of linear interpolation between the centres of ``coarse`` cells."""
    from scipy import sparse

    position = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    low = np.minimum(position.astype(np.int64), max(coarse - 2, 0))
    high = np.minimum(low + 1, coarse - 1)
    share = (position - low).astype(np.float32)
    rows = np.concatenate([np.arange(fine)] * 2)
    entries = np.concatenate([1 - share, share]), (rows, np.concatenate([low, high]))
    return sparse.csr_array(entries, shape=(fine, coarse))
