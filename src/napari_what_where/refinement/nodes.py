"""Nodes of a region tree at the grid of a plane of labels: their leaves, areas, boxes and colours."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.progress import OFTEN, checkpoint
from napari_what_where.segments.superpixels import nearest_index
from napari_what_where.segments.tree import RegionTree
from napari_what_where.working_plane.object_scale import Part, Tile
from napari_what_where.working_plane.tiling import map_tiles

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis


def node_parents(children: np.ndarray) -> np.ndarray:
    """The node that each is merged into, (nodes,) int64; −1 for the root. ``children``: (L − 1, 2) int."""
    count = len(children) + 1
    parents = np.full(2 * count - 1, -1)
    parents[children.ravel()] = np.repeat(np.arange(count, 2 * count - 1), 2)
    return parents


def leaf_order(children: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``first``, ``last`` and ``order`` as :class:`~napari_what_where.refinement.guide.Guide` has them."""
    count = len(children) + 1
    sizes = [1] * count
    for one, other in children.tolist():
        sizes.append(sizes[one] + sizes[other])
    first = [0] * (2 * count - 1)
    for i in range(count - 2, -1, -1):
        if i % OFTEN == 0:
            checkpoint()
        one, other = children[i].tolist()
        first[one] = first[count + i]
        first[other] = first[count + i] + sizes[one]
    starts = np.array(first, np.int64)
    order = np.empty(count, np.int64)
    order[starts[:count]] = np.arange(count)
    return starts, starts + np.array(sizes, np.int64), order


def node_areas(tree: RegionTree, shape: tuple[int, int]) -> np.ndarray:
    """Pixels of each node in a plane of ``shape``, (nodes,) int64."""
    leaves, count = tree.working_leaves, tree.leaf_count
    rows, columns = (
        np.bincount(nearest_index(own, working), minlength=working).astype(np.float64)
        for own, working in zip(shape, leaves.shape, strict=True)
    )
    areas = np.zeros(2 * count - 1, np.int64)
    strip = max(1, 2**21 // leaves.shape[1])
    for top in range(0, len(leaves), strip):
        checkpoint()
        weights = np.outer(rows[top : top + strip], columns).ravel()
        areas[:count] += np.bincount(leaves[top : top + strip].ravel(), weights, minlength=count).astype(np.int64)
    for node, (one, other) in enumerate(tree.children.tolist(), count):
        areas[node] = areas[one] + areas[other]
    return areas


def node_boxes(tree: RegionTree, shape: tuple[int, int]) -> np.ndarray:
    """Bounding boxes of all nodes in a plane of ``shape``, from those in the image."""
    sides = []
    for axis in (0, 1):
        working = tree.working_leaves.shape[axis]
        of_image, own = nearest_index(tree.shape[axis], working), nearest_index(shape[axis], working)
        low, high = of_image[tree.statistics.low[:, axis]], of_image[tree.statistics.high[:, axis]]
        sides.append((np.searchsorted(own, low), np.searchsorted(own, high, side="right")))
    (top, bottom), (left, right) = sides
    return np.stack([top, left, bottom, right], axis=1)


def node_colours(analysis: Analysis, report: Callable[[float], None]) -> np.ndarray:
    """Mean channels of each node, (nodes, channels) float32."""
    tree, channels = analysis.tree, analysis.channels
    leaves, count = tree.working_leaves, tree.leaf_count
    if channels is None:
        return np.zeros((2 * count - 1, 0), np.float32)
    tiles = analysis.plane.tiles if analysis.plane else (Part.whole(leaves.shape).tile,)

    def sums(tile: Tile) -> np.ndarray:
        flat = leaves[tile.rows, tile.columns].ravel()
        planes = np.moveaxis(channels[tile.rows, tile.columns], 2, 0)
        checkpoint()
        columns: list[np.ndarray] = [np.bincount(flat, minlength=count).astype(np.float64)]
        columns += [np.bincount(flat, plane.ravel(), minlength=count) for plane in planes]
        return np.stack(columns, axis=1)

    totals = np.zeros((2 * count - 1, 1 + channels.shape[2]))
    for part in map_tiles(sums, tiles, report):
        totals[:count] += part
    for node, (one, other) in enumerate(tree.children.tolist(), count):
        totals[node] = totals[one] + totals[other]
    return (totals[:, 1:] / np.maximum(totals[:, :1], 1)).astype(np.float32)
