"""Likeness: one disc finds those of its colour, and a larger threshold never loses any."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.refinement.guide import make_guide
from napari_what_where.refinement.similar import find_like

from .helpers import SHAPE, checked, locks, parts, pixels, planes


@pytest.mark.parametrize("known", ["nothing", "one", "all"])
@pytest.mark.parametrize("colour", [1, -1])
def test_one_disc_finds_all_of_its_colour(guide, plan, known, colour):
    clicked = 1 if colour > 0 else 3
    at = tuple(np.argwhere(plan == colour * clicked).mean(axis=0).round().astype(int))
    labels = {
        "nothing": np.zeros(SHAPE, np.int32),
        "one": np.where(np.abs(plan) == clicked, 7, 0),
        "all": np.abs(plan),
    }[known]
    likeness = find_like(labels, at, guide)
    found = likeness.at(likeness.suggested).where
    alike, others = plan * colour > 0, plan * colour < 0
    assert found[alike].mean() > 0.9
    assert found[others].mean() < 0.05
    assert found[plan == 0].mean() < 0.05
    one = likeness.edit(labels, likeness.suggested, as_one=True)
    after = checked(labels, one)
    assert len(np.unique(after[found])) == 1
    assert one.focus == (labels[at] or 1)
    each = checked(labels, likeness.edit(labels, likeness.suggested, as_one=False))
    assert len(np.unique(each[found])) == likeness.count(likeness.suggested)
    np.testing.assert_array_equal(each[labels > 0], labels[labels > 0])


@settings(max_examples=40)
@given(planes(), pixels(), locks, st.lists(st.floats(0, 1), min_size=2, max_size=5), st.booleans(), st.booleans())
def test_a_larger_threshold_never_loses_a_region(guide, labels, at, locked, thresholds, full, as_one):
    labels = np.maximum(labels.astype(np.int32), int(full))
    likeness = find_like(labels, at, guide, locked=locked)
    assert likeness.label == labels[at]
    assert 0 <= likeness.suggested <= 1
    assert likeness.distances[0] == 0
    assert (np.diff(likeness.distances) >= 0).all()
    before = likeness.at(0)
    assert before.where[at]
    for threshold in sorted(thresholds):
        found = likeness.at(threshold)
        assert found.regions >= before.regions
        assert found.where[before.where].all()
        others = [each for each in locked if each != labels[at]]
        assert not found.where[np.isin(labels, others)].any()
        before = found
        members = likeness.members(threshold)
        np.testing.assert_array_equal(np.unique(labels[found.where & (labels > 0)]), members)
        edit = likeness.edit(labels, threshold, as_one=as_one, free=100)
        after = checked(labels, edit, locked)
        assert (after[~found.where] == labels[~found.where]).all()
        if as_one and labels[at] not in locked:
            assert len(np.unique(after[found.where])) == 1
        if not as_one:
            np.testing.assert_array_equal(after[labels > 0], labels[labels > 0])


def test_regions_in_background_are_of_comparable_size_and_disjoint(guide, plan):
    labels = np.where(plan == 1, 7, 0)
    likeness = find_like(labels, (12, 12), guide)
    area = (labels == 7).sum()
    sizes = np.bincount(likeness.ranks.ravel())[1:]
    assert (sizes[likeness.names == 0] >= area / 4).all()
    assert (sizes[likeness.names == 0] <= area * 4).all()
    assert (likeness.ranks[labels == 7] == 1).all()
    assert all(parts(likeness.ranks == rank) == 1 for rank in range(1, len(sizes) + 1))


def test_labels_that_were_changed_meanwhile_are_left_alone(guide, plan):
    labels = np.abs(plan)
    likeness = find_like(labels, (12, 12), guide)
    later = np.where(labels == 2, 50, labels)
    after = likeness.edit(later, likeness.suggested, as_one=True).applied(later)
    np.testing.assert_array_equal(after == 50, later == 50)
    with pytest.raises(ValueError, match="as when clicked"):
        likeness.edit(later[:-1], 0.5, as_one=True)


def test_a_locked_object_is_compared_with_but_does_not_grow(guide, plan):
    labels = np.where(plan == 1, 7, 0)
    likeness = find_like(labels, (12, 12), guide, locked=[7])
    assert "locked" in likeness.edit(labels, likeness.suggested, as_one=True).said
    assert likeness.edit(labels, likeness.suggested, as_one=False)


@pytest.mark.parametrize("shape", [(144, 192), (30, 41), (1, 1), (3, 2)])
def test_labels_of_another_resolution(analysis, shape):
    guide = make_guide(analysis, shape)
    labels = np.zeros(shape, np.int32)
    for at in ((0, 0), (shape[0] // 2, shape[1] // 2)):
        likeness = find_like(labels, at, guide)
        checked(labels, likeness.edit(labels, 1.0, as_one=False))
        assert likeness.at(0).where[at]
