"""Regions against regions: covering, probabilistic Rand index and variation of information.

All are functions of one contingency table, the pixels shared by each of our regions and each true region, so that a
whole hierarchy of segmentations costs one pass over the pixels: the tables of its cuts are sums of the leaves' rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Truths(NamedTuple):
    """The annotators' segmentations of one image.

    ``columns``: for each annotator the region 0 … R − 1 of every pixel, R where the truth is void, (pixels,) int64;
    ``sizes``: R for each annotator.
    """

    columns: list[np.ndarray]
    sizes: list[int]


class Scores(NamedTuple):
    """Covering, PRI (both higher is better) and VI (bits, lower is better), each averaged over annotators."""

    covering: float
    rand: float
    information: float


def truths(segmentations: Sequence[np.ndarray]) -> Truths:
    """Prepare the annotators' (rows, columns) integer label images; negative labels are void.

    Raises ``ValueError`` where an annotator leaves every pixel void. Cost: one sort of the pixels an annotator.
    """
    columns, sizes = [], []
    for segmentation in segmentations:
        flat = np.asarray(segmentation).ravel()
        known, column = np.unique(flat, return_inverse=True)
        void = int(np.searchsorted(known, 0))
        size = len(known) - void
        if size == 0:
            raise ValueError("The ground truth is void everywhere; expected at least one pixel with a label.")
        columns.append(np.where(column < void, size, column - void))
        sizes.append(size)
    return Truths(columns, sizes)


def contingency(labels: np.ndarray, truth: Truths) -> list[np.ndarray]:
    """Pixels shared by each label (from 0) and each region of each annotator: (labels, regions) float64 arrays.

    Void pixels are in none. Raises ``ValueError`` where the label image has another number of pixels.
    """
    flat, count = np.asarray(labels).ravel(), int(np.max(labels)) + 1
    tables = []
    for column, size in zip(truth.columns, truth.sizes, strict=True):
        if len(flat) != len(column):
            raise ValueError(f"The segmentation has {len(flat):,} pixels; expected {len(column):,}, as the truth has.")
        # One column more than there are regions takes the void pixels, and is dropped.
        shared = np.bincount(flat * (size + 1) + column, minlength=count * (size + 1))
        tables.append(shared.reshape(count, size + 1)[:, :size].astype(np.float64))
    return tables


def group(tables: Sequence[np.ndarray], lookup: np.ndarray) -> list[np.ndarray]:
    """Contingency tables of the leaves → of the regions that ``lookup`` (leaves,), from 0, puts them in."""
    from scipy import sparse

    count = int(lookup.max()) + 1
    join = sparse.csr_array((np.ones(len(lookup)), (lookup, np.arange(len(lookup)))), shape=(count, len(lookup)))
    return [join @ table for table in tables]


def score(tables: Sequence[np.ndarray]) -> Scores:
    """All measures from the contingency tables of one segmentation with each annotator."""
    each = [[covering(table), rand_index(table), variation(table)] for table in tables]
    return Scores(*(float(mean) for mean in np.mean(each, axis=0)))


def covering(table: np.ndarray) -> float:
    """Σ over true regions of area · best intersection over union, over the pixels.

    Arbelaez, Maire, Fowlkes & Malik, TPAMI 2011, eq. 9.
    """
    ours, theirs = table.sum(axis=1, keepdims=True), table.sum(axis=0)
    return float((theirs * (table / (ours + theirs - table)).max(axis=0)).sum() / theirs.sum())


def rand_index(table: np.ndarray) -> float:
    """Share of the pairs of pixels on which the two segmentations agree (Rand 1971).

    Its mean over annotators is the PRI (Unnikrishnan, Pantofaru & Hebert, TPAMI 2007).
    """
    total = table.sum()
    pairs = total * (total - 1)
    if pairs == 0:
        return 1.0
    apart = (table.sum(axis=0) ** 2).sum() + (table.sum(axis=1) ** 2).sum() - 2 * (table**2).sum()
    return float(1 - apart / pairs)


def variation(table: np.ndarray) -> float:
    """H(ours | theirs) + H(theirs | ours) in bits (Meilă, COLT 2003; ICML 2005)."""

    def entropy(counts: np.ndarray) -> float:
        share = counts[counts > 0] / table.sum()
        return float(-(share * np.log2(share)).sum())

    # Rounding may take the difference a hair below 0, which no distance is.
    return max(2 * entropy(table.ravel()) - entropy(table.sum(axis=0)) - entropy(table.sum(axis=1)), 0.0)
