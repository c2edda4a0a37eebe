"""Area overlap between grids: the one primitive behind resizing images, token grids and pooling affinities."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def area_overlap(coarse: int, fine: int) -> sparse.csr_array:
    """Overlap in length of ``coarse`` and ``fine`` equal cells that cover the same interval.

    Returns a sparse (coarse, fine) float64 matrix, in units of one fine cell: rows sum to fine / coarse,
    columns to 1. Also right where the grids do not nest (15 and 8), and where ``coarse`` > ``fine``.
    """
    edges = np.linspace(0.0, fine, coarse + 1)
    first = np.minimum(np.floor(edges[:-1] + 1e-9).astype(int), fine - 1)
    last = np.maximum(np.ceil(edges[1:] - 1e-9).astype(int), first + 1)
    lengths = last - first
    rows = np.repeat(np.arange(coarse), lengths)
    columns = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths) + first[rows]
    overlap = np.minimum(edges[rows + 1], columns + 1) - np.maximum(edges[rows], columns)
    return sparse.csr_array((np.maximum(overlap, 0.0), (rows, columns)), shape=(coarse, fine))


def area_mean(planes: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """Area-weighted mean of (rows, columns[, channels]) ``planes`` over the cells of a (rows, columns) ``grid``.

    Float32 in, float32 out, shape (*grid[, channels]). Up-sampling repeats pixels. Cost: one pass over the planes.
    """
    flat = planes[..., None] if planes.ndim == 2 else planes
    rows, columns, channels = flat.shape
    over_rows = area_overlap(grid[0], rows) * (grid[0] / rows)
    over_columns = area_overlap(grid[1], columns) * (grid[1] / columns)
    reduced = over_rows.astype(np.float32) @ flat.reshape(rows, columns * channels)
    reduced = reduced.reshape(grid[0], columns, channels).transpose(1, 0, 2).reshape(columns, -1)
    reduced = over_columns.astype(np.float32) @ reduced
    reduced = reduced.reshape(grid[1], grid[0], channels).transpose(1, 0, 2)
    return np.ascontiguousarray(reduced[..., 0] if planes.ndim == 2 else reduced)


def fit_within(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """The (rows, columns) of ``shape`` shrunk, at its own aspect, until neither side exceeds ``longest``."""
    factor = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))
