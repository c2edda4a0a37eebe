"""Merge and split: partitions of what was there, on any labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt
from skimage.draw import disk

from napari_what_where.refinement.guide import make_guide
from napari_what_where.refinement.regions import merge, split

from .helpers import SHAPE, checked, locks, parts, pixels, planes, rectangles


@given(planes(), st.frozensets(st.integers(1, 9), max_size=9))
def test_merged_members_are_one_and_all_others_as_they_were(labels, members):
    edit = merge(labels, members)
    after = checked(labels, edit)
    present = [member for member in sorted(members) if (labels == member).any()]
    if len(present) < 2:
        assert not edit
        return
    largest = max(present, key=lambda member: ((labels == member).sum(), -member))
    assert edit.focus == largest
    np.testing.assert_array_equal(after, np.where(np.isin(labels, present), largest, labels))


def test_a_target_of_choice():
    labels = np.array([[1, 1, 1], [2, 3, 0]])
    assert merge(labels, [1, 2], into=2).applied(labels).tolist() == [[2, 2, 2], [2, 3, 0]]
    assert merge(labels, [1], into=9).applied(labels).tolist() == [[9, 9, 9], [2, 3, 0]]


@pytest.mark.parametrize(
    ("members", "options", "words"),
    [
        ([0, 1], {}, "Background"),
        ([1, 2], {"into": 0}, "Background"),
        ([1, 2], {"locked": [2]}, "Object 2 is locked"),
        ([1, 2, 3], {"locked": {1, 2}}, "Objects 1 and 2 are locked"),
        ([1, 2], {"into": 3, "locked": [3]}, "Object 3 is locked"),
    ],
)
def test_background_and_locked_labels_do_not_merge(members, options, words):
    with pytest.raises(ValueError, match=words):
        merge(np.array([[0, 1, 2, 3]]), members, **options)


@settings(max_examples=60)
@given(planes(), pixels(), locks, st.booleans())
def test_a_split_divides_one_label_in_two(guide, labels, at, locked, full):
    if full:
        labels = np.maximum(labels, 1)
    edit = split(labels, at, guide, locked=locked)
    after, label = checked(labels, edit, locked), labels[at]
    assert edit.focus == label
    if label == 0 or label in locked:
        assert not edit
    if not edit:
        return
    new = int(edit.values[0])
    assert (edit.values == new).all()
    assert new > labels.max()
    np.testing.assert_array_equal((after == label) | (after == new), labels == label)
    assert 4 <= (after == new).sum() <= (after == label).sum()
    if parts(labels == label) == 1:
        assert parts(after == label) == parts(after == new) == 1


@settings(max_examples=15)
@given(planes(), pixels())
def test_splitting_again_and_again_comes_to_an_end(guide, labels, at):
    labels = labels.astype(np.int32)
    region, label = labels == labels[at], labels[at]
    for _ in range(400):
        edit = split(labels, at, guide)
        if not edit:
            break
        sizes = (labels == labels[at]).sum()
        labels = edit.applied(labels)
        assert (labels == labels[at]).sum() < sizes
    else:
        pytest.fail("There was always more to split.")
    if label:
        assert "left to split" in edit.said
        assert (labels[~region] != label).all()


def test_every_click_gives_back_what_the_tree_joined(guide):
    """On its own regions, a split is one step of the tree."""
    tree = guide.tree
    for count in (1, 2, 5, 9):
        before, after = tree.labels(count), tree.labels(count + 1)
        at = tuple(np.argwhere(after == count + 1)[0])
        halves = split(before, at, guide).applied(before)
        np.testing.assert_array_equal(halves, after)


def test_a_disc_comes_off_the_ground_and_specks_never(guide, plan):
    labels = np.ones(SHAPE, np.uint8)
    rng = np.random.default_rng(0)
    labels[rng.random(SHAPE) < 0.01] = 0
    for _ in range(12):
        edit = split(labels, (0, 0), guide)
        assert len(edit.flat) >= 0.01 * (labels == 1).sum()
        labels = edit.applied(labels)
    for number in range(1, 13):
        disc = np.abs(plan) == number
        found = np.bincount(labels[disc]).argmax()
        assert found not in (0, 1)
        assert (labels == found)[disc].mean() > 0.9


def test_parts_are_told_apart_first(guide):
    labels = np.zeros(SHAPE, np.int32)
    labels[10:30, 10:30] = labels[40:50, 50:90] = 3
    labels[60, 60] = 3
    edit = split(labels, (45, 60), guide)
    assert "in parts" in edit.said
    # The first is as large, and keeps the number with the speck.
    after = edit.applied(labels)
    assert (after[10:30, 10:30] == 3).all()
    assert after[60, 60] == 3
    assert (after[40:50, 50:90] == 4).all()


def test_a_speck_beside_is_no_part(guide):
    labels = np.zeros(SHAPE, np.int32)
    labels[4:68, 4:60] = 3
    labels[70, 90] = 3
    after = split(labels, (20, 20), guide).applied(labels)
    assert after[70, 90] == 3
    assert set(np.unique(after)) == {0, 3, 4}


def test_what_the_tree_does_not_divide_is_cut_at_its_neck(analysis):
    """Two discs with a bridge, within one leaf of labels that are far finer than the tree."""
    guide = make_guide(analysis, (1440, 1920))
    leaf = int(guide.areas[: guide.leaf_count].argmax())
    box = guide.box(leaf)
    inside = guide.leaves_in(box) == leaf
    depth = distance_transform_edt(np.pad(inside, 1))[1:-1, 1:-1]
    row, column = (int(each) for each in np.unravel_index(depth.argmax(), depth.shape))
    dumbbell = np.zeros(inside.shape, bool)
    for centre in (column - 8, column + 8):
        dumbbell[disk((row, centre), 6, shape=inside.shape)] = True
    dumbbell[row - 1 : row + 2, column - 8 : column + 8] = True
    assert inside[dumbbell].all()
    labels = np.zeros(guide.shape, np.uint16)
    labels[box][dumbbell] = 7
    edit = split(labels, (box[0].start + row, box[1].start + column - 8), guide)
    assert "neck" in edit.said
    assert len(edit.flat) > 0.4 * dumbbell.sum()
    after = edit.applied(labels)
    again = split(after, (box[0].start + row, box[1].start + column - 8), guide)
    assert "left to split" in again.said


@pytest.mark.parametrize("shape", [(144, 192), (30, 41), (1, 1), (2, 7)])
def test_labels_of_another_resolution(analysis, shape):
    guide = make_guide(analysis, shape)
    labels = np.ones(shape, np.int32)
    edit = split(labels, (shape[0] // 2, shape[1] // 2), guide)
    checked(labels, edit)
    assert bool(edit) == (shape[0] > 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [(np.zeros(SHAPE, int), "background"), (np.pad([[5]], ((0, 71), (0, 95))), "left to split in object 5")],
)
def test_what_can_not_be_split_says_so(guide, labels, words):
    edit = split(labels, (0, 0), guide)
    assert not edit
    assert words in edit.said


def test_clicks_that_miss_are_refused(guide):
    labels = rectangles(1)
    with pytest.raises(ValueError, match="outside"):
        split(labels, (-1, 0), guide)
    with pytest.raises(ValueError, match="make_guide"):
        split(labels[:-1], (0, 0), guide)


def test_a_label_that_is_free_in_all_planes(guide):
    labels = np.full(SHAPE, 255, np.uint8)
    assert split(labels, (0, 0), guide).values.max() == 1
    assert split(labels.astype(int), (0, 0), guide, free=900).values.max() == 900
    with pytest.raises(ValueError, match="end at 255"):
        split(labels, (0, 0), guide, free=256)
