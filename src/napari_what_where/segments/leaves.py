"""Leaves of a plane and the graph of them, tile by tile where the plane is large."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import OFTEN, Progress, Report, checkpoint, checkpoints, ignore_progress
from napari_what_where.segments.coordinates import embedding_coordinates
from napari_what_where.segments.features import (
    FeatureGroup,
    Recipe,
    feature_groups,
    leaf_strength,
    token_coordinates,
)
from napari_what_where.segments.gradients import interpolate_to
from napari_what_where.segments.graph import LeafSums, RegionGraph, collect_graph, leaf_sums
from napari_what_where.segments.seams import join_seams
from napari_what_where.segments.superpixels import waterpixels_part
from napari_what_where.working_plane.lazy_channels import PlaneChannels
from napari_what_where.working_plane.object_scale import Part, Tile, WorkingPlane
from napari_what_where.working_plane.tiling import map_tiles


@dataclass(frozen=True)
class LeafWork:
    """What the leaves of one plane are found from.

    ``even``: (rows, columns, channels) float32, as :func:`~napari_what_where.segments.features.even_channels` gives
    them, whole or lazily; without ``follow_edges`` only its shape counts.
    """

    even: PlaneChannels
    embedding: Embedding
    plane: WorkingPlane
    recipe: Recipe
    follow_edges: bool

    def find_leaves(self, report: Report = ignore_progress) -> np.ndarray:
        """Leaves by edge strength, (rows, columns) int32 ids 0 … L − 1, each 4-connected.

        Memory: beside the leaves themselves, about ten float32 planes of a tile for each thread.
        """
        tokens, plane = token_coordinates(self.embedding, self.follow_edges), self.plane

        def flood(tile: Tile) -> np.ndarray:
            part, even = self.part(tile)
            checkpoint()
            strength = leaf_strength(
                even, self.embedding, follow_edges=self.follow_edges, recipe=self.recipe, part=part, tokens=tokens
            )
            checkpoint()
            found = waterpixels_part(strength, part, self.recipe.leaves, self.recipe.regularity)
            return np.ascontiguousarray(found[tile.within(part.tile)])

        if len(plane.tiles) == 1:
            return flood(plane.tiles[0])
        leaves = np.empty(plane.shape, np.int32)
        for tile, found in zip(plane.tiles, map_tiles(flood, plane.tiles, _percent(report, 5, 18)), strict=True):
            leaves[tile.rows, tile.columns] = found
        join_seams(leaves, plane.tiles, _percent(report, 18, 20))
        return leaves

    def graph(self, leaves: np.ndarray, report: Report = ignore_progress) -> RegionGraph:
        """The graph of ``leaves``, compared by all groups of features.

        Memory: some forty float32 planes of a tile for each thread.
        """
        tokens, plane = token_coordinates(self.embedding, self.follow_edges), self.plane
        whole = len(plane.tiles) == 1

        def measure(tile: Tile) -> LeafSums:
            part, even = self.part(tile)
            groups = feature_groups(
                even, self.embedding, follow_edges=self.follow_edges, recipe=self.recipe, part=part, tokens=tokens
            )
            bottom, right = min(tile.bottom + 1, plane.shape[0]), min(tile.right + 1, plane.shape[1])
            beyond = replace(tile, bottom=bottom, right=right)
            cropped = groups if whole else _cropped(groups, beyond.within(part.tile))
            ids = leaves[beyond.rows, beyond.columns]
            return leaf_sums(ids, tile.shape, cropped, report if whole else ignore_progress)

        parts = map_tiles(measure, plane.tiles, _percent(ignore_progress if whole else report, 20, 57))
        with checkpoints(report, Progress("segments", 57, 100)):
            return collect_graph(parts, int(leaves.max()) + 1)

    def part(self, tile: Tile) -> tuple[Part, np.ndarray]:
        """A tile with all around it that matters, and its channels."""
        window = tile.grown(self.plane.halo, self.plane.shape)
        part = Part(window, self.plane.shape)
        if self.follow_edges:
            return part, self.even[window.rows, window.columns]
        return part, np.empty((*window.shape, 0), np.float32)


def node_means(
    leaves: np.ndarray,
    children: np.ndarray,
    embedding: Embedding,
    plane: WorkingPlane | None = None,
    report: Report = ignore_progress,
) -> np.ndarray:
    """Mean embedding coordinates of every node of a region tree, (2 L − 1, coordinates) float32.

    ``leaves`` (rows, columns) int, ``children`` (L − 1, 2) int, as
    :class:`~napari_what_where.segments.tree.RegionTree` has them; ``embedding``: of *what*; ``plane``: how the leaves'
    plane is tiled.
    """
    sums = leaf_sums_of(leaves, len(children) + 1, embedding_coordinates(embedding), plane, report)
    totals = node_sums(sums, children)
    return (totals[:, 1:] / np.maximum(totals[:, :1], 1)).astype(np.float32)


def node_sums(sums: np.ndarray, children: np.ndarray) -> np.ndarray:
    """From sums over each leaf, (L, columns), those over each node of the tree, (2 L − 1, columns) float64."""
    count = len(sums)
    totals = np.concatenate([sums, np.zeros((count - 1, sums.shape[1]))])
    for i, (first, second) in enumerate(children.tolist()):
        if i % OFTEN == 0:
            checkpoint()
        totals[count + i] = totals[first] + totals[second]
    return totals


def leaf_sums_of(
    leaves: np.ndarray,
    count: int,
    tokens: np.ndarray,
    plane: WorkingPlane | None = None,
    report: Report = ignore_progress,
) -> np.ndarray:
    """Pixels of each leaf, and sums over them of what ``tokens`` are, interpolated: (leaves, 1 + columns) float64.

    ``tokens``: (grid_rows, grid_columns, columns) float32. Cost: a plane a column, a tile at a time.
    """
    tiles = plane.tiles if plane else (Part.whole(leaves.shape).tile,)

    def sums(tile: Tile) -> np.ndarray:
        flat = leaves[tile.rows, tile.columns].ravel()
        planes = interpolate_to(tokens, Part(tile, (leaves.shape[0], leaves.shape[1])))
        checkpoint()
        columns: list[np.ndarray] = [np.bincount(flat, minlength=count).astype(np.float64)]
        columns += [np.bincount(flat, each.ravel(), minlength=count) for each in np.moveaxis(planes, 2, 0)]
        return np.stack(columns, axis=1)

    totals = np.zeros((count, 1 + tokens.shape[2]))
    for part in map_tiles(sums, tiles, _percent(report, 97, 99)):
        totals += part
    return totals


def _percent(report: Report, low: int, high: int) -> Callable[[float], None]:
    """Takes a share of a step that goes from ``low`` to ``high`` percent of all segments."""
    return lambda share: report(Progress("segments", low + int((high - low) * share), 100))


def _cropped(groups: Iterator[FeatureGroup], window: tuple[slice, slice]) -> Iterator[FeatureGroup]:
    for group in groups:
        yield FeatureGroup(group.planes[window], group.squared[window])
