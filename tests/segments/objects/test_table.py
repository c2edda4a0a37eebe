"""The table of objects beside the naive twin; objects at both resolutions; their least size."""

from __future__ import annotations

import numpy as np
import pytest

import napari_what_where as ww
from napari_what_where.segments.objects import find
from napari_what_where.segments.objects.find import working_objects
from napari_what_where.segments.objects.table import object_table
from napari_what_where.segments.superpixels import enlarge


@pytest.fixture(scope="module")
def analysis():
    """Of an image larger than the plane that is worked on."""
    rows, columns = np.indices((45, 1100))
    inside = np.hypot(rows % 45 - 22, columns % 50 - 25) < 12
    return ww.analyze((40 + 150 * inside + np.arange(1100) / 20).astype(np.float32), count=4)


@pytest.fixture(scope="module")
def labels(analysis):
    return working_objects(analysis)


def test_objects_of_the_image_are_those_of_the_plane_enlarged(analysis, labels):
    assert labels.shape == analysis.tree.working_leaves.shape != analysis.tree.shape
    assert labels.max() == 22
    np.testing.assert_array_equal(ww.find_objects(analysis), enlarge(labels, analysis.tree.shape))


def test_a_row_is_what_the_naive_twin_measures(analysis, labels):
    large = enlarge(labels, analysis.tree.shape) * 3  # numbers need not follow each other
    table = object_table(large, analysis)
    assert table["label"].tolist() == (3 * np.arange(1, 23)).tolist()
    leaves, channel = analysis.tree.leaves, enlarge(analysis.channels[:, :, 0], analysis.tree.shape)
    for row, number in enumerate(table["label"]):
        places = np.nonzero(large == number)
        assert table["area"][row] == len(places[0])
        for axis, name in enumerate(("row", "column")):
            assert table[f"bbox_{name}_min"][row] == places[axis].min()
            assert table[f"bbox_{name}_max"][row] == places[axis].max() + 1
            assert table[f"centroid_{name}"][row] == pytest.approx(places[axis].mean())
        assert table["intensity_1"][row] == pytest.approx(channel[places].mean(), rel=1e-5)
        assert table["kind"][row] == np.bincount(analysis.tree.kinds[leaves[places]]).argmax()


def test_both_resolutions_give_one_table(analysis, labels):
    small, large = object_table(labels, analysis), object_table(enlarge(labels, analysis.tree.shape), analysis)
    assert small.keys() == large.keys()
    for name in small:
        np.testing.assert_allclose(small[name], large[name], rtol=1e-6)


def test_no_objects_are_a_table_without_rows(analysis):
    table = object_table(np.zeros(analysis.tree.shape, np.int32), analysis)
    assert {len(column) for column in table.values()} == {0}


@pytest.mark.parametrize(
    ("wrong", "error"), [(np.zeros((9, 9), int), ValueError), (np.zeros((45, 1100)), TypeError), (None, ValueError)]
)
def test_what_are_no_labels_of_the_image_is_refused(analysis, wrong, error):
    with pytest.raises(error, match="expected"):
        object_table(np.full((45, 1100), -1) if wrong is None else wrong, analysis)


def test_the_smallest_object_decides_the_least_area():
    rows, columns = np.indices((160, 200))
    small = np.hypot(rows % 40 - 10, columns % 40 - 10) < 3.3
    large = np.hypot(rows % 40 - 28, columns % 40 - 28) < 9
    image = (small | large) * 1.0
    everything, only_large = (ww.analyze(image, count=4, smallest_object=size) for size in (6, 16))
    assert find._least_area(everything, None) == pytest.approx(np.pi * 9 / 2)
    assert find._least_area(only_large, 7.0) == 7.0
    assert np.bincount(ww.find_objects(only_large).ravel())[1:].min() >= np.pi * 64 / 2
    assert ww.find_objects(everything).max() > ww.find_objects(only_large).max()
