"""Objects among the regions of the tree and the components of k-means over its leaves."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import checkpoint
from napari_what_where.segments.coordinates import embedding_coordinates
from napari_what_where.segments.gradients import interpolate_to
from napari_what_where.segments.objects.members import component_members, node_members
from napari_what_where.segments.objects.selection import best_disjoint, suppress
from napari_what_where.segments.objects.shapes import RING, Bounds, distinctness, solidity
from napari_what_where.segments.objects.tiled import LARGE, core_tiles
from napari_what_where.working_plane.lazy_channels import PlaneChannels
from napari_what_where.working_plane.object_scale import VIEW_LEAVES, Part, Tile

DIMENSIONS = 6
COARSE = 300
"""Pixels to the longest side of the plane on which regions are assessed: they are far larger."""
SMALLEST_SHARE, LEAST_LEAVES = 1 / 400, 3.75
"""Regions of a smaller share of the plane, or of fewer average leaves where there are more than in one view, are a leaf
or two of the tree: too coarse for candidates."""
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
        Worse candidates go; and of two with a greater IoU, the worse. What is out of bounds is none, whatever its
        quality.

    Notes
    -----
    Cost: about a millisecond a candidate: some hundreds for a tree of 1500 leaves, some ten thousands for 80,000.
    """
    areas = leaf_areas(leaves, len(features))
    smallest = max(bounds.least, min(SMALLEST_SHARE, LEAST_LEAVES / len(features)) * leaves.size)
    size = smallest, bounds.most
    nodes, members = node_members(children, areas, size)
    members += component_members(leaves, features, areas, size)
    qualities = _qualities(members, leaves, features, areas, bounds.outline)
    # Nodes out of bounds, and those that are not told from the one below them, are no candidates.
    of_nodes, areas_of_nodes = np.zeros((2, 2 * len(children) + 1))
    of_nodes[nodes] = qualities[: len(nodes)]
    areas_of_nodes[nodes] = [areas[inside].sum() for inside in members[: len(nodes)]]
    standing = np.searchsorted(nodes, best_disjoint(children, of_nodes, areas_of_nodes))
    chosen = np.array([*standing, *range(len(nodes), len(members))], np.int64)
    chosen = chosen[qualities[chosen] >= quality]
    if not len(chosen):
        return RegionObjects(np.zeros(len(features), np.int64), np.zeros(0))
    masks = _as_matrix([members[i] for i in chosen], len(features))
    kept = chosen[suppress(masks, qualities[chosen], overlap, areas)]
    return _disjoint([members[i] for i in kept], qualities[kept], areas)


def leaf_areas(leaves: np.ndarray, count: int) -> np.ndarray:
    """Pixels of each leaf, (count,) float64."""
    strip = max(1, 2**22 // leaves.shape[1])
    parts = (leaves[first : first + strip].ravel() for first in range(0, len(leaves), strip))
    return np.sum([np.bincount(part, minlength=count) for part in parts], axis=0).astype(np.float64)


def leaf_features(
    leaves: np.ndarray, embedding: Embedding, channels: PlaneChannels | None, weights: tuple[float, float]
) -> np.ndarray:
    """Mean embedding coordinates and perceptual channels of each leaf, weighted, in their principal directions.

    ``channels``: (rows, columns, channels) or None; ``weights``: of coordinates and of channels.
    Returns (leaves, at most DIMENSIONS) float64, of mean 0 over the image.
    """
    coordinates = np.float32(weights[0]) * embedding_coordinates(embedding)
    shape, count = (leaves.shape[0], leaves.shape[1]), int(leaves.max()) + 1
    areas = leaf_areas(leaves, count)
    sums = np.zeros((count, coordinates.shape[2] + (0 if channels is None else channels.shape[2])))
    for tile in core_tiles(shape) if leaves.size > LARGE else [Tile(0, shape[0], 0, shape[1])]:
        checkpoint()
        planes = [interpolate_to(coordinates, Part(tile, shape))]
        if channels is not None:
            planes.append(np.float32(weights[1]) * channels[tile.rows, tile.columns])
        inside = leaves[tile.rows, tile.columns].ravel()
        columns = np.moveaxis(np.concatenate(planes, axis=2), 2, 0)
        sums += np.stack([np.bincount(inside, plane.ravel(), minlength=count) for plane in columns], axis=1)
    means = sums / np.maximum(areas, 1)[:, None]
    centred = means - areas @ means / areas.sum()
    directions = np.linalg.svd(centred * np.sqrt(areas)[:, None], full_matrices=False)[2][:DIMENSIONS]
    return centred @ directions.T


def _qualities(
    members: list[np.ndarray], leaves: np.ndarray, features: np.ndarray, areas: np.ndarray, outline: float
) -> np.ndarray:
    """Quality of each candidate, (candidates,), on a coarse plane; 0 for those that hold too much of its sides."""
    step = max(1, round(max(leaves.shape) / (COARSE * max(1.0, np.sqrt(len(features) / VIEW_LEAVES)))))
    coarse = leaves[step // 2 :: step, step // 2 :: step]
    sides = np.concatenate([coarse[0], coarse[-1], coarse[:, 0], coarse[:, -1]])
    spread = float(np.sqrt(areas @ (features**2).sum(axis=1) / areas.sum()))
    floor = max(CONTRAST * spread, LEAST_CONTRAST)
    low, high = _leaf_boxes(coarse, len(features))
    qualities, inside = np.zeros(len(members)), np.zeros(len(features), bool)
    for i, member in enumerate(members):
        if i % 16 == 0:
            checkpoint()
        inside[member] = True
        share = np.count_nonzero(inside[sides]) / sides.size
        first, last = low[member].min(axis=0), high[member].max(axis=0)
        if share <= outline and (first < last).all():
            box = _box(first, last, coarse.shape)
            # Far larger ones are assessed on a coarser plane, so that each costs about the same.
            coarser = max(1, round(max(last - first) / (1.5 * COARSE)))
            around = coarse[box][::coarser, ::coarser]
            mask = inside[around]
            apart = distinctness(features[around], mask, floor)[1] if mask.any() else 0.0
            qualities[i] = apart * solidity(mask) ** CONVEXITY_POWER if apart > 0 else 0.0
        inside[member] = False
    return qualities


def _leaf_boxes(coarse: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """First row and column of each leaf in a plane, and one past the last, (leaves, 2); else reversed."""
    from scipy.ndimage import find_objects

    low, high = np.full((count, 2), max(coarse.shape)), np.zeros((count, 2), np.int64)
    for leaf, box in enumerate(find_objects(coarse + 1, count)):
        if box is not None:
            low[leaf], high[leaf] = [side.start for side in box], [side.stop for side in box]
    return low, high


def _box(first: np.ndarray, last: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(int(low) - RING, 0), min(int(high) + RING, length))
        for low, high, length in zip(first, last, shape, strict=True)
    )
    return rows, columns


def _as_matrix(members: list[np.ndarray], count: int) -> Any:
    """Sets of leaves as the rows of a sparse (sets, leaves) bool matrix."""
    from scipy.sparse import csr_array

    starts = np.cumsum([0, *(len(member) for member in members)])
    leaves = np.concatenate(members)
    return csr_array((np.ones(len(leaves), bool), leaves, starts), shape=(len(members), count))


def _disjoint(members: list[np.ndarray], qualities: np.ndarray, areas: np.ndarray) -> RegionObjects:
    """Leaves of the better candidates first; one that has lost more than half of itself goes altogether."""
    labels, kept = np.zeros(len(areas), np.int64), []
    for i in np.argsort(-qualities, kind="stable").tolist():
        free = members[i][labels[members[i]] == 0]
        if areas[free].sum() > 0.5 * areas[members[i]].sum():
            kept.append(float(qualities[i]))
            labels[free] = len(kept)
    return RegionObjects(labels, np.array(kept))
