"""Snapping: outlines find edges, nothing vanishes, nothing that is locked moves."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import maximum_filter, minimum_filter

from napari_what_where.refinement import snapping as under_test
from napari_what_where.refinement.guide import make_guide
from napari_what_where.refinement.snapping import snap_to_edges
from napari_what_where.working_plane.object_scale import Tile

from .helpers import SHAPE, checked, locks, planes

selections = st.none() | st.frozensets(st.integers(0, 8), max_size=3)


def squares(plan: np.ndarray) -> np.ndarray:
    """Every disc as the square that a hurried annotator draws."""
    labels = np.zeros(plan.shape, np.int32)
    for number in range(1, 13):
        rows, columns = np.nonzero(np.abs(plan) == number)
        labels[rows.min() + 1 : rows.max() + 3, columns.min() - 1 : columns.max()] = number
    return labels


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return ((one == other) & (one > 0)).sum() / ((one > 0) | (other > 0)).sum()


@pytest.mark.parametrize("source", ["guide", "image"])
def test_squares_become_discs(guide, image, plan, source):
    labels = squares(plan)
    assert overlap(labels, np.abs(plan)) < 0.75
    edges = guide if source == "guide" else image
    after = checked(labels, snap_to_edges(labels, edges))
    assert overlap(after, np.abs(plan)) > 0.95
    again = snap_to_edges(after, edges)
    assert len(again.flat) < 0.01 * after.size


def test_only_the_outlines_of_the_selection_move(guide, plan):
    labels = squares(plan)
    after = checked(labels, snap_to_edges(labels, guide, [2]))
    changed = after != labels
    assert changed.any()
    assert ((labels == 2) | (after == 2))[changed].all()
    whole = checked(labels, snap_to_edges(labels, guide))
    assert ((after == 2) == (whole == 2)).mean() > 0.99


def test_finer_labels_snap_to_the_edges_that_were_seen(analysis, plan):
    fine, guide = np.kron(np.abs(plan), np.ones((2, 2), int)), make_guide(analysis, (144, 192))
    labels = np.kron(squares(plan), np.ones((2, 2), int))
    after = checked(labels, snap_to_edges(labels, guide, reach=10))
    assert overlap(after, fine) > 0.9


@settings(max_examples=40)
@given(planes(), selections, locks, st.integers(1, 8), st.booleans())
def test_no_label_vanishes_and_no_locked_one_moves(guide, labels, selected, locked, reach, full):
    if full:
        labels = np.maximum(labels, 1)
    edit = snap_to_edges(labels, guide, selected, reach=reach, locked=locked)
    after = checked(labels, edit, locked)
    assert set(np.unique(after)) == set(np.unique(labels))
    if selected is not None:
        changed = after != labels
        assert (np.isin(labels, [*selected]) | np.isin(after, [*selected]))[changed].all()
    np.testing.assert_array_equal(
        snap_to_edges(labels, guide, selected, reach=reach, locked=locked).applied(labels), after
    )


def test_thin_lines_stay_whole():
    labels = np.zeros((40, 60), np.uint8)
    labels[20, 5:55] = 1
    labels[:, 30:32] = 2
    after = snap_to_edges(labels, np.random.default_rng(0).random(labels.shape)).applied(labels)
    assert (after[labels == 1] == 1).all()
    assert (after[labels == 2] == 2).all()


def test_without_edges_outlines_stay():
    labels = np.zeros((40, 60), np.uint8)
    labels[10:30, 15:45] = 1
    assert len(snap_to_edges(labels, np.zeros(labels.shape)).flat) <= 4


def test_what_has_no_edges_is_refused(analysis, guide):
    labels = np.zeros(SHAPE, int)
    with pytest.raises(ValueError, match="did not look at the image's edges"):
        snap_to_edges(labels, make_guide(replace(analysis, channels=None)))
    with pytest.raises(ValueError, match="rows and columns"):
        snap_to_edges(labels, np.zeros((5, 5)))
    with pytest.raises(ValueError, match="at least 1 pixel"):
        snap_to_edges(labels, guide, reach=0)
    assert not snap_to_edges(labels, guide)
    assert not snap_to_edges(labels, guide, [4])
    assert not snap_to_edges(np.zeros((0, 4), int), np.zeros((0, 4)))


@given(
    arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.integers(0, 2), fill=st.just(0)),
    st.integers(1, 6),
    st.booleans(),
)
def test_depths_and_middle_lines_as_by_filters(labels, reach, in_tiles):
    """Also of a plane that is looked at tile by tile."""
    with (
        patch.object(under_test, "TILED", 0 if in_tiles else labels.size),
        patch.object(under_test, "core_tiles", _few),
    ):
        depth, lines = under_test._depths(labels, reach)
    alike = [np.ones(labels.shape, bool)]
    for r in range(1, reach + 1):
        alike.append(maximum_filter(labels, 2 * r + 1) == minimum_filter(labels, 2 * r + 1))
    np.testing.assert_array_equal(depth, np.sum(alike[1:], axis=0))
    residues = [wide & ~maximum_filter(narrow, 3) for wide, narrow in pairwise(alike)]
    np.testing.assert_array_equal(lines, np.any(residues, axis=0))


def _few(shape):
    """Tiles of a few pixels."""
    rows, columns = ([*range(0, length, 5), length] for length in shape[:2])
    return [Tile(top, bottom, left, right) for top, bottom in pairwise(rows) for left, right in pairwise(columns)]
