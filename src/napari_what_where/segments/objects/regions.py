"""Objects among the regions of the tree and the components of k-means over its leaves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import checkpoint
from napari_what_where.segments.clusters import kmeans
from napari_what_where.segments.coordinates import embedding_coordinates
from napari_what_where.segments.gradients import interpolate
from napari_what_where.segments.objects.selection import best_disjoint, suppress
from napari_what_where.segments.objects.shapes import RING, Bounds, box_of, distinctness, outline_share, solidity

CLUSTERS = range(2, 10)
"""Numbers of clusters whose components are candidates (Zhang, Yunis & Maire 2024, section 4.3)."""
DIMENSIONS = 6
COARSE = 300
"""Pixels to the longest side of the plane on which regions are assessed: they are far larger."""
SMALLEST_SHARE = 1 / 400
"""Smaller regions are a leaf or two of the tree: too coarse for candidates."""
CONVEXITY_POWER = 2
"""Lower than for small objects: things in photographs have limbs and handles."""
CONTRAST, LEAST_CONTRAST = 0.7, 0.1
"""A region is to differ from what is around it by this share of the spread of the whole image, and by this much."""


class RegionObjects(NamedTuple):
    """Disjoint objects made of leaves: ``labels`` (leaves,) int64, 0 for none; ``qualities`` of 1 …, (objects,)."""

    labels: np.ndarray
    qualities: np.ndarray


def region_objects(
    leaves: np.ndarray, children: np.ndarray, features: np.ndarray, bounds: Bounds, quality: float, overlap: float
) -> RegionObjects:
    """The best nodes of a region tree and the best components of k-means over its leaves, made disjoint.

    Parameters
    ----------
    leaves : (rows, columns) int
    children : (leaves − 1, 2) int
        As :class:`~napari_what_where.segments.tree.RegionTree` has them.
    features : (leaves, dimensions) float
        In which regions are compared, see :func:`leaf_features`.
    bounds : Bounds
        In pixels of ``leaves``.
    quality, overlap : float
        Worse candidates go; and of two with a greater IoU, the worse.

    Notes
    -----
    Cost: about a millisecond a candidate, some hundreds of them.
    """
    areas = np.bincount(leaves.ravel(), minlength=len(features)).astype(np.float64)
    nodes = _node_members(children)
    members = np.concatenate([nodes, _component_members(leaves, features, areas)])
    qualities = _qualities(members, leaves, features, areas, bounds)
    standing = best_disjoint(children, qualities[: len(nodes)], nodes @ areas)
    chosen = np.array([*standing, *range(len(nodes), len(members))], np.int64)
    chosen = chosen[qualities[chosen] >= quality]
    kept = chosen[suppress(members[chosen], qualities[chosen], overlap, areas)]
    return _disjoint(members[kept], qualities[kept], areas)


def leaf_features(
    leaves: np.ndarray, embedding: Embedding, channels: np.ndarray | None, weights: tuple[float, float]
) -> np.ndarray:
    """Mean embedding coordinates and perceptual channels of each leaf, weighted, in their principal directions.

    ``channels``: (rows, columns, channels) or None; ``weights``: of coordinates and of channels.
    Returns (leaves, at most DIMENSIONS) float64, of mean 0 over the image.
    """
    planes = [
        np.float32(weights[0]) * interpolate(embedding_coordinates(embedding), (leaves.shape[0], leaves.shape[1]))
    ]
    if channels is not None:
        planes.append(np.float32(weights[1]) * channels)
    areas = np.bincount(leaves.ravel()).astype(np.float64)
    columns = np.moveaxis(np.concatenate(planes, axis=2), 2, 0)
    sums = [np.bincount(leaves.ravel(), plane.ravel(), minlength=len(areas)) for plane in columns]
    means = np.stack(sums, axis=1) / np.maximum(areas, 1)[:, None]
    centred = means - areas @ means / areas.sum()
    directions = np.linalg.svd(centred * np.sqrt(areas)[:, None], full_matrices=False)[2][:DIMENSIONS]
    return centred @ directions.T


def _node_members(children: np.ndarray) -> np.ndarray:
    """Which leaves each node of the tree holds, (nodes, leaves) bool."""
    count = len(children) + 1
    members = np.concatenate([np.eye(count, dtype=bool), np.zeros((count - 1, count), bool)])
    for i, (first, second) in enumerate(children.tolist()):
        np.logical_or(members[first], members[second], out=members[count + i])
    return members


def _component_members(leaves: np.ndarray, features: np.ndarray, areas: np.ndarray) -> np.ndarray:
    """Which leaves each connected component of each k-means holds, (components, leaves) bool, without repeats."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(features)
    steps = ((leaves[:-1], leaves[1:]), (leaves[:, :-1], leaves[:, 1:]))
    pairs = np.concatenate([np.stack([low.ravel(), high.ravel()]) for low, high in steps], axis=1).astype(np.int64)
    code = np.unique(pairs[0] * count + pairs[1])
    first, second = code // count, code % count
    found = []
    for clusters in CLUSTERS:
        cluster = kmeans(features, clusters, weights=areas)
        same = cluster[first] == cluster[second]
        graph = coo_array((np.ones(int(same.sum())), (first[same], second[same])), shape=(count, count))
        parts, part = connected_components(graph, directed=False)
        found.append(np.arange(parts)[:, None] == part)
    return np.unique(np.concatenate(found), axis=0)


def _qualities(
    members: np.ndarray, leaves: np.ndarray, features: np.ndarray, areas: np.ndarray, bounds: Bounds
) -> np.ndarray:
    """Quality of each candidate, (candidates,), 0 for those out of bounds; on a coarse plane."""
    step = max(1, round(max(leaves.shape) / COARSE))
    coarse = leaves[step // 2 :: step, step // 2 :: step]
    values = features[coarse]
    spread = float(np.sqrt(areas @ (features**2).sum(axis=1) / areas.sum()))
    floor = max(CONTRAST * spread, LEAST_CONTRAST)
    size = members @ areas
    least = max(bounds.least, SMALLEST_SHARE * leaves.size)
    qualities = np.zeros(len(members))
    for i in np.flatnonzero((size >= least) & (size <= bounds.most)).tolist():
        checkpoint()
        mask = members[i][coarse]
        if not mask.any() or outline_share(mask) > bounds.outline:
            continue
        box = box_of(mask, RING)
        apart = distinctness(values[box], mask[box], floor)[1]
        qualities[i] = apart * solidity(mask[box]) ** CONVEXITY_POWER if apart > 0 else 0.0
    return qualities


def _disjoint(members: np.ndarray, qualities: np.ndarray, areas: np.ndarray) -> RegionObjects:
    """Leaves of the better candidates first; one that has lost more than half of itself goes altogether."""
    labels, kept = np.zeros(members.shape[1], np.int64), []
    for i in np.argsort(-qualities, kind="stable").tolist():
        free = members[i] & (labels == 0)
        if areas[free].sum() > 0.5 * areas[members[i]].sum():
            kept.append(float(qualities[i]))
            labels[free] = len(kept)
    return RegionObjects(labels, np.array(kept))
