"""Candidates for objects as sets of leaves: nodes of the tree, and components of k-means."""

from __future__ import annotations

import numpy as np

from napari_what_where.progress import checkpoint
from napari_what_where.segments.clusters import kmeans
from napari_what_where.working_plane.object_scale import VIEW_LEAVES

CLUSTERS = range(2, 10)
"""Numbers of clusters whose components are candidates (Zhang, Yunis & Maire 2024, section 4.3)."""
MANY_LEAVES = 2 * VIEW_LEAVES
GROWTH = 1.1
"""Where there are many leaves, a node that is not larger by this factor than the largest candidate below it is none: it
looks the same, and without this the candidates would have as many leaves in all as the tree is deep times wide."""


def node_members(
    children: np.ndarray, areas: np.ndarray, size: tuple[float, float]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """The nodes of a tree with an area within ``size``, ascending, and the leaves of each, ascending.

    ``children`` (leaves − 1, 2) as :class:`~napari_what_where.segments.tree.RegionTree` has them; ``areas``
    (leaves,). Memory: the leaves of all candidates.
    """
    count = len(children) + 1
    total, below = np.concatenate([areas, np.zeros(count - 1)]), np.zeros(2 * count - 1)
    growth = GROWTH if count > MANY_LEAVES else 0.0
    chosen = []
    for node, (first, second) in enumerate([(-1, -1)] * count + children.tolist()):
        if node >= count:
            total[node] = total[first] + total[second]
            below[node] = max(below[first], below[second])
        if size[0] <= total[node] <= size[1] and total[node] >= growth * below[node]:
            below[node] = total[node]
            chosen.append(node)
    order, start, stop = _leaf_order(children)
    return np.array(chosen, np.int64), [np.sort(order[start[node] : stop[node]]) for node in chosen]


def _leaf_order(children: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Leaves in an order in which those of every node follow each other, and where each node's begin and end."""
    count = len(children) + 1
    size = [1] * count + [0] * (count - 1)
    pairs = children.tolist()
    for i, (first, second) in enumerate(pairs):
        size[count + i] = size[first] + size[second]
    start = [0] * (2 * count - 1)
    for i in range(count - 2, -1, -1):
        first, second = pairs[i]
        start[first], start[second] = start[count + i], start[count + i] + size[first]
    begin = np.array(start)
    order = np.empty(count, np.int64)
    order[begin[:count]] = np.arange(count)
    return order, begin, begin + np.array(size)


def component_members(
    leaves: np.ndarray, features: np.ndarray, areas: np.ndarray, size: tuple[float, float]
) -> list[np.ndarray]:
    """The leaves, ascending, of each connected component of each k-means with an area within ``size``; no repeats.

    ``leaves`` (rows, columns) int, ``features`` (leaves, dimensions). The order is one of sets, not of clusters.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(features)
    first, second = _neighbours(leaves, count)
    found: dict[bytes, np.ndarray] = {}
    for clusters in CLUSTERS:
        checkpoint()
        cluster = kmeans(features, clusters, weights=areas)
        same = cluster[first] == cluster[second]
        graph = coo_array((np.ones(int(same.sum())), (first[same], second[same])), shape=(count, count))
        part = connected_components(graph, directed=False)[1]
        order = np.argsort(part, kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(part[order])) + 1)
        fitting = (group for group in groups if size[0] <= areas[group].sum() <= size[1])
        found |= {group.tobytes(): group for group in fitting}
    # As rows of zeros and ones would be sorted: what lacks the first leaf that two do not share comes first.
    return sorted(found.values(), key=lambda group: (-group).tolist())


def _neighbours(leaves: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of leaves that touch, ascending, strip by strip."""
    codes, strip = [], max(1, 2**22 // leaves.shape[1])
    for top in range(0, len(leaves), strip):
        part = leaves[top : top + strip + 1].astype(np.int64)
        for low, high in ((part[:-1], part[1:]), (part[:, :-1], part[:, 1:])):
            codes.append(np.unique((low * count + high)[low != high]))
    code = np.unique(np.concatenate(codes))
    return code // count, code % count
