"""Growth: every step shows, and the way back is exact."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.refinement.growth import Growth
from napari_what_where.refinement.guide import make_guide

from .helpers import SHAPE, checked, locks, parts, pixels, planes, rectangles

steps = st.lists(st.sampled_from([1, 1, 1, -1, -1]), max_size=14)


@settings(max_examples=60)
@given(planes(), pixels(), steps, locks, st.booleans(), st.sampled_from([None, True, False]))
def test_levels_are_places_to_come_back_to(guide, labels, at, moves, locked, full, overrun):
    if full:
        labels = np.maximum(labels, 1)
    growth = Growth(labels, at, guide, locked=locked, overrun=overrun)
    seen = {0: labels}
    for by in moves:
        before, level = seen[growth.level], growth.level
        edit = growth.step(before, by)
        after = checked(before, edit, locked)
        assert bool(edit) == (growth.level != level)
        assert growth.level in (level, level + by)
        np.testing.assert_array_equal(after, seen.setdefault(growth.level, after))
    while growth.level:
        before = seen[growth.level]
        after = growth.step(before, -1 if growth.level > 0 else 1).applied(before)
        np.testing.assert_array_equal(after, seen[growth.level])


@settings(max_examples=40)
@given(planes(), pixels(), st.booleans())
def test_every_step_shows_and_holds_on_to_the_object(guide, labels, at, full):
    labels = labels.astype(np.int32)
    if full:
        labels = np.maximum(labels, 1)
    growth, now = Growth(labels, at, guide), labels
    label = growth.label
    assert label == (labels[at] or labels.max() + 1)
    for _ in range(40):
        own = now == label
        edit = growth.step(now, 1)
        after = edit.applied(now)
        if not edit:
            assert "nothing more" in edit.said
            break
        grown = after == label
        assert grown[own].all()
        # The last step takes in what is left.
        assert grown.sum() >= 1.01 * own.sum() or not growth.step(after, 1)
        assert parts(grown) <= max(1, parts(own))
        if not full and (labels == 0).mean() >= 0.05:
            assert (labels[grown & ~own] == 0).all()
        now = after
    else:
        pytest.fail("It grew on and on.")


@settings(max_examples=40)
@given(planes(), pixels())
def test_shrinking_keeps_the_pixel_and_ends(guide, labels, at):
    growth, now = Growth(labels, at, guide), labels
    if labels[at] == 0:
        assert not growth.step(now, -1)
        return
    for _ in range(200):
        edit = growth.step(now, -1)
        if not edit:
            break
        after = edit.applied(now)
        assert (edit.values == 0).all()
        assert after[at] == labels[at]
        assert parts(after == labels[at]) == 1
        assert (after == labels[at]).sum() <= 0.95 * (now == labels[at]).sum()
        now = after
    assert "smaller" in edit.said


def test_a_disc_grows_from_its_middle_to_its_outline(guide, plan):
    labels = np.zeros(SHAPE, np.int32)
    labels[10:14, 10:14] = 5
    growth, now, best = Growth(labels, (12, 12), guide), labels, 0.0
    for _ in range(25):
        now = growth.step(now, 1).applied(now)
        own, disc = now == 5, plan == 1
        best = max(best, (own & disc).sum() / (own | disc).sum())
    assert best > 0.95


def test_a_new_object_begins_on_background(guide):
    labels = np.zeros(SHAPE, np.uint8)
    growth = Growth(labels, (12, 12), guide, free=9)
    edit = growth.step(labels, 1)
    assert set(edit.values) == {9}
    assert edit.applied(labels)[12, 12] == 9
    np.testing.assert_array_equal(growth.step(edit.applied(labels), -1).applied(edit.applied(labels)), labels)


def test_a_full_segmentation_can_grow_and_gives_back_what_it_took(guide):
    labels = guide.tree.labels(9)
    growth, now = Growth(labels, (12, 12), guide), labels
    for _ in range(5):
        now = growth.step(now, 1).applied(now)
    assert (now == labels[12, 12]).sum() > (labels == labels[12, 12]).sum()
    while growth.level:
        now = growth.step(now, -1).applied(now)
    np.testing.assert_array_equal(now, labels)
    assert not Growth(labels, (12, 12), guide, overrun=False).step(labels, 1)


def test_a_step_back_leaves_alone_what_was_changed_since(guide):
    labels = np.zeros(SHAPE, np.int32)
    labels[10:14, 10:14] = 5
    growth = Growth(labels, (12, 12), guide)
    grown = growth.step(labels, 1).applied(labels)
    painted = grown.copy()
    taken = np.flatnonzero(grown != labels)
    painted.reshape(-1)[taken[: len(taken) // 2]] = 8
    expected = np.where(painted == 8, 8, labels)
    np.testing.assert_array_equal(growth.step(painted, -1).applied(painted), expected)


def test_it_goes_on_where_all_was_undone_elsewhere(guide):
    labels = np.zeros(SHAPE, np.int32)
    growth = Growth(labels, (12, 12), guide)
    growth.step(labels, 1)
    edit = growth.step(labels, 1)
    checked(labels, edit)
    assert growth.step(labels, -1).applied(labels)[12, 12] == 0


def test_locked_objects_and_background_stay(guide):
    labels = rectangles(7)
    at = tuple(np.argwhere(labels > 0)[0])
    edit = Growth(labels, at, guide, locked=[int(labels[at])]).step(labels, 1)
    assert not edit
    assert "locked" in edit.said
    at = tuple(np.argwhere(labels == 0)[0])
    assert "Background is locked" in Growth(labels, at, guide, locked=[0]).step(labels, 1).said
    at = tuple(np.argwhere(labels > 0)[0])
    assert "background is locked" in Growth(labels, at, guide, locked=[0]).step(labels, -1).said


@pytest.mark.parametrize("shape", [(144, 192), (31, 40), (1, 1), (3, 2)])
def test_labels_of_another_resolution(analysis, shape):
    guide = make_guide(analysis, shape)
    labels = np.zeros(shape, np.int32)
    labels[0, 0] = 1
    growth, now = Growth(labels, (0, 0), guide), labels
    for by in (1, 1, 1, -1, -1, -1):
        now = checked(now, growth.step(now, by))
    np.testing.assert_array_equal(now, labels)


@settings(max_examples=10)
@given(planes(), pixels())
def test_no_notch_is_no_step(guide, labels, at):
    growth = Growth(labels, at, guide)
    assert not growth.step(labels, 0)
    assert growth.level == 0
