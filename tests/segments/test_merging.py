"""Greedy merging against a naive twin that prices every pair anew at each step."""

from __future__ import annotations

import gc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.progress import Cancelled
from napari_what_where.segments.features import FeatureGroup
from napari_what_where.segments.graph import RegionGraph, region_graph
from napari_what_where.segments.merging import FLOOR, MergeCost, merge_regions
from napari_what_where.segments.superpixels import waterpixels


def shared_edges(one, other, squared):
    """The edge strength at every pixel pair where two masks meet."""
    edges = []
    for a, b in ((one, other), (other, one)):
        for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
            meet = a[low] & b[high]
            edges += np.sqrt(np.maximum(squared[low], squared[high]))[meet].tolist()
    return edges


def naive_cost(one, other, features, squared, cost_of):
    edges = shared_edges(one, other, squared)
    if not edges:
        return np.inf
    outline = min(len(shared_edges(mask, ~mask, squared)) for mask in (one, other))
    areas = one.mean(), other.mean()
    difference = features[one].mean(axis=0, dtype=float) - features[other].mean(axis=0, dtype=float)
    cost = 0.5 * np.sum(difference**2) + 0.5 * np.mean(edges) ** 2 + FLOOR
    cost *= min(1, min(areas) / cost_of.grain) if cost_of.grain else 1
    return (
        cost * (areas[0] * areas[1] / sum(areas)) ** cost_of.area_power * (outline / len(edges)) ** cost_of.compactness
    )


def naive_merging(leaves, features, squared, cost_of):
    """Regions as pixel masks; every pair priced from its pixels at every step."""
    regions = {i: leaves == i for i in range(leaves.max() + 1)}
    children, heights, count = [], [], len(regions)
    while len(regions) > 1:
        cost, first, second = min(
            (naive_cost(regions[a], regions[b], features, squared, cost_of), a, b)
            for a in regions
            for b in regions
            if a < b
        )
        regions[count + len(children)] = regions.pop(first) | regions.pop(second)
        children.append((first, second))
        heights.append(cost)
    return np.array(children).reshape(-1, 2), np.maximum.accumulate(heights)


COSTS = [MergeCost(0.0, 0.0), MergeCost(0.3, 0.2), MergeCost(1.0, 0.0), MergeCost(0.3, 0.2, 0.15)]


@given(seed=st.integers(0, 10**6), cost=st.sampled_from(COSTS))
@settings(max_examples=20, deadline=None)
def test_agrees_with_the_naive_twin(seed, cost):
    rng = np.random.default_rng(seed)
    squared = rng.random((12, 15)).astype(np.float32)
    leaves = waterpixels(squared, 14, 0.1)
    features = rng.random((12, 15, 3)).astype(np.float32)
    graph = region_graph(
        leaves, [FeatureGroup(features[..., :2], squared / 2), FeatureGroup(features[..., 2:], squared / 2)]
    )
    children, heights = merge_regions(graph, cost)
    expected, expected_heights = naive_merging(leaves, features, squared, cost)
    np.testing.assert_array_equal(np.sort(children, axis=1), expected)
    np.testing.assert_allclose(heights, expected_heights, rtol=1e-4)


def test_one_region_needs_no_merging():
    empty = np.zeros(0)
    graph = RegionGraph(np.ones(1), np.zeros((1, 2)), np.zeros((0, 2), np.int64), empty, empty)
    children, heights = merge_regions(graph)
    assert children.shape == (0, 2)
    assert heights.shape == (0,)


def test_garbage_collection_is_on_again_after_merging_and_after_cancelling():
    pairs = np.array([[0, 1], [1, 2], [0, 2]])
    graph = RegionGraph(np.full(3, 1 / 3), np.eye(3), pairs, np.ones(3), np.ones(3))
    merge_regions(graph)
    assert gc.isenabled()

    def cancel(progress):
        assert not gc.isenabled()
        raise Cancelled

    with pytest.raises(Cancelled):
        merge_regions(graph, report=cancel)
    assert gc.isenabled()
