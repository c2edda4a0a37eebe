"""Consensus of trees: heights at which leaves meet, against ancestors listed one by one; what agrees is kept."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_what_where.segments.consensus import meeting_heights, merge_by_consensus, merge_leaves
from napari_what_where.segments.features import Recipe
from napari_what_where.segments.merging import MergeCost, merge_regions

from .helpers import grid_graph

COSTS = [MergeCost(edge_weight=weight) for weight in (0.25, 1.0, 4.0)]


def naive_meeting(children: np.ndarray, heights: np.ndarray, first: int, second: int) -> float:
    """The height of the first merge after which both leaves are in one region."""
    count = len(heights) + 1
    members = {i: {i} for i in range(count)}
    for i, (one, other) in enumerate(children.tolist()):
        members[count + i] = members[one] | members[other]
        if {first, second} <= members[count + i]:
            return float(heights[i])
    raise AssertionError


@pytest.mark.parametrize("seed", range(3))
def test_meeting_heights_agree_with_the_naive_twin(seed):
    graph = grid_graph((5, 6), seed)
    children, heights = merge_regions(graph, COSTS[1])
    expected = [naive_meeting(children, heights, *pair) for pair in graph.pairs.tolist()]
    np.testing.assert_array_equal(meeting_heights(children, heights, graph.pairs), expected)


@pytest.mark.parametrize("copies", [1, 2])
def test_trees_that_agree_are_given_back(copies):
    graph = grid_graph((6, 7), 1)
    children, heights = merge_regions(graph, COSTS[1])
    agreed, agreed_heights = merge_by_consensus(graph, [COSTS[1]] * copies)
    np.testing.assert_allclose(agreed_heights, heights, atol=1e-6)
    np.testing.assert_allclose(
        meeting_heights(agreed, agreed_heights, graph.pairs), meeting_heights(children, heights, graph.pairs), atol=1e-6
    )


def test_heights_grow_with_contrast_by_less_than_its_square():
    graph = grid_graph((7, 8), 2)
    doubled = replace(graph, features=2 * graph.features, edges=2 * graph.edges)
    heights, higher = (merge_leaves(one, Recipe())[1] for one in (graph, doubled))
    np.testing.assert_allclose(higher, 2**1.5 * heights, rtol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 2), (1, 3), (2, 2)])
def test_few_leaves(shape):
    children, heights = merge_leaves(grid_graph(shape, 0), Recipe())
    assert children.shape == (shape[0] * shape[1] - 1, 2)
    assert (np.diff(heights) >= 0).all()
