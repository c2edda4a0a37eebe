"""Covering, PRI and VI against their definitions, against scikit-learn, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from sklearn.metrics import mutual_info_score, rand_score

from napari_what_where.evaluation.hierarchies import LEVELS, from_tree, from_ucm, read_ucm
from napari_what_where.evaluation.measures import contingency, covering, group, rand_index, score, truths, variation

from . import twins
from .strategies import blobs, pairs, pairs_with_void


def table(labels, truth):
    return contingency(labels, truths([truth]))[0]


@given(pairs)
def test_all_are_what_their_definitions_say(pair):
    shared = table(*pair)
    assert covering(shared) == pytest.approx(twins.covering(*pair))
    assert rand_index(shared) == pytest.approx(twins.rand_index(*pair))
    assert variation(shared) == pytest.approx(twins.variation(*pair), abs=1e-9)


@given(pairs)
def test_scikit_learn_agrees(pair):
    ours, theirs = pair[0].ravel(), pair[1].ravel()
    assert rand_index(table(*pair)) == pytest.approx(rand_score(theirs, ours))
    entropies = mutual_info_score(ours, ours) + mutual_info_score(theirs, theirs)
    expected = (entropies - 2 * mutual_info_score(theirs, ours)) / np.log(2)
    assert variation(table(*pair)) == pytest.approx(expected, abs=1e-9)


@given(pairs)
def test_a_segmentation_equals_itself_whatever_its_numbers(pair):
    labels, other = pair
    renamed = 7 - labels
    assert score(contingency(renamed, truths([labels]))) == pytest.approx((1, 1, 0), abs=1e-9)
    assert score(contingency(renamed, truths([other]))) == pytest.approx(score(contingency(labels, truths([other]))))


@given(pairs_with_void)
def test_void_pixels_are_as_if_not_there(pair):
    labels, truth = pair
    seen = truth >= 0
    assume(seen.any())
    cut = score(contingency(labels[seen], truths([truth[seen]])))
    assert score(contingency(labels, truths([truth]))) == pytest.approx(cut)


@given(pairs)
def test_joined_leaves_score_as_the_joined_label_image(pair):
    lookup, truth = np.array([0, 1, 0, 2, 1])[: pair[0].max() + 1], truths([pair[1]])
    joined = score(group(contingency(pair[0], truth), lookup))
    assert joined == pytest.approx(score(contingency(lookup[pair[0]], truth)), abs=1e-9)


def test_annotators_are_averaged(rng):
    labels, *others = (rng.integers(0, 4, (8, 9)) for _ in range(4))
    each = [score(contingency(labels, truths([other]))) for other in others]
    assert score(contingency(labels, truths(others))) == pytest.approx(np.mean(each, axis=0))


def test_a_truth_of_nothing_but_void_is_refused():
    with pytest.raises(ValueError, match="void everywhere; expected at least one pixel"):
        truths([np.full((3, 3), -1)])


def test_another_number_of_pixels_is_refused():
    with pytest.raises(ValueError, match="has 6 pixels; expected 9"):
        contingency(np.zeros((2, 3), int), truths([np.zeros((3, 3), int)]))


def contour_map(rng, shape=(20, 24)) -> np.ndarray:
    """An ultrametric contour map: cells, with walls as high as the merge that removes them."""
    cells = blobs(rng, shape, 9)
    height = {(a, b): 0.1 * (1 + max(a, b)) for a in range(9) for b in range(9) if a != b}
    ucm = np.zeros((2 * shape[0] + 1, 2 * shape[1] + 1))
    ucm[[0, -1]] = ucm[:, [0, -1]] = 1
    for r in range(shape[0]):
        for c in range(shape[1]):
            if r + 1 < shape[0]:
                ucm[2 * r + 2, 2 * c + 1] = height.get((cells[r, c], cells[r + 1, c]), 0)
            if c + 1 < shape[1]:
                ucm[2 * r + 1, 2 * c + 2] = height.get((cells[r, c], cells[r, c + 1]), 0)
    inner = ucm[2:-1:2, 2:-1:2]
    inner[...] = np.max([ucm[1:-2:2, 2:-1:2], ucm[3::2, 2:-1:2], ucm[2:-1:2, 1:-2:2], ucm[2:-1:2, 3::2]], axis=0)
    return ucm


def test_a_contour_map_is_cut_as_its_authors_say(rng, tmp_path):
    from scipy.io import savemat
    from skimage.measure import label

    ucm, truth = contour_map(rng), blobs(rng, (20, 24), 4)
    savemat(tmp_path / "a.mat", {"ucm2": ucm})
    hierarchy = read_ucm(tmp_path / "a.mat")
    scores = hierarchy.scores(truths([truth]))
    for level, found in zip(LEVELS, scores, strict=True):
        segments = label(ucm <= level, connectivity=1, background=0)[1::2, 1::2]
        expected = [twins.covering(segments, truth), twins.rand_index(segments, truth)]
        assert found[:2] == pytest.approx(expected)
    assert len({found.covering for found in scores}) > 4


def test_what_is_no_contour_map_is_refused(tmp_path):
    from scipy.io import savemat

    savemat(tmp_path / "a.mat", {"other": np.zeros((3, 3))})
    with pytest.raises(ValueError, match="a.mat holds other; expected ucm2"):
        read_ucm(tmp_path / "a.mat")
    with pytest.raises(ValueError, match=r"shape \(4, 4\); expected \(2 rows \+ 1"):
        from_ucm(np.zeros((4, 4)))


@pytest.mark.parametrize("by", ["height", "count"])
def test_a_region_tree_is_scored_at_every_cut_as_its_label_images(by, rng):
    from napari_what_where import region_tree

    from ..segments.helpers import planted_embedding

    plan = blobs(rng, (24, 32), 5)
    tree = region_tree(planted_embedding(plan), np.zeros((24, 32)))
    hierarchy, truth = from_tree(tree, by), truths([plan])
    for parameter, found in zip(hierarchy.parameters, hierarchy.scores(truth), strict=True):
        labels = tree.labels(int(parameter)) if by == "count" else tree.labels_at(parameter)
        assert found == pytest.approx(score(contingency(labels, truth)))
