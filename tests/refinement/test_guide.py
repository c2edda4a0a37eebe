"""The guide: slices of leaves, sums, boxes and means beside plain twins, at any resolution."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from napari_what_where.progress import Cancelled
from napari_what_where.refinement.guide import make_guide
from napari_what_where.segments.superpixels import resized


@pytest.fixture(scope="module", params=[None, (144, 192), (31, 50), (5, 7)])
def sized(request, analysis):
    return make_guide(analysis, request.param)


def members(guide, node):
    return {node} if node < guide.leaf_count else set().union(*(members(guide, each) for each in guide.children(node)))


def test_leaves_are_those_of_the_tree_at_its_shape(sized, analysis):
    np.testing.assert_array_equal(sized.leaves, resized(analysis.tree.working_leaves, sized.shape))
    rows, columns = (slice(length // 3, length // 2 + 1) for length in sized.shape)
    np.testing.assert_array_equal(sized.leaves_in((rows, columns)), sized.leaves[rows, columns])
    np.testing.assert_array_equal(sized.order[sized.positions_in((rows, columns))], sized.leaves[rows, columns])
    assert sized.leaves_in((slice(2, 2), columns)).shape[0] == 0


def test_the_leaves_of_a_node_follow_each_other(sized):
    for node in range(0, sized.root + 1, 7):
        assert set(sized.order[sized.first[node] : sized.last[node]].tolist()) == members(sized, node)


def test_areas_boxes_and_sums_as_counted(sized):
    leaves = sized.leaves
    held = np.bincount(leaves.ravel(), minlength=sized.leaf_count)
    np.testing.assert_array_equal(sized.summed(held[sized.order]), sized.areas)
    for node in [*range(0, sized.root, 11), sized.root]:
        mask = np.isin(leaves, [*members(sized, node)])
        assert mask.sum() == sized.areas[node]
        if mask.any():
            rows, columns = np.nonzero(mask)
            tight = np.array([rows.min(), columns.min(), rows.max() + 1, columns.max() + 1])
            wider = (sized.boxes[node] - tight) * [-1, -1, 1, 1]
            # Coarse labels leave out leaves that lie between their pixels' centres.
            coarse = sized.shape[0] < sized.tree.shape[0]
            assert (wider >= 0).all() if coarse else (wider == 0).all()
    flat = np.arange(0, leaves.size, 3)
    expected = np.bincount(leaves.ravel()[flat], minlength=sized.leaf_count)[sized.order]
    np.testing.assert_array_equal(sized.counted(flat), expected)


def test_a_path_leads_from_the_leaf_to_the_root(sized):
    at = sized.shape[0] // 2, sized.shape[1] // 3
    path = sized.path(at)
    assert path[0] == sized.leaves[at] == sized.leaf_at(at)
    assert path[-1] == sized.root
    assert all(one in sized.children(other) for one, other in pairwise(path))


def test_colours_are_means(guide, analysis):
    channels = np.asarray(analysis.channels)
    for node in (0, guide.leaf_count + 3, guide.root):
        mask = np.isin(guide.leaves, [*members(guide, node)])
        np.testing.assert_allclose(guide.colours[node], channels[mask].mean(axis=0), atol=1e-4)
    assert guide.means.shape[0] == guide.features.shape[0] == guide.root + 1
    assert guide.features.dtype == np.float32


def test_without_channels_there_are_no_colours(analysis):
    guide = make_guide(replace(analysis, channels=None))
    assert guide.colours.shape == (guide.root + 1, 0)
    assert np.isfinite(guide.features).all()


def test_it_reports_and_is_cancelled(analysis):
    seen = []
    make_guide(analysis, report=seen.append)
    assert {each.stage for each in seen} == {"guide"}
    assert [each.done for each in seen] == sorted(each.done for each in seen)

    def stop(progress):
        if progress.done > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        make_guide(analysis, report=stop)


def test_labels_of_another_shape_are_refused(guide):
    with pytest.raises(ValueError, match=r"make_guide\(analysis, \(3, 4\)\)"):
        guide.check(np.zeros((3, 4), int))
