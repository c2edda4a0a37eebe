"""Sums over every node of a region tree, from which the features of any cut are looked up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from napari_what_where.progress import OFTEN, checkpoint
from napari_what_where.segments.superpixels import nearest_index

STRIP_PIXELS = 2**21
"""Working pixels whose sums are taken at once, one quantity after the other: a few float64 planes of them, 0.1 GB."""


@dataclass(frozen=True, eq=False)
class NodeStatistics:
    """Sums and bounds over the full-size pixels of each of the 2 L − 1 nodes of a tree.

    Attributes
    ----------
    sums : (nodes, 6 + embedding vectors) float64
        Of 1, row, column, row², row · column, column², and each embedding vector. Rows and columns are counted from
        ``centre``, to keep precision in large images.
    low, high : (nodes, 2) int64
        First and last (row, column).
    centre : (2,) float64
    """

    sums: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """(nodes,) pixels of each node."""
        return self.sums[:, 0]

    def table(self, nodes: np.ndarray) -> dict[str, np.ndarray]:
        """Feature columns of the given nodes, labelled from 1, see :meth:`RegionTree.features`."""
        labels = np.arange(1, len(nodes) + 1)
        return GroupStatistics(labels, self.sums[nodes], self.low[nodes], self.high[nodes], self.centre).table()

    def grouped(self, leaf_labels: np.ndarray) -> GroupStatistics:
        """Sums and bounds of any grouping of the leaves: (L,) int labels, 0 for leaves that are left out."""
        count = len(leaf_labels)
        return _combine(leaf_labels, self.sums[:count], self.low[:count], self.high[:count], self.centre)


@dataclass(frozen=True, eq=False)
class GroupStatistics:
    """Sums and bounds of labelled groups of pixels, as :class:`NodeStatistics` has them of nodes.

    ``labels``: (groups,) int, ascending; ``sums``, ``low``, ``high``: a row for each; ``centre``: (2,).
    """

    labels: np.ndarray
    sums: np.ndarray
    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray

    @classmethod
    def merged(cls, parts: Sequence[GroupStatistics]) -> GroupStatistics:
        """Groups of one label made one, wherever they are from: planes of one shape, hence of one centre.

        Eigenvectors that not all parts have are left out.
        """
        width = min(part.sums.shape[1] for part in parts)
        return _combine(
            np.concatenate([part.labels for part in parts]),
            np.concatenate([part.sums[:, :width] for part in parts]),
            np.concatenate([part.low for part in parts]),
            np.concatenate([part.high for part in parts]),
            parts[0].centre,
        )

    def table(self) -> dict[str, np.ndarray]:
        """Feature columns, see :meth:`RegionTree.features`."""
        area = self.sums[:, 0]
        means = self.sums[:, 1:] / area[:, None]
        row, column = means[:, 0], means[:, 1]
        columns = {"label": self.labels, "area": np.rint(area).astype(np.int64)}
        columns["bbox_row_min"], columns["bbox_column_min"] = self.low.T
        columns["bbox_row_max"], columns["bbox_column_max"] = self.high.T + 1
        columns["centroid_row"], columns["centroid_column"] = row + self.centre[0], column + self.centre[1]
        columns["eccentricity"] = _eccentricity(
            means[:, 2] - row**2, means[:, 3] - row * column, means[:, 4] - column**2
        )
        for index in range(5, means.shape[1]):
            columns[f"embedding_{index - 4}"] = means[:, index]
        return columns


def _combine(
    labels: np.ndarray, sums: np.ndarray, low: np.ndarray, high: np.ndarray, centre: np.ndarray
) -> GroupStatistics:
    """Rows of one label made one; rows labelled 0 are left out."""
    order = np.argsort(labels, kind="stable")
    order = order[np.count_nonzero(labels == 0) :]
    if not len(order):
        return GroupStatistics(np.zeros(0, np.int64), sums[:0], low[:0], high[:0], centre)
    names, starts = np.unique(labels[order], return_index=True)
    return GroupStatistics(
        names.astype(np.int64), np.add.reduceat(sums[order], starts), np.minimum.reduceat(low[order], starts),
        np.maximum.reduceat(high[order], starts), centre,
    )  # fmt: skip


def _eccentricity(row_row: np.ndarray, row_column: np.ndarray, column_column: np.ndarray) -> np.ndarray:
    """Eccentricity of the ellipse of equal second central moments: √(1 − small axis² / large axis²)."""
    half_trace = (row_row + column_column) / 2
    root = np.hypot((row_row - column_column) / 2, row_column)
    large, small = half_trace + root, np.maximum(half_trace - root, 0)
    tiny = large <= 1e-9
    return np.where(tiny, 0.0, np.sqrt(np.clip(1 - small / np.where(tiny, 1.0, large), 0, 1)))


def node_statistics(
    leaves: np.ndarray, shape: tuple[int, int], children: np.ndarray, vectors: np.ndarray
) -> NodeStatistics:
    """Statistics, over the pixels of a ``shape`` image, of a tree whose leaves were found on a smaller plane.

    Parameters
    ----------
    leaves : (rows, columns) int
        Leaf ids on the working plane, which is brought to ``shape`` by nearest neighbour.
    shape : (int, int)
        Rows and columns of the full-size image.
    children : (leaves − 1, 2) int
        The two nodes that each merge joins.
    vectors : (count, grid_rows, grid_columns)
        Embedding vectors, each token's value standing for all its pixels.

    Notes
    -----
    Cost: a few passes over the working plane, none over the full one.
    """
    weights, first, last, centre = _axis_sums(leaves.shape, shape)
    (row0, row1, row2), (column0, column1, column2) = weights
    tokens, nearest = vectors, [nearest_index(leaves.shape[axis], vectors.shape[1 + axis]) for axis in (0, 1)]
    count = len(children) + 1
    sums = np.zeros((count, 6 + len(tokens)))
    low, high = np.full((count, 2), max(shape)), np.zeros((count, 2), np.int64)
    # Some rows at a time, so that few planes of the size of a large working plane are in memory at once.
    strip = max(1, STRIP_PIXELS // leaves.shape[1])
    for top in range(0, len(leaves), strip):
        rows = slice(top, top + strip)
        flat = leaves[rows].ravel()
        area = np.outer(row0[rows], column0)
        moments = ((row0, column0), (row1, column0), (row0, column1), (row2, column0), (row1, column1), (row0, column2))
        planes = chain(
            (np.outer(row[rows], column) for row, column in moments),
            (area * plane[nearest[0][rows]][:, nearest[1]] for plane in tokens),
        )
        for number, plane in enumerate(planes):
            checkpoint()
            sums[:, number] += np.bincount(flat, plane.ravel(), minlength=count)
        for axis, bounds in enumerate(((first[0][rows], last[0][rows]), (first[1], last[1]))):
            checkpoint()
            ends = (np.broadcast_to(np.expand_dims(end, 1 - axis), leaves[rows].shape).ravel() for end in bounds)
            np.minimum.at(low[:, axis], flat, next(ends))
            np.maximum.at(high[:, axis], flat, next(ends))
    return NodeStatistics(
        _accumulate(sums, children, np.add), _accumulate(low, children, np.minimum),
        _accumulate(high, children, np.maximum), centre,
    )  # fmt: skip


def _axis_sums(plane: tuple[int, int], shape: tuple[int, int]) -> tuple[list, list, list, np.ndarray]:
    """For both axes: sums of 1, x, x² over the full-size pixels of each working one; the first and last of them."""
    centre = (np.array(shape) - 1) / 2
    weights, firsts, lasts = [], [], []
    for axis in (0, 1):
        index = nearest_index(shape[axis], plane[axis])
        position = np.arange(shape[axis]) - centre[axis]
        weights.append([np.bincount(index, position**power, minlength=plane[axis]) for power in (0, 1, 2)])
        firsts.append(np.searchsorted(index, np.arange(plane[axis])))
        lasts.append(np.searchsorted(index, np.arange(plane[axis]), side="right") - 1)
    return weights, firsts, lasts, centre


def _accumulate(leaf_values: np.ndarray, children: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """Values of the leaves, (leaves, columns), combined up the tree: (2 · leaves − 1, columns)."""
    count = len(leaf_values)
    values = np.concatenate([leaf_values, np.zeros((count - 1, leaf_values.shape[1]), leaf_values.dtype)])
    for i, (first, second) in enumerate(children.tolist()):
        if i % OFTEN == 0:
            checkpoint()
        combine(values[first], values[second], out=values[count + i])
    return values
