"""Trees of many planes: labels, features and clicks agree with the label images they stand for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import regionprops_table

from napari_what_where.planes import analyze_planes
from napari_what_where.samples import load_sample
from napari_what_where.segments.stack import TreeStack
from napari_what_where.segments.tree import region_tree

from .helpers import random_embedding


def plane(seed: int, shape: tuple[int, int] = (48, 60)) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, shape).astype(np.uint8)


@pytest.fixture(scope="module")
def trees():
    return [region_tree(random_embedding((6, 8), seed), plane(seed)) for seed in range(3)]


@pytest.fixture(params=["apart", "linked"])
def stack(request, trees):
    return TreeStack(trees, linked=request.param == "linked")


@pytest.fixture(scope="module")
def cells():
    """The synthetic dividing cells, with the trees of their planes."""
    pixels = load_sample("dividing-cells")[:3]
    return pixels, TreeStack([analysis.tree for analysis in analyze_planes(pixels)], linked=True)


@pytest.fixture
def background(stack, rng):
    return [rng.random(tree.leaf_count) < 0.3 for tree in stack.trees]


@pytest.mark.parametrize("n", [1, 7, 90, "auto"])
def test_a_stack_of_one_is_its_tree(trees, n):
    one, tree = TreeStack(trees[:1], linked=True), trees[0]
    assert np.array_equal(one.leaf_labels(n)[0], tree.leaf_labels(n))
    assert np.array_equal(one.labels(n)[0], tree.labels(n))
    assert (one.leaf_count, one.auto_count, one.shape) == (tree.leaf_count, tree.auto_count, (1, 48, 60))
    theirs = tree.features(n)
    for table in (one.features(n), tree.features_of(tree.leaf_labels(n))):
        assert list(table) == list(theirs)
        for name, column in table.items():
            assert column.dtype == theirs[name].dtype
            np.testing.assert_allclose(column, theirs[name], rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.parametrize("shape", [(48, 60), (101, 123)], ids=["as worked on", "enlarged"])
@pytest.mark.parametrize("n", [1, 20, 10**6])
def test_small_labels_are_the_same(stack, shape, n):
    stack = TreeStack([replace(tree, shape=shape) for tree in stack.trees], linked=stack.linked)
    out = np.zeros(stack.shape, np.uint16)
    assert stack.labels(n, out=out) is out
    np.testing.assert_array_equal(out, stack.labels(n))
    assert stack.highest(n) == stack.labels(n).max()
    out = np.zeros(stack.working_shape, np.uint16)
    np.testing.assert_array_equal(stack.working_labels(n, out=out), stack.working_labels(n))


def test_every_plane_is_cut_in_the_regions_of_its_tree(stack):
    for labels, tree in zip(stack.labels(20), stack.trees, strict=True):
        pairs = np.unique(np.stack([labels.ravel(), tree.labels(20).ravel()]), axis=1)
        assert pairs.shape[1] == 20 == len(np.unique(pairs[0]))


def test_without_links_no_two_planes_share_a_number(trees):
    labels = TreeStack(trees, linked=False).labels(9)
    assert [np.unique(plane).tolist() for plane in labels] == [list(range(1 + 9 * p, 10 + 9 * p)) for p in range(3)]


def test_the_first_plane_keeps_its_numbers(stack):
    assert np.array_equal(stack.labels(15)[0], stack.trees[0].labels(15))


def test_auto_is_one_number_for_all_planes(stack):
    assert stack.auto_count == round(float(np.median([tree.auto_count for tree in stack.trees])))
    assert np.array_equal(stack.labels("auto"), stack.labels(stack.auto_count))


def test_background_is_left_out_and_nothing_else_changes(stack, background):
    whole, marked = stack.labels(12), stack.labels(12, background)
    hidden = np.stack([mask[tree.leaves] for mask, tree in zip(background, stack.trees, strict=True)])
    assert np.array_equal(marked, np.where(hidden, 0, whole))


def test_labels_are_written_where_they_are_wanted(stack, background):
    out = np.full(stack.shape, -1, np.int32)
    assert stack.labels(8, background, out=out) is out
    assert np.array_equal(out, stack.labels(8, background))
    assert stack.working_labels(8).shape == stack.working_shape


def test_tables_given_away_may_be_written_to(stack):
    before = stack.labels(10)
    for table in stack.leaf_labels(10):
        table[:] = 0
    assert np.array_equal(stack.labels(10), before)


def test_features_agree_with_regionprops_over_all_planes(stack, background):
    labels, table = stack.labels(12, background), stack.features(12, background)
    assert np.array_equal(table["label"], np.unique(labels)[1:])
    flat = labels.reshape(-1, labels.shape[2])  # planes below each other
    theirs = regionprops_table(flat, properties=("label", "area"))
    assert np.array_equal(table["area"], theirs["area"])
    for row, number in enumerate(table["label"]):
        planes, rows, columns = np.nonzero(labels == number)
        assert table["planes"][row] == len(np.unique(planes))
        assert (table["plane_min"][row], table["plane_max"][row]) == (planes.min(), planes.max())
        assert (table["bbox_row_min"][row], table["bbox_row_max"][row]) == (rows.min(), rows.max() + 1)
        assert (table["bbox_column_min"][row], table["bbox_column_max"][row]) == (columns.min(), columns.max() + 1)
        assert table["centroid_row"][row] == pytest.approx(rows.mean())
        assert table["centroid_column"][row] == pytest.approx(columns.mean())


def test_a_labels_kind_is_the_one_of_most_area(stack):
    labels, table = stack.labels(25), stack.features(25)
    for row, number in enumerate(table["label"]):
        area: dict[int, float] = {}
        for tree, plane_labels in zip(stack.trees, labels, strict=True):
            own = np.unique(tree.labels(25)[plane_labels == number])
            for region in own.tolist():
                of_tree = tree.features(25)
                kind = int(of_tree["kind"][region - 1])
                area[kind] = area.get(kind, 0) + float(of_tree["area"][region - 1])
        assert area[int(table["kind"][row])] == max(area.values())


def test_everything_background_has_no_rows(stack):
    all_of_it = [np.ones(tree.leaf_count, bool) for tree in stack.trees]
    assert not stack.labels(5, all_of_it).any()
    table = stack.features(5, all_of_it)
    assert {len(column) for column in table.values()} == {0}
    assert list(table) == list(stack.features(5))


def test_a_click_finds_the_leaf_under_it(stack):
    for position in [(0, 0, 0), (1, 47, 59), (2, 20, 31)]:
        assert stack.leaf_at(*position) == stack.trees[position[0]].leaves[position[1:]]
    for outside in [(0, -1, 0), (3, 0, 0), (0, 48, 0), (0, 0, 60)]:
        assert stack.leaf_at(*outside) is None


def test_what_a_click_marks_is_the_whole_label(stack, background):
    leaf = stack.leaf_at(1, 20, 20)
    marked = stack.region_leaves(12, 1, leaf, background)
    number = stack.labels(12)[1, 20, 20]
    expected = np.where(stack.labels(12) == number, 0, stack.labels(12, background))
    assert np.array_equal(stack.labels(12, marked), expected)
    alone = stack.region_leaves(12, 1, leaf)
    assert np.array_equal(stack.labels(12, alone) == 0, stack.labels(12) == number)
    if not stack.linked:
        assert not alone[0].any()
        assert not alone[2].any()


def test_numbers_follow_the_cells(cells):
    """In most of the steps between planes, a cell's nucleus that is found twice has one number."""
    pixels, stack = cells
    labels = stack.labels(21)
    bright = pixels > np.percentile(pixels, 97)
    kept = [np.mean(labels[t][bright[t] & bright[t + 1]] == labels[t + 1][bright[t] & bright[t + 1]])
            for t in range(len(labels) - 1)]  # fmt: skip
    assert min(kept) > 0.75


def test_objects_are_numbered_as_regions_are(trees):
    objects = np.zeros((3, 10, 10), np.int32)
    objects[0, 1:5, 1:5], objects[1, 1:5, 2:6], objects[2, 6:9, 6:9] = 1, 1, 1
    linked, apart = (TreeStack(trees, linked=each).link_images(objects) for each in (True, False))
    assert [int(plane.max()) for plane in linked] == [1, 1, 2]
    assert [int(plane.max()) for plane in apart] == [1, 2, 3]
    assert np.array_equal(apart == 0, objects == 0)


def test_preparing_reports_and_changes_nothing(trees):
    seen = []
    ready, lazy = TreeStack(trees, linked=True), TreeStack(trees, linked=True)
    ready.prepare(seen.append)
    assert [progress.stage for progress in seen] == ["linking"] * 3
    assert np.array_equal(ready.labels(30), lazy.labels(30))


def test_trees_must_have_one_shape(trees):
    other = region_tree(random_embedding((5, 5), 9), plane(9, (40, 40)))
    with pytest.raises(ValueError, match="2 different shapes"):
        TreeStack([*trees, other])
    with pytest.raises(ValueError, match="0 different shapes"):
        TreeStack([])


@pytest.mark.parametrize(("n", "error"), [(0, ValueError), ("many", ValueError), (2.0, TypeError)])
def test_bad_counts_are_told_as_by_a_tree(stack, n, error):
    with pytest.raises(error, match="expected a number of regions"):
        stack.labels(n)
