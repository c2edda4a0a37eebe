"""Greedy merging of neighbouring regions, from leaves to one."""

from __future__ import annotations

import gc
import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from napari_what_where.progress import OFTEN, Progress, Report, checkpoint, checkpoints, ignore_progress
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
    """Regions while they are merged; numbers ≥ the number of leaves are merged ones.

    A region never changes, so neither does the cost of a pair. Each pair belongs to its region of higher number, which
    has its pairs in order of cost; only the first that still stands is in the heap. So a region with thousands of
    neighbours, as a background has, costs one sort when it grows, and no pushes. Its dictionary is handed on to what
    it becomes a part of: who its neighbours are is kept for *places*, which merged regions take over.
    """

    def __init__(self, graph: RegionGraph, cost: MergeCost) -> None:
        count = len(graph.areas)
        self.cost = cost
        self.areas = np.concatenate([graph.areas, np.zeros(count - 1)])
        self.features = np.concatenate([graph.features, np.zeros((count - 1, graph.features.shape[1]))])
        self.outlines = np.zeros(2 * count - 1)
        # Of each boundary its length, and the edge summed along it.
        self.lengths, self.sums = graph.lengths.copy(), graph.lengths * graph.edges
        self.region_at = np.arange(count)
        self.place_of = [*range(count), *[0] * (count - 1)]
        # For each place its neighbours' places, with the number of their boundary.
        self.neighbours: list[dict[int, int]] = [{} for _ in range(count)]
        first, second = graph.pairs.T
        np.add.at(self.outlines, first, graph.lengths)
        np.add.at(self.outlines, second, graph.lengths)
        for boundary, (one, other) in enumerate(graph.pairs.tolist()):
            if boundary % OFTEN == 0:
                checkpoint()
            self.neighbours[one][other] = self.neighbours[other][one] = boundary
        costs = cost(
            graph.features[first] - graph.features[second],
            graph.edges,
            (graph.areas[first], graph.areas[second]),
            graph.lengths / np.minimum(self.outlines[first], self.outlines[second]),
        )
        self.stands = bytearray([1] * count + [0] * (count - 1))
        self.pairs: list[Iterator[tuple[float, int]]] = [iter(())] * (2 * count - 1)
        self.heap: list[tuple[float, int, int]] = []
        self._queue_leaves(costs, first, second)

    def _queue_leaves(self, costs: np.ndarray, first: np.ndarray, second: np.ndarray) -> None:
        order = np.lexsort((first, costs, second))
        costs, first, second = costs[order], first[order], second[order]
        ends = [*np.flatnonzero(np.diff(second)) + 1, len(second)]
        for number, (start, end) in enumerate(zip([0, *ends[:-1]], ends, strict=True)):
            if number % OFTEN == 0:
                checkpoint()
            if end > start:
                self._queue(int(second[start]), costs[start:end], first[start:end])

    def _queue(self, region: int, costs: np.ndarray, others: np.ndarray) -> None:
        """Keep the pairs of a region with others of lower numbers, in order of cost, and add the first to the heap."""
        self.pairs[region] = zip(costs.tolist(), others.tolist(), strict=True)
        lowest, other = next(self.pairs[region])
        heapq.heappush(self.heap, (lowest, other, region))

    def cheapest(self) -> tuple[float, int, int]:
        """The cheapest pair of regions that both still stand."""
        heap, stands = self.heap, self.stands
        while True:
            cost, first, second = heap[0]
            if stands[first] and stands[second]:
                return cost, first, second
            following = next(((c, f) for c, f in self.pairs[second] if stands[f]), None) if stands[second] else None
            if following:
                heapq.heapreplace(heap, (*following, second))
            else:
                heapq.heappop(heap)

    def join(self, first: int, second: int, merged: int) -> None:
        """Replace two neighbours by one region and queue its boundaries."""
        areas, features = self.areas, self.features
        areas[merged] = areas[first] + areas[second]
        features[merged] = (areas[first] * features[first] + areas[second] * features[second]) / areas[merged]
        place, gone = self.place_of[first], self.place_of[second]
        shared = self.lengths[self.neighbours[place][gone]]
        self.outlines[merged] = self.outlines[first] + self.outlines[second] - 2 * shared
        self.stands[first] = self.stands[second] = 0
        self.pairs[first] = self.pairs[second] = iter(())
        around = self._join_places(place, gone, merged)
        if not around:
            return
        others = self.region_at[np.fromiter(around, np.int64, len(around))]
        boundaries = np.fromiter(around.values(), np.int64, len(around))
        lengths, sums = self.lengths[boundaries], self.sums[boundaries]
        share = lengths / np.minimum(self.outlines[others], self.outlines[merged])
        costs = self.cost(features[others] - features[merged], sums / lengths, (areas[others], areas[merged]), share)
        order = np.lexsort((others, costs))
        self._queue(merged, costs[order], others[order])

    def _join_places(self, place: int, gone: int, merged: int) -> dict[int, int]:
        """The neighbours of a region that takes over the place, of two, which has more of them."""
        if len(self.neighbours[place]) < len(self.neighbours[gone]):
            place, gone = gone, place
        around = self.neighbours[place]
        del around[gone]
        for other, boundary in self.neighbours[gone].items():
            if other == place:
                continue
            theirs = self.neighbours[other]
            del theirs[gone]
            known = around.setdefault(other, boundary)
            if known == boundary:
                theirs[place] = boundary
            else:
                self.lengths[known] += self.lengths[boundary]
                self.sums[known] += self.sums[boundary]
        self.neighbours[gone] = {}
        self.region_at[place], self.place_of[merged] = merged, place
        self.stands[merged] = 1
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
        with checkpoints(report, Progress("segments", span[0], 100)):
            merger = _Merger(graph, cost or MergeCost())
        for i in range(count - 1):
            if i % 16 == 0:
                report(Progress("segments", span[0] + (span[1] - span[0]) * i // count, 100))
            heights[i], first, second = merger.cheapest()
            merger.join(first, second, count + i)
            children[i] = first, second
        del merger
    return children, np.maximum.accumulate(heights)
