"""Edits: only what differs, nothing that is locked, nothing that does not fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.refinement.edit import (
    check_click,
    check_labels,
    edit_between,
    edit_where,
    free_label,
    free_labels,
    is_among,
    no_edit,
)
from napari_what_where.refinement.parts import runs_of

from .helpers import checked, locks, planes, rectangles


@given(planes(), planes(), locks)
def test_an_edit_makes_one_plane_of_the_other_but_for_what_is_locked(before, after, locked):
    edit = edit_between(before, after, "Changed.", locked=locked)
    held = np.isin(before, [*locked]) | np.isin(after, [*locked])
    np.testing.assert_array_equal(checked(before, edit, locked), np.where(held, before, after))


@given(planes(), planes(), st.integers(0, 9), locks)
def test_one_value_where_a_mask_says(labels, other, value, locked):
    edit = edit_where(labels, other > 3, value, "Changed.", 2, locked)
    assert edit.focus == 2
    expected = np.where((other > 3) & ~np.isin(labels, [*locked]) & (value not in locked), value, labels)
    np.testing.assert_array_equal(checked(labels, edit, locked), expected)


def test_what_does_not_fit_is_refused():
    edit = edit_where(np.zeros((2, 2), np.uint8), np.ones((2, 2), bool), 300, "Changed.")
    with pytest.raises(ValueError, match="300 does not fit labels of dtype uint8, which end at 255"):
        edit.applied(np.zeros((2, 2), np.uint8))
    with pytest.raises(ValueError, match="larger plane"):
        edit.applied(np.zeros((1, 2), np.int32))


def test_an_edit_is_applied_to_any_order_in_memory():
    labels = np.asfortranarray(rectangles(3))
    other = rectangles(4)
    np.testing.assert_array_equal(edit_between(labels, other, "Changed.").applied(labels), other)
    np.testing.assert_array_equal(edit_between(labels[::-1], other, "Changed.").applied(labels[::-1]), other)


def test_nothing_is_false():
    assert not no_edit("Nothing.", 3)
    assert no_edit("Nothing.", 3).focus == 3


@given(planes(), st.integers(1, 5), locks)
def test_free_labels_are_free(labels, count, locked):
    free = free_labels(labels, count, taken=locked)
    assert len(np.unique(free)) == count
    assert free.min() > max(labels.max(), *locked, 0)
    assert free_label(labels, locked) == free[0]


def test_free_labels_of_a_mask_of_255():
    labels = np.array([[0, 255], [1, 4]], np.uint8)
    assert free_labels(labels, 3, taken={2}).tolist() == [3, 5, 6]
    assert free_label(labels) == 2
    assert free_label(7) == 8
    with pytest.raises(ValueError, match="end at 255, and 1 more"):
        free_labels(labels, 1, first=256)
    with pytest.raises(ValueError, match="Convert them"):
        free_labels(np.arange(256, dtype=np.uint8)[None], 1)


@given(planes(), st.frozensets(st.integers(-2, 70_000), max_size=12))
def test_membership_as_numpy_has_it(labels, wanted):
    np.testing.assert_array_equal(is_among(labels, wanted), np.isin(labels.astype(np.int64), [*wanted]))


@given(planes(), planes())
def test_runs_tile_the_plane_and_are_even(one, other):
    runs = runs_of(one, other)
    assert runs.length.sum() == one.size
    for plane in (one, other):
        np.testing.assert_array_equal(np.repeat(plane.reshape(-1)[runs.start], runs.length), plane.reshape(-1))
    chosen = one.reshape(-1)[runs.start] == 1
    np.testing.assert_array_equal(runs.pixels(chosen), np.flatnonzero(one == 1))


def test_other_arrays_are_refused():
    with pytest.raises(TypeError, match="float64; expected integers"):
        check_labels(np.zeros((2, 2)))
    with pytest.raises(TypeError, match="bool"):
        check_labels(np.zeros((2, 2), bool))
    with pytest.raises(ValueError, match="one plane"):
        check_labels(np.zeros((2, 2, 2), int))
    with pytest.raises(ValueError, match="outside"):
        check_click(np.zeros((2, 2), int), (2, 0))
