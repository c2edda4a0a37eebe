"""The table of objects beside scikit-image's, and scores that tell discs from random rectangles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from skimage.measure import regionprops_table

from napari_what_where.refinement.guide import make_guide
from napari_what_where.refinement.table import objects_table

from .helpers import parts, planes

PLACES = {
    "label": "label", "area": "pixels", "centroid-0": "centroid_row", "centroid-1": "centroid_column",
    "bbox-0": "bbox_row_min", "bbox-1": "bbox_column_min", "bbox-2": "bbox_row_max", "bbox-3": "bbox_column_max",
}  # fmt: skip


@given(planes())
def test_places_as_scikit_image_has_them(labels):
    table = objects_table(labels, pixel_size=(0.5, 2.5))
    expected = regionprops_table(labels.astype(int), properties=("label", "area", "centroid", "bbox"))
    for theirs, ours in PLACES.items():
        np.testing.assert_allclose(table[ours], expected[theirs])
    np.testing.assert_allclose(table["area"], 1.25 * expected["area"])
    assert table["parts"].tolist() == [parts(labels == name) for name in table["label"]]
    assert not {"score", "kind"} & set(table)


@settings(max_examples=10)
@given(planes())
def test_scores_and_kinds_as_leaf_by_leaf(guide, labels):
    table = objects_table(labels, guide)
    features, kinds = guide.features[guide.leaves].astype(float), guide.tree.kinds[guide.leaves]
    assert len({len(column) for column in table.values()}) == 1
    for row, name in enumerate(table["label"]):
        mask = labels == name
        middle = features[mask].mean(axis=0)
        own = np.linalg.norm(features[mask] - middle, axis=1).mean()
        seen = []
        for shift in ((3, 0), (-3, 0), (0, 3), (0, -3)):
            for at in np.argwhere(mask):
                beyond = tuple(at + shift)
                if all(0 <= each < length for each, length in zip(beyond, labels.shape, strict=True)):
                    seen.extend([] if mask[beyond] else [np.linalg.norm(features[beyond] - middle)])
        others = np.mean(seen) if seen else 0.0
        assert table["score"][row] == pytest.approx(np.clip((others - own) / max(own, others, 0.05), 0, 1), abs=1e-6)
        assert table["kind"][row] == np.bincount(kinds[mask]).argmax()


def test_discs_are_distinct_and_alike_in_kind(guide, plan):
    table = objects_table(np.abs(plan), guide)
    assert (table["score"] > 0.7).all()
    red = np.array([(plan == name).any() for name in table["label"]])
    assert len(set(table["kind"][red])) == len(set(table["kind"][~red])) == 1
    moved = objects_table(np.roll(np.abs(plan), (9, 7), (0, 1)), guide)
    assert moved["score"].mean() < 0.4


@pytest.mark.parametrize("shape", [(144, 192), (30, 41), (1, 1), (2, 7)])
def test_labels_of_another_resolution(analysis, shape):
    guide = make_guide(analysis, shape)
    labels = np.zeros(shape, np.uint16)
    assert all(len(column) == 0 for column in objects_table(labels, guide).values())
    labels[0, 0] = 7
    table = objects_table(labels, guide)
    assert table["label"].tolist() == [7]
    assert 0 <= table["score"][0] <= 1
    with pytest.raises(ValueError, match="make_guide"):
        objects_table(np.zeros((9, 9), int), guide)
