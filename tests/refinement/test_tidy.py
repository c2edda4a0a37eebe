"""Tidying beside its naive twins, which loop over labels and their parts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import binary_fill_holes
from scipy.ndimage import label as parts_of

from napari_what_where.refinement.tidy import fill_holes, keep_largest, relabel, remove_small, separate

from .helpers import DTYPES, checked, rectangles

selections = st.none() | st.frozensets(st.integers(0, 8), max_size=5)
locks = st.frozensets(st.integers(0, 8), max_size=2)


@st.composite
def planes(draw):
    shape = draw(st.tuples(st.integers(1, 14), st.integers(1, 14)))
    seed, kind = draw(st.integers(0, 10_000)), draw(st.sampled_from(DTYPES))
    if draw(st.booleans()):
        return np.random.default_rng(seed).integers(0, 4, shape).astype(kind)
    return rectangles(seed, shape, kind, full=draw(st.booleans()))


def chosen(labels, selected, locked):
    names = [int(name) for name in np.unique(labels) if name != 0]
    return [name for name in names if (selected is None or name in selected) and name not in locked]


def held_back(labels, after, locked):
    """Locked labels neither change nor grow."""
    held = np.isin(labels, [*locked]) | np.isin(after, [*locked])
    return np.where(held, labels, after)


def each_part(labels, name, structure=None):
    numbers, count = parts_of(labels == name, structure)
    return [numbers == number for number in range(1, count + 1)]


def size_of_box(mask):
    rows, columns = np.nonzero(mask)
    return np.ptp(rows) * np.ptp(columns) + np.ptp(rows) + np.ptp(columns) + 1


@given(planes(), selections, locks, st.sampled_from([None, 1, 3]))
def test_holes(labels, selected, locked, largest):
    pieces = [
        (name, part) for name in chosen(labels, selected, locked) for part in each_part(labels, name, np.ones((3, 3)))
    ]
    after = labels.copy()
    for name, part in sorted(pieces, key=lambda piece: size_of_box(piece[1])):
        holes, count = parts_of(binary_fill_holes(part) & ~part)
        for number in range(1, count + 1):
            if largest is None or (holes == number).sum() <= largest:
                after[(holes == number) & (after == 0)] = name
    edit = fill_holes(labels, selected, locked=locked, largest=largest)
    np.testing.assert_array_equal(checked(labels, edit, locked), held_back(labels, after, locked))


@given(planes(), selections, locks, st.integers(0, 9))
def test_small_parts(labels, selected, locked, pixels):
    after = labels.copy()
    for name in chosen(labels, selected, locked):
        for part in each_part(labels, name):
            if part.sum() < pixels:
                after[part] = 0
    edit = remove_small(labels, pixels, selected, locked=locked)
    np.testing.assert_array_equal(checked(labels, edit, locked), held_back(labels, after, locked))


def given_away(labels, selected, locked, pixels):
    """Round by round, each small part to the label of longest border that is settled."""
    after = labels.astype(np.int64)
    pending = [
        part for name in chosen(labels, selected, locked) for part in each_part(labels, name) if part.sum() < pixels
    ]
    while pending:
        waiting = np.any(pending, axis=0)
        moves = []
        for index, part in enumerate(pending):
            borders: dict[int, int] = {}
            for row, column in np.argwhere(part):
                for other in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                    inside = 0 <= other[0] < labels.shape[0] and 0 <= other[1] < labels.shape[1]
                    if inside and not waiting[other] and after[other] not in locked:
                        borders[int(after[other])] = borders.get(int(after[other]), 0) + 1
            if borders:
                moves.append((index, min(borders, key=lambda name: (-borders[name], name))))
        if not moves:
            break
        for index, name in moves:
            after[pending[index]] = name
        pending = [part for index, part in enumerate(pending) if index not in dict(moves)]
    return after


@given(planes(), selections, locks, st.integers(0, 9))
def test_small_parts_go_to_their_neighbours(labels, selected, locked, pixels):
    edit = remove_small(labels, pixels, selected, fill=True, locked=locked)
    np.testing.assert_array_equal(checked(labels, edit, locked), given_away(labels, selected, locked, pixels))


@given(planes(), selections, locks)
def test_the_largest_part_stays(labels, selected, locked):
    after = labels.copy()
    for name in chosen(labels, selected, locked):
        parts = each_part(labels, name)
        keep = max(range(len(parts)), key=lambda index: (parts[index].sum(), -index))
        for index, part in enumerate(parts):
            if index != keep:
                after[part] = 0
    edit = keep_largest(labels, selected, locked=locked)
    np.testing.assert_array_equal(checked(labels, edit, locked), held_back(labels, after, locked))


@given(planes(), selections, locks, st.sampled_from([None, 40]))
def test_parts_become_labels(labels, selected, locked, free):
    edit = separate(labels, selected, locked=locked, free=free)
    after = checked(labels, edit, locked)
    for name in chosen(labels, selected, locked):
        parts = each_part(labels, name)
        names = [set(np.unique(after[part])) for part in parts]
        assert all(len(each) == 1 for each in names)
        assert len(set.union(*names)) == len(parts)
        keep = max(range(len(parts)), key=lambda index: (parts[index].sum(), -index))
        assert names[keep] == {name}
    others = ~np.isin(labels, chosen(labels, selected, locked))
    np.testing.assert_array_equal(after[others], labels[others])
    if free and edit:
        assert edit.values.min() == free


@given(planes(), selections, locks)
def test_numbers_in_order(labels, selected, locked):
    moving = [name for name in dict.fromkeys(labels.ravel().tolist()) if name in chosen(labels, selected, locked)]
    taken = {*np.unique(labels).tolist(), *locked} - {*moving}
    numbers, after = iter(number for number in range(1, 500) if number not in taken), labels.astype(np.int64)
    for name in moving:
        after[labels == name] = next(numbers)
    edit = relabel(labels, selected, locked=locked)
    np.testing.assert_array_equal(checked(labels, edit, locked), after)
    assert not relabel(after, np.unique(after[np.isin(labels, moving)]).tolist(), locked=locked)


def test_numbers_of_any_size():
    labels = np.array([[2**40, 0, 5], [5, 2**40, 8]])
    assert relabel(labels).applied(labels).tolist() == [[1, 0, 2], [2, 1, 3]]
    assert relabel(labels, [8, 2**40, 77]).applied(labels).tolist() == [[1, 0, 5], [5, 1, 2]]
    assert not fill_holes(labels)


@pytest.mark.parametrize("tidy", [fill_holes, keep_largest, separate, relabel, lambda labels: remove_small(labels, 9)])
def test_negative_labels_stay(tidy):
    labels = np.zeros((7, 9), np.int16)
    labels[1:6, 1:6] = -1
    labels[3, 3], labels[3, 8] = 0, -1  # a hole, and a part
    assert not tidy(labels)
    labels[5:, 7:] = 7
    np.testing.assert_array_equal(tidy(labels).applied(labels) == -1, labels == -1)


def test_negative_labels_get_no_number():
    labels = np.array([[-1, -1, 7], [0, 9, 7]], np.int16)
    for selected in (None, [-1, 7, 9]):
        edit = relabel(labels, selected)
        assert edit.applied(labels).tolist() == [[-1, -1, 1], [0, 2, 1]]
        assert edit.said == "2 objects numbered in order. Negative labels stay as they are."


@pytest.mark.parametrize("tidy", [fill_holes, keep_largest, separate, relabel, lambda labels: remove_small(labels, 5)])
def test_nothing_to_do_is_said(tidy):
    for labels in (np.zeros((4, 5), np.uint8), np.zeros((0, 3), int), np.ones((4, 5), np.uint8)):
        checked(labels, edit := tidy(labels))
        assert not edit
    with pytest.raises(TypeError, match="expected integers"):
        tidy(np.zeros((2, 2)))


def test_parts_that_the_type_can_not_hold():
    labels = np.tile(np.array([[1, 0]], np.uint8), (1, 300))
    with pytest.raises(ValueError, match="end at 255"):
        separate(labels)
