"""Seams: whatever tiles say, every leaf is one piece afterwards, and what was whole stays as it was."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_what_where.segments.seams import join_seams
from napari_what_where.segments.superpixels import waterpixels
from napari_what_where.working_plane.object_scale import WorkingPlane

from .helpers import all_connected


def quiet(share: float) -> None:
    assert 0 <= share <= 1


def found_apart(plane: WorkingPlane, seed: int, shift: int) -> np.ndarray:
    """Leaves of tiles that disagree: each tile's part of a flood of its own."""
    rng, leaves = np.random.default_rng(seed), np.empty(plane.shape, np.int32)
    for index, tile in enumerate(plane.tiles):
        strength = rng.random(plane.shape).astype(np.float32)
        whole = np.roll(waterpixels(strength, plane.leaves, 0.05), shift * index, axis=0)
        leaves[tile.rows, tile.columns] = whole[tile.rows, tile.columns]
    return leaves


def kept_parts(leaves: np.ndarray) -> np.ndarray:
    """Which pixels are in the largest 4-connected part of their leaf, by a plain loop; ties are left out."""
    parts = label(leaves + 1, connectivity=1, background=0)
    kept = np.zeros(leaves.shape, bool)
    for leaf in np.unique(leaves):
        mine, sizes = np.unique(parts[leaves == leaf], return_counts=True)
        if np.count_nonzero(sizes == sizes.max()) == 1:
            kept |= parts == mine[sizes.argmax()]
    return kept


@given(
    st.integers(9, 50),
    st.integers(9, 50),
    st.integers(2, 60),
    st.integers(4, 20),
    st.integers(0, 99),
    st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_every_leaf_becomes_its_largest_part(rows, columns, count, side, seed, shift):
    plane = WorkingPlane((rows, columns), count, side)
    leaves = found_apart(plane, seed, shift)
    before, kept = leaves.copy(), kept_parts(leaves)
    changed = join_seams(leaves, plane.tiles, quiet)
    assert np.array_equal(np.unique(leaves), np.unique(before))
    if len(plane.tiles) > 1:
        assert all_connected(leaves)
        assert np.array_equal(leaves[kept], before[kept])
    assert np.count_nonzero(leaves != before) <= changed


def test_what_is_whole_is_not_touched():
    leaves = waterpixels(np.random.default_rng(0).random((60, 70)).astype(np.float32), 40, 0.05)
    before = leaves.copy()
    assert join_seams(leaves, WorkingPlane((60, 70), 40, 16).tiles, quiet) == 0
    np.testing.assert_array_equal(leaves, before)
