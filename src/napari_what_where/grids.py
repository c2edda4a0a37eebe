"""Area overlap between grids: the one primitive behind resizing images, token grids and pooling affinities."""

from __future__ import annotations

from functools import lru_cache

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
    return apply_weights(mean_weights(grid[0], planes.shape[0]), mean_weights(grid[1], planes.shape[1]), planes)


@lru_cache(maxsize=64)
def mean_weights(coarse: int, fine: int) -> sparse.csr_array:
    """Weights of the mean over each of ``coarse`` cells of ``fine`` pixels: (coarse, fine) float32, to be read only."""
    return (area_overlap(coarse, fine) * (coarse / fine)).astype(np.float32)


def apply_weights(over_rows: sparse.csr_array, over_columns: sparse.csr_array, planes: np.ndarray) -> np.ndarray:
    """Weighted sums of (rows, columns[, channels]) planes along both axes, rows first; contiguous.

    ``over_rows`` (new_rows, rows) and ``over_columns`` (new_columns, columns), sparse.
    """
    flat = planes[..., None] if planes.ndim == 2 else planes
    rows, columns, channels = flat.shape
    tall = over_rows @ flat.reshape(rows, columns * channels)
    tall = tall.reshape(-1, columns, channels).transpose(1, 0, 2).reshape(columns, -1)
    wide = over_columns @ tall
    wide = wide.reshape(over_columns.shape[0], -1, channels).transpose(1, 0, 2)
    return np.ascontiguousarray(wide[..., 0] if planes.ndim == 2 else wide)


def area_mean_between(
    image: np.ndarray, grid: tuple[int, int], rows: tuple[int, int], columns: tuple[int, int], kind: np.dtype
) -> np.ndarray:
    """Some rows and columns, from the first to before the second, of what :func:`area_mean` gives of an ``image``.

    Computed in the float ``kind``. Reads only the pixels that these cells touch, some rows at a time.
    Cost: in proportion to those pixels. Returns (rows, columns[, channels]).
    """
    over_rows, top, bottom = _cells(grid[0], image.shape[0], *rows)
    over_columns, left, right = _cells(grid[1], image.shape[1], *columns)
    strip = max(1, 2**21 // (right - left))
    parts = []
    for first in range(top, bottom, strip):
        part = image[first : min(first + strip, bottom), left:right].astype(kind)
        parts.append(_along_columns(over_columns, part))
    tall = np.concatenate(parts)
    short = over_rows @ tall.reshape(len(tall), -1)
    return short.reshape(len(short), *tall.shape[1:])


def _along_columns(over_columns: sparse.csr_array, part: np.ndarray) -> np.ndarray:
    """Means of (rows, columns[, channels]) along columns, in the type of ``part``."""
    columns = np.moveaxis(part, 1, 0)
    means = over_columns @ columns.reshape(part.shape[1], -1)
    return np.moveaxis(means.reshape(-1, *columns.shape[1:]), 0, 1)


def _cells(coarse: int, fine: int, first: int, last: int) -> tuple[sparse.csr_array, int, int]:
    """Weights of the mean over cells ``first`` … ``last`` − 1, and from where to before where they have pixels."""
    weights = mean_weights(coarse, fine)[first:last]
    start, stop = int(weights.indices.min()), int(weights.indices.max()) + 1
    return weights[:, start:stop], start, stop


def fit_within(shape: tuple[int, int], longest: int) -> tuple[int, int]:
    """The (rows, columns) of ``shape`` shrunk, at its own aspect, until neither side exceeds ``longest``."""
    factor = min(1.0, longest / max(shape))
    return max(1, round(shape[0] * factor)), max(1, round(shape[1] * factor))


def lattice(shape: tuple[int, int], count: int) -> tuple[int, int]:
    """The (rows, columns) of nearly square cells, at most ``count`` of them, that cover ``shape`` pixels."""
    rows, columns = shape
    side = max(1.0, (rows * columns / count) ** 0.5)
    cell_rows = int(np.clip(rows / side, 1, min(rows, count)))
    return cell_rows, int(np.clip(count // cell_rows, 1, max(1, round(columns / side))))
