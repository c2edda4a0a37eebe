"""Classes of regions against painting and counting, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.evaluation.decoding import class_ious, confusion, mean_iou

from . import twins
from .strategies import pairs_with_void

several = st.lists(pairs_with_void, min_size=1, max_size=4)


@given(several)
def test_the_oracle_s_mean_iou_is_that_of_the_painted_maps_of_all_images(images):
    found = mean_iou(confusion(labels, classes, "oracle") for labels, classes in images)
    if all((classes < 0).all() for _, classes in images):
        assert np.isnan(found)
        return
    painted = [(twins.decode_oracle(labels, classes), classes) for labels, classes in images]
    assert found == pytest.approx(twins.mean_iou(painted))


@given(pairs_with_void)
def test_matching_gets_as_many_pixels_right_as_can_be(pair):
    right = sum(pixels for true, predicted, pixels in confusion(*pair, "hungarian") if true == predicted)
    assert right == twins.most_matched(*pair)


@given(pairs_with_void)
def test_matching_is_one_to_one_within_an_image(pair):
    labels, classes = pair
    entries = confusion(labels, classes, "hungarian")
    predicted = {kind for _, kind, _ in entries if kind >= 0}
    assert len(predicted) <= len(np.unique(labels))
    assert sum(pixels for *_, pixels in entries) == (classes >= 0).sum()


@pytest.mark.parametrize("decoder", ["oracle", "hungarian"])
@given(pair=pairs_with_void)
def test_numbers_of_regions_mean_nothing(decoder, pair):
    labels, classes = pair
    first, second = (confusion(regions, classes, decoder) for regions in (labels, 4 - labels))
    right = [sum(n for true, predicted, n in entries if true == predicted) for entries in (first, second)]
    assert right[0] == right[1]


@pytest.mark.parametrize("decoder", ["oracle", "hungarian"])
def test_the_truth_itself_is_perfect_also_with_void(decoder, rng):
    classes = rng.integers(-1, 3, (9, 9))
    assert class_ious([confusion(classes + 1, classes, decoder)]) == {0: 1, 1: 1, 2: 1}


def test_over_segmentation_costs_the_matching_and_not_the_oracle():
    classes = np.repeat([0, 1], 8)[None]
    labels = np.repeat([0, 1, 2, 3], 4)[None]
    assert mean_iou([confusion(labels, classes, "oracle")]) == 1
    assert mean_iou([confusion(labels, classes, "hungarian")]) == 0.5


def test_a_matching_holds_within_one_image_only():
    """The same number stands for different classes in two images; both are matched right."""
    classes = [np.repeat([0, 1], 8)[None], np.repeat([1, 0], 8)[None]]
    labels = np.repeat([0, 1], 8)[None]
    assert mean_iou(confusion(labels, each, "hungarian") for each in classes) == 1


def test_confusions_are_pooled_before_the_mean():
    """Class 1 is one pixel in one image, missed, and a hundred in the other, found."""
    first = confusion(np.zeros((1, 10), int), np.array([[0] * 9 + [1]]), "oracle")
    second = confusion(np.zeros((1, 100), int), np.ones((1, 100), int), "oracle")
    assert class_ious([first, second]) == pytest.approx({0: 0.9, 1: 100 / 101})
