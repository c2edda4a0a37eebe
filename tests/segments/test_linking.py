"""Numbers follow what overlaps most: against a naive twin, and along planted paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_what_where.segments import linking
from napari_what_where.segments.linking import label_overlap, link_images, link_labels, match, overlap

planes = arrays(np.int32, (5, 6), elements=st.integers(0, 5))


def naive_overlap(first, second):
    pairs = zip(first.ravel().tolist(), second.ravel().tolist(), strict=True)
    counts: dict[tuple[int, int], int] = {}
    for pair in pairs:
        counts[pair] = counts.get(pair, 0) + 1
    return counts


def best_total(weights: dict[tuple[int, int], float]) -> float:
    """Greatest total weight of any one-to-one choice, by trying all."""
    rows = sorted({row for row, _ in weights})
    columns = [*sorted({column for _, column in weights}), *[None] * len(rows)]
    return max(
        sum(weights.get((row, column), 0.0) for row, column in zip(rows, choice, strict=True))
        for choice in itertools.permutations(columns, len(rows))
    )


def discs(centres, radius: float, size: int = 60) -> np.ndarray:
    """Label image of discs 1 … at (row, column) centres; None for one that is not there."""
    rows, columns = np.mgrid[:size, :size]
    labels = np.zeros((size, size), np.int32)
    for number, centre in enumerate(centres, 1):
        if centre is not None:
            labels[np.hypot(rows - centre[0], columns - centre[1]) < radius] = number
    return labels


@given(first=planes, second=planes, dense=st.booleans())
def test_overlap_counts_shared_pixels(first, second, dense):
    before, linking.DENSE_KEYS = linking.DENSE_KEYS, 2**24 if dense else 0
    try:
        shared = overlap(first, second)
    finally:
        linking.DENSE_KEYS = before
    pairs = zip(shared.first.tolist(), shared.second.tolist(), strict=True)
    assert dict(zip(pairs, shared.pixels.tolist(), strict=True)) == naive_overlap(first, second)


@given(first=planes, second=planes)
def test_label_overlap_is_intersection_over_union_of_labels(first, second):
    table_one, table_two = np.array([0, 1, 2, 2, 3, 0]), np.array([1, 1, 0, 2, 2, 3])
    rows, columns, ratios = label_overlap(overlap(first, second), table_one, table_two)
    found = {(int(r), int(c)): float(ratio) for r, c, ratio in zip(rows, columns, ratios, strict=True)}
    expected = {}
    for one, two in itertools.product([1, 2, 3], [1, 2, 3]):
        a, b = table_one[first] == one, table_two[second] == two
        if (a & b).any():
            expected[one, two] = (a & b).sum() / (a | b).sum()
    assert found == pytest.approx(expected)


@given(
    weights=st.dictionaries(
        st.tuples(st.integers(1, 5), st.integers(1, 5)), st.floats(0.01, 1.0), min_size=1, max_size=12
    ),
    least=st.sampled_from([0.0, 0.2, 0.6]),
)
def test_match_has_the_greatest_total_of_all_assignments(weights, least):
    rows, columns = np.array(list(weights)).T
    one, two = match(rows, columns, np.array(list(weights.values())), least)
    assert len(set(one.tolist())) == len(one) == len(set(two.tolist()))
    chosen = [weights[pair] for pair in zip(one.tolist(), two.tolist(), strict=True)]
    assert all(weight >= least for weight in chosen)
    strong = {pair: weight for pair, weight in weights.items() if weight >= least}
    assert sum(chosen) == pytest.approx(best_total(strong) if strong else 0.0)


@given(stack=arrays(np.int32, (4, 5, 6), elements=st.integers(0, 6)))
def test_linking_renumbers_and_changes_no_region(stack):
    linked = link_images(stack)
    assert np.array_equal(linked[0], stack[0])
    seen = int(stack[0].max())
    for before, plane in zip(stack, linked, strict=True):
        pairs = np.unique(np.stack([before.ravel(), plane.ravel()]), axis=1)
        assert len(np.unique(pairs[0])) == len(np.unique(pairs[1])) == pairs.shape[1]
        assert np.array_equal(before == 0, plane == 0)
        fresh = np.setdiff1d(plane, np.append(linked[0], np.arange(seen + 1)))
        assert np.array_equal(fresh, seen + 1 + np.arange(len(fresh)))
        seen += len(fresh)


def test_numbers_follow_moving_discs_however_they_are_numbered(rng):
    starts = [(15, 12), (15, 45), (40, 28)]
    steps = [(1.5, 1), (0.5, -2), (-1, 1.5)]
    truth = np.stack([discs([np.add(s, np.multiply(t, d)) for s, d in zip(starts, steps, strict=True)], 7)
                      for t in range(6)])  # fmt: skip
    shuffled = np.stack([np.append(0, rng.permutation(3) + 1)[plane] for plane in truth])
    linked = link_images(shuffled)
    for number in (1, 2, 3):
        assert len(np.unique(linked[truth == number])) == 1


def test_a_disc_that_comes_gets_a_number_that_no_plane_had():
    stack = np.stack([discs([(15, 15), (40, 40)], 8), discs([(15, 15)], 8), discs([(15, 15), (15, 45)], 8)])
    linked = link_images(stack)
    assert np.unique(linked[2]).tolist() == [0, 1, 3]
    assert linked[2, 15, 45] == 3


def test_a_disc_that_is_missed_in_one_plane_keeps_its_number():
    at, gone = [(15, 15), (40, 40)], [(15, 15), None]
    assert link_images(np.stack([discs(at, 8), discs(gone, 8), discs(at, 8)]))[2, 40, 40] == 2
    assert link_images(np.stack([discs(at, 8), discs(gone, 8), discs(gone, 8), discs(at, 8)]))[3, 40, 40] == 3


def test_a_jump_away_is_another_disc():
    linked = link_images(np.stack([discs([(15, 15)], 8), discs([(45, 45)], 8)]))
    assert (linked[0].max(), linked[1].max()) == (1, 2)


def test_counts_that_do_not_fit_say_so():
    with pytest.raises(ValueError, match=r"0 overlaps and 0 bridges for 2 planes; expected one overlap"):
        link_labels([], [np.array([1]), np.array([1])])
    with pytest.raises(ValueError, match=r"\(2, 2\) and \(2, 3\); expected one shape"):
        overlap(np.zeros((2, 2), int), np.zeros((2, 3), int))
