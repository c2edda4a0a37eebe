"""Greedy merging of neighbouring regions, from leaves to one."""

from __future__ import annotations

import gc
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.segments.graph import RegionGraph

FLOOR = 1e-7
"""A trace of dissimilarity, so that areas keep regions even where there is nothing to tell them apart."""


@dataclass(frozen=True)
class MergeCost:
    """Cost of joining two regions, (|difference|² + w edge²) / (1 + w) · (n m / (n + m))^β · (outline / shared)^γ.

    With β = 1 and neither edge nor γ this is Ward's criterion (Ward 1963); the mean strength along the boundary is
    what Arbelaez et al. 2011, section 4, order their merges by. The last factor spares regions that hardly touch:
    outline is the shorter of the two, in the same unit as the shared boundary. The cost of a region smaller than
    ``grain`` (a fraction of the image) shrinks with its area, so that specks do not outlive things.
    """

    area_power: float = 0.3
    compactness: float = 0.15
    grain: float = 0.0
    edge_weight: float = 1.0

    def __call__(
        self, difference: np.ndarray, edge: np.ndarray, areas: tuple[np.ndarray, np.ndarray], share: np.ndarray
    ) -> np.ndarray:
        """Costs (…,) from ``difference`` (…, features) of the means, ``edge`` (…,) the mean strength along
        the boundary, the two ``areas`` (…,) as fractions of the image, and ``share`` = shared / outline (…,).
        """
        area, other = areas
        squared = np.einsum("...i,...i->...", difference, difference)
        dissimilarity = (squared + self.edge_weight * edge**2) / (1 + self.edge_weight) + FLOOR
        cost = dissimilarity * (area * other / (area + other)) ** self.area_power * share**-self.compactness
        return cost * np.minimum(1, np.minimum(area, other) / self.grain) if self.grain else cost


class _Merger:
    """Regions while they are merged; numbers ≥ the number of leaves are merged ones."""

    def __init__(self, graph: RegionGraph, cost: MergeCost) -> None:
        count = len(graph.areas)
        self.cost = cost
        self.areas = np.concatenate([graph.areas, np.zeros(count - 1)])
        self.features = np.concatenate([graph.features, np.zeros((count - 1, graph.features.shape[1]))])
        self.outlines = np.zeros(2 * count - 1)
        # For each region its neighbours, with the length of their boundary and the edge summed along it.
        self.neighbours: list[dict[int, tuple[float, float]]] = [{} for _ in range(2 * count - 1)]
        first, second = graph.pairs.T
        np.add.at(self.outlines, first, graph.lengths)
        np.add.at(self.outlines, second, graph.lengths)
        sums = (graph.lengths * graph.edges).tolist()
        for one, other, length, total in zip(
            first.tolist(), second.tolist(), graph.lengths.tolist(), sums, strict=True
        ):
            self.neighbours[one][other] = self.neighbours[other][one] = (length, total)
        costs = cost(
            graph.features[first] - graph.features[second],
            graph.edges,
            (graph.areas[first], graph.areas[second]),
            graph.lengths / np.minimum(self.outlines[first], self.outlines[second]),
        )
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
        areas, features = self.areas, self.features
        areas[merged] = areas[first] + areas[second]
        features[merged] = (areas[first] * features[first] + areas[second] * features[second]) / areas[merged]
        shared = self.neighbours[first][second][0]
        self.outlines[merged] = self.outlines[first] + self.outlines[second] - 2 * shared
        around = self._join_neighbours(first, second, merged)
        if not around:
            return
        others = np.fromiter(around, np.int64, len(around))
        lengths, sums = np.array(list(around.values())).T
        share = lengths / np.minimum(self.outlines[others], self.outlines[merged])
        costs = self.cost(features[others] - features[merged], sums / lengths, (areas[others], areas[merged]), share)
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


@contextmanager
def _postponed_collections() -> Iterator[None]:
    """No garbage collection while tens of thousands of tuples live for a tenth of a second.

    They would be promoted to the oldest generation and so bring about collections of everything the program holds:
    in a napari window 0.3 s, with all threads waiting.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def merge_regions(
    graph: RegionGraph,
    cost: MergeCost | None = None,
    report: Report = ignore_progress,
    span: tuple[int, int] = (0, 100),
) -> tuple[np.ndarray, np.ndarray]:
    """Merge the regions of a connected graph until one is left, the cheapest pair first.

    ``report`` hears of progress from the first to the second percentage of ``span``.

    Returns
    -------
    children : (regions − 1, 2) int64
        Merge i joins these two into node ``regions + i``.
    heights : (regions − 1,) float64
        The costs, made non-decreasing by a running maximum.

    Notes
    -----
    Equal costs are settled by the lower numbers, so the answer is always the same. Cost: a heap operation and some
    fifteen small numpy calls a merge, 0.04 s a thousand regions; ``report`` is called every 16 merges.
    """
    count = len(graph.areas)
    children = np.zeros((count - 1, 2), np.int64)
    heights = np.zeros(count - 1)
    with _postponed_collections():
        merger = _Merger(graph, cost or MergeCost())
        for i in range(count - 1):
            if i % 16 == 0:
                report(Progress("segments", span[0] + (span[1] - span[0]) * i // count, 100))
            heights[i], first, second = merger.cheapest()
            merger.join(first, second, count + i)
            children[i] = first, second
        del merger
    return children, np.maximum.accumulate(heights)
