"""Average precision and the micrographs' score against their definitions, crowds and void."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest

from napari_what_where.evaluation.instances import (
    THRESHOLDS,
    Instance,
    coco_scores,
    compare,
    dsb_scores,
    encode,
    encode_labels,
)

from . import twins
from .strategies import blobs

pytest.importorskip("pycocotools")


def instances(labels: np.ndarray) -> list[Instance]:
    return [Instance(mask) for mask in encode_labels(labels).values()]


def planes(labels: np.ndarray) -> list[np.ndarray]:
    return [labels == label for label in np.unique(labels[labels > 0])]


def noisy(truth: np.ndarray, rng: np.random.Generator, share: float = 0.25) -> np.ndarray:
    """A label image with a share of its columns taken from another one."""
    other = np.where(rng.random(truth.shape[1]) < share, blobs(rng, truth.shape, 8), truth)
    return np.where(other == 3, 0, other)


@pytest.fixture
def images(rng) -> list[tuple[np.ndarray, np.ndarray]]:
    """Found and true label images."""
    truths = [blobs(rng, (40, 50), 8) for _ in range(5)]
    return [(noisy(truth, rng), truth) for truth in truths]


def test_average_precision_is_what_its_definition_says(images):
    found = coco_scores([compare(ours, instances(truth)) for ours, truth in images])
    each = [
        twins.coco_ap([(planes(ours), planes(truth)) for ours, truth in images], threshold) for threshold in THRESHOLDS
    ]
    assert 0.1 < each[0] < 1
    assert found["AP@0.5 (COCO)"] == pytest.approx(each[0])
    assert found["AP (COCO)"] == pytest.approx(np.mean(each))


def test_the_micrographs_score_is_what_its_definition_says(images):
    found = dsb_scores([compare(ours, instances(truth)) for ours, truth in images])
    each = [[twins.dsb_score(planes(a), planes(b), threshold) for threshold in THRESHOLDS] for a, b in images]
    assert found["DSB score@0.5"] == pytest.approx(np.mean(each, axis=0)[0])
    assert found["DSB score"] == pytest.approx(np.mean(each))
    assert 0.5 < found["mean matched IoU@0.5"] < 1


def test_the_truth_itself_is_perfect_also_after_json(images):
    records = json.loads(json.dumps([compare(truth, instances(truth)) for _, truth in images]))
    assert list((coco_scores(records) | dsb_scores(records)).values()) == pytest.approx([1] * 6)


def test_more_objects_than_coco_usually_allows_all_count():
    labels = np.arange(1, 401).reshape(20, 20).repeat(3, axis=0).repeat(3, axis=1)
    assert coco_scores([compare(labels, instances(labels))])["AR (COCO)"] == 1


def square(top: int, left: int, size: int = 8) -> np.ndarray:
    plane = np.zeros((40, 40), bool)
    plane[top : top + size, left : left + size] = True
    return plane


def test_what_lies_in_a_crowd_is_not_judged():
    crowd = Instance(encode(square(0, 20, 20)[None])[0], crowd=True)
    thing = Instance(encode(square(20, 2)[None])[0])
    objects = 1 * square(20, 2) + 2 * square(2, 22) + 3 * square(10, 30)
    record = compare(objects, [thing, crowd])
    assert coco_scores([record])["AP (COCO)"] == pytest.approx(1)
    assert dsb_scores([record])["DSB score"] == 1
    alone = compare(objects, [thing])
    assert dsb_scores([alone])["DSB score@0.5"] == pytest.approx(1 / 3)


def test_void_pixels_belong_to_nobody():
    truth, void = square(10, 10), square(8, 8, 12) & ~square(10, 10)
    objects = 1 * square(8, 8, 12) + 2 * square(30, 30)
    void |= square(30, 30)
    record = compare(objects, instances(1 * truth), void)
    assert [dsb_scores([record])["DSB score"], coco_scores([record])["AP (COCO)"]] == pytest.approx([1, 1])


def test_true_objects_may_overlap():
    overlapping = [Instance(encode(square(10, column)[None])[0]) for column in (10, 13)]
    record = compare(1 * square(10, 10), overlapping)
    assert record["dsb"]["matched"][0] == 1
    assert dsb_scores([record])["DSB score@0.5"] == 0.5


def test_matches_are_as_many_as_can_be_with_the_best_overlap():
    """Taking the best pair first would leave the second object without a partner."""
    truth = [np.zeros((1, 40), bool) for _ in range(2)]
    truth[0][0, 0:10], truth[1][0, 4:14] = True, True
    objects = np.zeros((1, 40), int)
    objects[0, 0:7] = 1
    objects[0, 7:14] = 2
    record = compare(objects, [Instance(encode(plane[None])[0]) for plane in truth])
    assert record["dsb"]["matched"][0] == 2


def test_nothing_found_and_nothing_there():
    nothing = np.zeros((40, 40), int)
    missed = compare(nothing, instances(1 * square(3, 3)))
    assert coco_scores([missed])["AP (COCO)"] == dsb_scores([missed])["DSB score@0.5"] == 0
    empty = compare(nothing, [])
    assert np.isnan([coco_scores([empty])["AP (COCO)"], dsb_scores([empty])["DSB score@0.5"]]).all()
    assert dsb_scores([empty, missed])["DSB score@0.5"] == 0
    false = compare(1 * square(3, 3), [])
    assert dsb_scores([false])["DSB score@0.5"] == 0


def test_without_pycocotools_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycocotools", None)
    with pytest.raises(ModuleNotFoundError, match=r'pip install "napari-what-where\[evaluate\]"'):
        encode(np.zeros((1, 3, 3), bool))
