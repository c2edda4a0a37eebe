"""Which of many overlapping candidates to keep."""

from __future__ import annotations

from typing import Any

import numpy as np


def best_disjoint(children: np.ndarray, qualities: np.ndarray, areas: np.ndarray) -> list[int]:
    """The nodes of a binary tree that together have the best mean quality, none within another.

    A node stands if its own quality is at least the area-weighted mean of what its descendants offer, by dynamic
    programming from the leaves up (Arteta et al. 2012, "Learning to detect cells using non-overlapping extremal
    regions", with a mean for their sum: a sum would favour the finer choice wherever all qualities are positive).

    Parameters
    ----------
    children : (leaves − 1, 2) int
        Merge i joins two nodes into node ``leaves + i``; fewer merges leave a forest.
    qualities : (nodes,) float
        ≥ 0; a node of quality 0 is no candidate.
    areas : (nodes,) float
        Pixels that each candidate covers.

    Returns
    -------
    list of nodes, ascending
    """
    qualities, areas = np.asarray(qualities, np.float64), np.asarray(areas, np.float64)
    leaves = len(qualities) - len(children)
    value, weight = qualities.copy(), np.where(qualities > 0, areas, 0.0)
    stands = qualities > 0
    for i, (first, second) in enumerate(children.tolist()):
        node, both = leaves + i, weight[first] + weight[second]
        below = (weight[first] * value[first] + weight[second] * value[second]) / both if both else 0.0
        if below > value[node] or not stands[node]:
            stands[node], value[node], weight[node] = False, below, both
    covered = np.zeros(len(qualities), bool)
    for i in range(len(children) - 1, -1, -1):
        node = leaves + i
        covered[children[i]] = covered[node] or stands[node]
    return np.flatnonzero(stands & ~covered).tolist()


def suppress(masks: Any, scores: np.ndarray, overlap: float, areas: np.ndarray | None = None) -> list[int]:
    """Non-maximum suppression of masks: by falling score, keep each whose IoU with all kept ones is ≤ ``overlap``.

    Parameters
    ----------
    masks : (masks, cells) bool, dense or sparse
        Pixels, or cells of any ``areas``, (cells,).
    scores : (masks,) float
        Equal ones go by position.

    Returns
    -------
    list of indices, by falling score

    Notes
    -----
    Cost: one sparse product of the masks with their transpose.
    """
    from scipy.sparse import csr_array

    held = csr_array(masks).astype(np.float64)
    size = held @ (np.ones(held.shape[1]) if areas is None else np.asarray(areas, np.float64))
    weighted = held if areas is None else held * np.asarray(areas, np.float64)
    shared = csr_array(weighted @ held.T).tocoo()
    clash = shared.data > overlap * (size[shared.row] + size[shared.col] - shared.data)
    rows, columns = shared.row[clash], shared.col[clash]
    clashing = csr_array((np.ones(len(rows), bool), (rows, columns)), shape=shared.shape)
    is_kept, kept = np.zeros(len(size), bool), []
    for i in np.argsort(-np.asarray(scores), kind="stable").tolist():
        if not is_kept[clashing.indices[clashing.indptr[i] : clashing.indptr[i + 1]]].any():
            is_kept[i] = True
            kept.append(i)
    return kept
