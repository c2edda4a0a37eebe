"""Leaves: connected, bounded in number, regular where there is nothing to follow, along edges where there is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.grids import lattice
from napari_what_where.image import PerceptualScale, perceptual_channels, working_channels
from napari_what_where.segments.superpixels import enlarge, waterpixels

from .helpers import all_connected


@given(rows=st.integers(2, 60), columns=st.integers(2, 60), count=st.integers(1, 200), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_connected_and_no_more_than_asked(rows, columns, count, seed):
    strength = np.random.default_rng(seed).random((rows, columns)).astype(np.float32)
    regions = waterpixels(strength, count, 0.05)
    assert regions.dtype == np.int32
    assert np.array_equal(np.unique(regions), np.arange(regions.max() + 1))
    assert all_connected(regions)
    cells = lattice((rows, columns), count)
    assert regions.max() + 1 == cells[0] * cells[1] <= count


def test_without_edges_the_regions_are_the_cells_of_the_lattice():
    regions = waterpixels(np.zeros((60, 80), np.float32), 48, 0.1)
    assert lattice((60, 80), 48) == (6, 8)
    assert np.bincount(regions.ravel()).max() <= 1.5 * 100


def test_regions_end_at_edges():
    strength = np.zeros((60, 60), np.float32)
    strength[:, 33] = 1
    regions = waterpixels(strength, 36, 0.01)
    assert not set(regions[:, :32].ravel()) & set(regions[:, 35:].ravel())


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 20), st.integers(0, 20))
def test_enlarging_keeps_every_region_connected(rows, columns, more_rows, more_columns):
    small = waterpixels(np.random.default_rng(rows).random((rows + 1, columns + 1)).astype(np.float32), 9, 0.0)
    large = enlarge(small, (rows + 1 + more_rows, columns + 1 + more_columns))
    assert all_connected(large)
    assert len(np.unique(large)) == len(np.unique(small))


@pytest.mark.parametrize("kind", ["uint8", "uint16", "float32", "float64"])
def test_large_images_are_averaged_in_their_own_units(kind):
    image = np.random.default_rng(0).random((150, 90, 3))
    image = (image * 255).astype(kind) if kind.startswith("uint") else image.astype(kind)
    channels = working_channels(image, longest=50)
    assert channels.shape == (50, 30, 3)
    assert channels.dtype == np.float32
    means = image.reshape(50, 3, 30, 3, 3).mean(axis=(1, 3))
    means = np.rint(means).astype(np.uint8) if kind == "uint8" else means
    expected = perceptual_channels(means, PerceptualScale.fit([image]))
    np.testing.assert_allclose(channels, expected, atol=1e-5)
