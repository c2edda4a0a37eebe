"""The plane that an object size asks for: bounds, tiles that cover it once, sizes that mean the same at every scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from napari_what_where.grids import lattice
from napari_what_where.working_plane.object_scale import (
    FEWEST_LEAVES,
    MOST_LEAVES,
    MOST_PIXELS,
    VIEW_LEAVES,
    WORKING_SIZE,
    Part,
    Tile,
    WorkingPlane,
    plan_plane,
)

sides = st.integers(2, 30_000)
sizes = st.floats(0.5, 40_000)


@given(sides, sides)
@example(12_000, 12_000)
def test_without_an_object_size_it_is_one_view(rows, columns):
    plane = plan_plane((rows, columns))
    assert plane.view
    assert max(plane.shape) == min(max(rows, columns), WORKING_SIZE)
    assert (plane.leaves, len(plane.tiles)) == (VIEW_LEAVES, 1)


@given(sides, sides, sizes)
@example(12_000, 12_000, 1.0)
@example(2, 30_000, 1.0)
def test_it_stays_within_its_bounds(rows, columns, size):
    plane = plan_plane((rows, columns), size)
    assert not plane.view
    assert max(plane.shape) >= min(max(rows, columns), WORKING_SIZE)
    assert plane.shape[0] <= rows
    assert plane.shape[1] <= columns
    assert FEWEST_LEAVES <= plane.leaves <= MOST_LEAVES
    assert plane.pixels <= MOST_PIXELS * 1.01
    assert plane.describe() == {"shape": list(plane.shape), "leaves": plane.leaves, "tiles": len(plane.tiles)}


@given(sides, sides, sizes, sizes)
def test_smaller_objects_have_a_finer_plane_and_more_leaves(rows, columns, size, other):
    finer, coarser = (plan_plane((rows, columns), each) for each in sorted((size, other)))
    assert finer.leaves >= coarser.leaves
    assert finer.pixels >= coarser.pixels


@given(st.integers(1024, 3000), st.integers(1024, 3000), st.floats(30, 100), st.integers(2, 4))
def test_an_image_in_finer_pixels_is_worked_on_alike(rows, columns, size, factor):
    plane = plan_plane((rows, columns), size)
    finer = plan_plane((rows * factor, columns * factor), size * factor)
    assert finer.leaves == pytest.approx(plane.leaves, abs=1)
    assert finer.shape == pytest.approx(plane.shape, abs=1)


def test_the_object_spans_what_it_should():
    plane = plan_plane((8000, 8000), 96)
    assert plane.shape == (2000, 2000)
    assert 96 / 8000 * 2000 / plane.leaf_side == pytest.approx(2, rel=0.01)


def test_an_object_larger_than_the_image_counts_as_its_longest_side():
    assert plan_plane((300, 500), 1e9) == plan_plane((300, 500), 500)


@given(st.integers(1, 400), st.integers(1, 400), st.integers(1, 3000), st.integers(8, 200))
@example(1, 400, 3000, 8)
def test_tiles_cover_the_plane_exactly_once_in_whole_cells(rows, columns, leaves, side):
    plane = WorkingPlane((rows, columns), leaves, side)
    seen = np.zeros(plane.shape, int)
    for tile in plane.tiles:
        assert min(tile.shape) > 0
        seen[tile.rows, tile.columns] += 1
    assert (seen == 1).all()
    if rows * columns <= side**2:
        assert len(plane.tiles) == 1
    for axis, cells in enumerate(lattice(plane.shape, leaves)):
        length = plane.shape[axis]
        first = {(tile.top, tile.left)[axis] for tile in plane.tiles}
        cell = np.minimum((np.arange(length) + 0.5) * cells / length, cells - 1).astype(int)
        assert all(at == 0 or cell[at] != cell[at - 1] for at in first)


def test_a_tile_grows_as_far_as_the_plane_goes():
    tile, window = Tile(10, 20, 0, 30), Tile(6, 24, 0, 34)
    assert tile.grown(4, (40, 50)) == window
    assert tile.grown(99, (22, 33)) == Tile(0, 22, 0, 33)
    plane = np.arange(40 * 50).reshape(40, 50)
    inside = plane[window.rows, window.columns][tile.within(window)]
    np.testing.assert_array_equal(inside, plane[tile.rows, tile.columns])
    assert Part.whole(plane.shape) == (Tile(0, 40, 0, 50), (40, 50))


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_no_diameter_is_refused(wrong):
    with pytest.raises(ValueError, match="expected a diameter in pixels of the image, for example 24, or None"):
        plan_plane((100, 100), wrong)
