"""Boundaries and their matches against the benchmark's own way, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.morphology import thin

from napari_what_where.evaluation.boundaries import Counts, boundary_map, compare, match

from . import twins
from .strategies import blobs, labels_of, shapes

maps = shapes.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


@given(shapes.flatmap(labels_of))
def test_boundaries_are_the_benchmark_s(labels):
    np.testing.assert_array_equal(boundary_map(labels), thin(twins.double_size_boundaries(labels)))


def test_borders_of_void_are_no_boundaries():
    labels = np.zeros((8, 8), int)
    labels[:, 4:] = -1
    assert not boundary_map(labels).any()


@given(maps, st.sampled_from([0.0, 1.0, 1.5, 2.5]))
def test_as_many_pixels_are_matched_as_by_assignment(pair, radius):
    first, second = pair
    matched = match(first, second, radius)
    assert len(matched) == len(set(matched.tolist())) == twins.assigned(first, second, radius)
    assert second.ravel()[matched].all()


@given(maps)
def test_matching_is_symmetric(pair):
    assert len(match(*pair, 1.5)) == len(match(*pair[::-1], 1.5))


@given(shapes.flatmap(labels_of))
def test_a_segmentation_finds_all_of_its_own_boundary(labels):
    own = boundary_map(labels)
    counts = compare(own, [own, boundary_map(9 - labels)])
    assert counts.f_measure == 1
    assert counts.theirs == 2 * counts.ours


def test_precision_is_against_any_annotator_and_recall_against_all():
    ours, left, right = (np.zeros((40, 40), bool) for _ in range(3))
    left[:, 10], right[:, 30] = True, True
    ours[:, 10] = True
    counts = compare(ours, [left, right])
    assert counts == Counts(matched_ours=40, ours=40, matched_theirs=40, theirs=80)
    assert (counts.precision, counts.recall) == (1, 0.5)
    assert counts.f_measure == pytest.approx(2 / 3)


@pytest.mark.parametrize(("shift", "expected"), [(0, 1.0), (3, 1.0), (4, 0.0)])
def test_the_tolerance_is_a_share_of_the_diagonal(shift, expected):
    ours, theirs = np.zeros((300, 400), bool), np.zeros((300, 400), bool)  # diagonal 500: 3.75 pixels
    ours[:, 100], theirs[:, 100 + shift] = True, True
    assert compare(ours, [theirs]).f_measure == expected


def test_nothing_found_where_nothing_is_is_perfect_and_else_worthless():
    nothing, something = np.zeros((9, 9), bool), np.eye(9, dtype=bool)
    assert compare(nothing, [nothing]).f_measure == 1
    assert compare(nothing, [something]).f_measure == 0
    assert compare(something, [nothing]).f_measure == 0


def test_large_maps_are_matched_in_no_time(rng):
    """Graphs of this kind have cost other matchers minutes."""
    ours, theirs = (boundary_map(blobs(rng, (321, 481), 90)) for _ in range(2))
    assert 0.1 < compare(ours, [theirs]).f_measure < 0.9
