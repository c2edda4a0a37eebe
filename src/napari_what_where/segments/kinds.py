"""Kinds: which regions are alike in what they are, wherever they lie."""

from __future__ import annotations

import numpy as np

MOST_KINDS = 10
ALIKE = 0.1
"""Regions closer than this are of one kind: rounding and noise, in units of embedding coordinates, of which two
kinds of a planted image are some units apart."""


def kinds_of(means: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """The kind 1 … K of each region, 1 the one that covers most.

    Ward's agglomeration (Ward 1963) of the regions' mean coordinates, cut at the number of kinds, at most
    ``MOST_KINDS``, whose silhouettes, weighted by area, are best on average (Rousseeuw 1987).

    Parameters
    ----------
    means : (regions, coordinates) float
        Mean coordinates in a *what* embedding, see :func:`~napari_what_where.segments.leaves.node_means`.
    areas : (regions,) float
        Their areas, in any unit.

    Returns
    -------
    (regions,) int64

    Notes
    -----
    Deterministic; the order of the regions matters only to break ties. Cost: quadratic in the regions, 0.2 s for a
    thousand.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import pdist, squareform

    means, areas = np.asarray(means, np.float64), np.asarray(areas, np.float64)
    count = len(means)
    if count < 2:
        return np.ones(count, np.int64)
    distances = pdist(means)
    if distances.max() < ALIKE:
        return np.ones(count, np.int64)
    if count == 2:
        return _by_area(np.array([0, 1]), areas)
    merges, square = linkage(means, "ward"), squareform(distances)
    best, found = -np.inf, np.zeros(count, np.int64)
    for kinds in range(2, min(MOST_KINDS, count - 1) + 1):
        labels = fcluster(merges, kinds, "maxclust").astype(np.int64) - 1
        score = float(_silhouettes(square, labels) @ areas / areas.sum())
        if score > best + 1e-9:
            best, found = score, labels
    return _by_area(found, areas)


def node_kinds(means: np.ndarray, areas: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """The kind of every node of a region tree, (nodes,) int64: of those of a ``sample`` of nodes, the nearest.

    ``means`` (nodes, coordinates) and ``areas`` (nodes,) as :func:`kinds_of`; ``sample`` (regions,) int: nodes that
    tile the image. A region keeps its kind whatever else the image is cut into, and looking it up costs nothing.
    """
    kinds = kinds_of(means[sample], areas[sample])
    member = (kinds == np.arange(1, kinds.max() + 1)[:, None]) * areas[sample]
    centres = member @ means[sample] / member.sum(axis=1, keepdims=True)
    # ‖x − c‖² without ‖x‖², which all kinds share.
    return np.argmin((centres**2).sum(axis=1) - 2 * means @ centres.T, axis=1) + 1


def _silhouettes(distances: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(b − a) / max(a, b) of every point from all distances, 0 where it is alone (Rousseeuw 1987, section 2)."""
    member = labels[:, None] == np.arange(labels.max() + 1)
    sizes = member.sum(axis=0)
    sums = distances @ member
    own = sizes[labels]
    within = sums[member] / np.maximum(own - 1, 1)
    nearest = np.where(member, np.inf, sums / sizes).min(axis=1)
    larger = np.maximum(within, nearest)
    return np.where((own > 1) & (larger > 0), (nearest - within) / np.where(larger > 0, larger, 1.0), 0.0)


def _by_area(labels: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Labels numbered from 1 by falling area; equal ones by the region that comes first."""
    names, first, index = np.unique(labels, return_index=True, return_inverse=True)
    total = np.bincount(index, areas)
    rank = np.empty(len(names), np.int64)
    rank[np.lexsort((first, -total))] = np.arange(1, len(names) + 1)
    return rank[index]
