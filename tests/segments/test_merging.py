"""Greedy merging against a naive twin that prices every pair anew at each step."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.segments.merging import RegionGraph, merge_regions, region_graph
from napari_what_where.segments.superpixels import waterpixels


def naive_merging(leaves, features, strength, edge_weight, power):
    """Regions as pixel masks; means and boundaries from the pixels, every pair at every step."""
    regions = {i: leaves == i for i in range(leaves.max() + 1)}
    squared, children, heights, count = strength.astype(float) ** 2, [], [], len(regions)
    while len(regions) > 1:
        best = None
        for first in sorted(regions):
            for second in sorted(regions):
                if first >= second:
                    continue
                edges = []
                for one, other in ((regions[first], regions[second]), (regions[second], regions[first])):
                    for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
                        meet = one[low] & other[high]
                        edges += np.maximum(squared[low], squared[high])[meet].tolist()
                if not edges:
                    continue
                areas = [regions[i].sum() / leaves.size for i in (first, second)]
                means = [features[regions[i]].mean(axis=0, dtype=float) for i in (first, second)]
                cost = 0.5 * np.sum((means[0] - means[1]) ** 2) + 0.5 * edge_weight * np.mean(edges) + 1e-7
                cost *= (areas[0] * areas[1] / sum(areas)) ** power
                if best is None or cost < best[0]:
                    best = cost, first, second
        cost, first, second = best
        regions[count + len(children)] = regions.pop(first) | regions.pop(second)
        children.append((first, second))
        heights.append(cost)
    return np.array(children).reshape(-1, 2), np.maximum.accumulate(heights)


@given(seed=st.integers(0, 10**6), edge=st.sampled_from([0.0, 1.0]), power=st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=20, deadline=None)
def test_agrees_with_the_naive_twin(seed, edge, power):
    rng = np.random.default_rng(seed)
    strength = rng.random((12, 15)).astype(np.float32)
    leaves = waterpixels(strength, 14, 0.1)
    features = rng.random((12, 15, 3)).astype(np.float32)
    graph = region_graph(leaves, features, strength)
    children, heights = merge_regions(graph, edge_weight=edge, power=power)
    expected, expected_heights = naive_merging(leaves, features, strength, edge, power)
    np.testing.assert_array_equal(np.sort(children, axis=1), expected)
    np.testing.assert_allclose(heights, expected_heights, rtol=1e-6)


def test_one_region_needs_no_merging():
    empty = np.zeros(0)
    graph = RegionGraph(np.ones(1), np.zeros((1, 2)), np.zeros((0, 2), np.int64), empty, empty)
    children, heights = merge_regions(graph)
    assert children.shape == (0, 2)
    assert heights.shape == (0,)
