"""Greedy merging of neighbouring regions, from leaves to one."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from napari_what_where.progress import Progress, Report, ignore_progress


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Regions and the boundaries between them.

    Attributes
    ----------
    areas : (regions,) float64
        As fractions of the image.
    features : (regions, features) float64
        Means over each region.
    pairs : (boundaries, 2) int64
        Neighbouring regions, first < second, each pair once.
    lengths, edges : (boundaries,) float64
        Number of pixel pairs along each boundary, and the mean squared edge strength over them.
    """

    areas: np.ndarray
    features: np.ndarray
    pairs: np.ndarray
    lengths: np.ndarray
    edges: np.ndarray


def region_graph(leaves: np.ndarray, features: np.ndarray, strength: np.ndarray) -> RegionGraph:
    """The graph of (rows, columns) ``leaves`` with ids 0 … L − 1, from planes of features and edge strength.

    ``features`` (rows, columns, features) and ``strength`` (rows, columns). The strength between two pixels is the
    larger of the two. Cost: one pass for each feature.
    """
    flat, count = leaves.ravel(), int(leaves.max()) + 1
    pixels = np.bincount(flat, minlength=count).astype(np.float64)
    planes = features.reshape(flat.size, -1).T
    means = [np.bincount(flat, plane, minlength=count) / pixels for plane in planes]
    squared = strength.astype(np.float64) ** 2
    codes, weights = [], []
    for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        first, second = leaves[low], leaves[high]
        across = first != second
        smaller = np.minimum(first, second)[across].astype(np.int64)
        codes.append(smaller * count + np.maximum(first, second)[across])
        weights.append(np.maximum(squared[low], squared[high])[across])
    code, index = np.unique(np.concatenate(codes), return_inverse=True)
    lengths = np.bincount(index, minlength=len(code)).astype(np.float64)
    edges = np.bincount(index, np.concatenate(weights), minlength=len(code)) / np.maximum(lengths, 1)
    pairs = np.stack([code // count, code % count], axis=1)
    return RegionGraph(pixels / flat.size, np.stack(means, axis=1).reshape(count, -1), pairs, lengths, edges)


def merge_cost(
    difference: np.ndarray, edge: np.ndarray, area: np.ndarray, other: np.ndarray, *, edge_weight: float, power: float
) -> np.ndarray:
    """Cost of joining two regions: (½ |difference|² + ½ edge) · (n m / (n + m))^power.

    ``difference`` (…, features) of their means, ``edge`` (…,) mean squared strength along their boundary, ``area``
    and ``other`` (…,) as fractions of the image. power = 1 without the edge is Ward's criterion (Ward 1963); the
    mean strength of the boundary is what Arbelaez et al. 2011, section 4, order their merges by.
    """
    # A trace of area keeps regions even where there is nothing to tell them apart.
    dissimilarity = 0.5 * (difference**2).sum(axis=-1) + 0.5 * edge_weight * edge + 1e-7
    return dissimilarity * (area * other / (area + other)) ** power


class _Merger:
    """Regions while they are merged; numbers ≥ the number of leaves are merged ones."""

    def __init__(self, graph: RegionGraph, edge_weight: float, power: float) -> None:
        count = len(graph.areas)
        self.areas = np.concatenate([graph.areas, np.zeros(max(count - 1, 0))])
        self.features = np.concatenate([graph.features, np.zeros((max(count - 1, 0), graph.features.shape[1]))])
        self.weights = {"edge_weight": edge_weight, "power": power}
        # For each region its neighbours, with the length of their boundary and the edge summed along it.
        self.neighbours: list[dict[int, tuple[float, float]]] = [{} for _ in range(2 * count - 1)]
        for (first, second), length, edge in zip(
            graph.pairs.tolist(), graph.lengths.tolist(), graph.edges.tolist(), strict=True
        ):
            self.neighbours[first][second] = self.neighbours[second][first] = (length, length * edge)
        first, second = graph.pairs.T
        difference = graph.features[first] - graph.features[second]
        costs = merge_cost(difference, graph.edges, graph.areas[first], graph.areas[second], **self.weights)
        self.heap = list(zip(costs.tolist(), first.tolist(), second.tolist(), strict=True))
        heapq.heapify(self.heap)

    def cheapest(self) -> tuple[float, int, int]:
        """The cheapest pair of regions that both still stand."""
        while True:
            cost, first, second = heapq.heappop(self.heap)
            if second in self.neighbours[first]:
                return cost, first, second

    def join(self, first: int, second: int, merged: int) -> None:
        """Replace two neighbours by one region and queue its boundaries."""
        area = self.areas[first] + self.areas[second]
        self.areas[merged] = area
        self.features[merged] = (
            self.areas[first] * self.features[first] + self.areas[second] * self.features[second]
        ) / area
        around = self._join_neighbours(first, second, merged)
        if not around:
            return
        others = np.fromiter(around, np.int64, len(around))
        lengths, sums = np.array(list(around.values())).T
        difference = self.features[others] - self.features[merged]
        costs = merge_cost(difference, sums / lengths, self.areas[others], area, **self.weights)
        for cost, other in zip(costs.tolist(), around, strict=True):
            heapq.heappush(self.heap, (cost, other, merged))

    def _join_neighbours(self, first: int, second: int, merged: int) -> dict[int, tuple[float, float]]:
        around = self.neighbours[first]
        del around[second]
        for other, (length, total) in self.neighbours[second].items():
            if other != first:
                before = around.get(other, (0.0, 0.0))
                around[other] = (before[0] + length, before[1] + total)
        for other, boundary in around.items():
            theirs = self.neighbours[other]
            theirs.pop(first, None)
            theirs.pop(second, None)
            theirs[merged] = boundary
        self.neighbours[first], self.neighbours[second] = {}, {}
        self.neighbours[merged] = around
        return around


def merge_regions(
    graph: RegionGraph, *, edge_weight: float = 1.0, power: float = 0.3, report: Report = ignore_progress
) -> tuple[np.ndarray, np.ndarray]:
    """Merge the regions of a connected graph until one is left, the cheapest pair first (see :func:`merge_cost`).

    Returns
    -------
    children : (regions − 1, 2) int64
        Merge i joins these two into node ``regions + i``.
    heights : (regions − 1,) float64
        The costs, made non-decreasing by a running maximum.

    Notes
    -----
    Equal costs are settled by the lower numbers, so the answer is always the same. Cost: a heap operation and some
    ten small numpy calls a merge, 0.1 s a thousand regions; ``report`` is called every 64 merges.
    """
    count = len(graph.areas)
    children = np.zeros((count - 1, 2), np.int64)
    heights = np.zeros(count - 1)
    merger = _Merger(graph, edge_weight, power)
    for i in range(count - 1):
        if i % 64 == 0:
            report(Progress("segments", 50 + 50 * i // count, 100))
        heights[i], first, second = merger.cheapest()
        merger.join(first, second, count + i)
        children[i] = first, second
    return children, np.maximum.accumulate(heights)
