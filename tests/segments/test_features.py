"""Features and gradients: units that hold at every scale, coordinates that mean the same for every affinity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.image import soft_bins
from napari_what_where.segments.coordinates import embedding_coordinates
from napari_what_where.segments.features import BINS, contrast_level
from napari_what_where.segments.gradients import interpolate, squared_gradient, wide_squared_gradient

from .helpers import as_embedding, constant_embedding, planted_embedding


@pytest.mark.parametrize("sigma", [0.7, 1.0, 2.0, 5.0])
def test_a_step_counts_its_height_squared_at_every_blur(sigma):
    planes = np.zeros((60, 80, 2), np.float32)
    planes[:, 40:, 0] = 0.3
    assert squared_gradient(planes, sigma).max() == pytest.approx(0.09, rel=0.25)


@pytest.mark.parametrize("side", [3.0, 12.0, 31.0])
def test_the_coarse_plane_sees_the_same_step(side):
    planes = np.zeros((150, 180, 1), np.float32)
    planes[77:] = 0.5
    assert wide_squared_gradient(planes, side, (0.8,)).max() == pytest.approx(0.25, rel=0.15)


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_interpolation_keeps_constants_and_ramps(grid, shape):
    rows, columns = np.indices(grid)
    planes = np.stack([np.ones(grid), rows, columns], axis=2).astype(np.float32)
    smooth = interpolate(planes, shape)
    assert smooth.shape == (*shape, 3)
    np.testing.assert_allclose(smooth[..., 0], 1, atol=1e-5)
    expected = np.clip((np.arange(shape[0]) + 0.5) * grid[0] / shape[0] - 0.5, 0, grid[0] - 1)
    np.testing.assert_allclose(smooth[..., 1], np.broadcast_to(expected[:, None], shape), atol=1e-4)


def test_memberships_sum_to_one_and_keep_the_value():
    plane = np.random.default_rng(0).random((7, 9)).astype(np.float32)
    shares = soft_bins(plane, BINS)
    np.testing.assert_allclose(shares.sum(axis=2), 1, atol=1e-6)
    np.testing.assert_allclose(shares @ np.linspace(0, 1, BINS), plane, atol=1e-6)


def test_contrast_grows_with_the_texture_and_not_with_the_level():
    ripple = np.sin(np.arange(90) * 0.9)[None, :, None] * np.ones((90, 1, 1))
    weak, strong, lighter = (
        contrast_level((0.5 + a * ripple + b).astype(np.float32), 1.0).mean()
        for a, b in ((0.02, 0), (0.2, 0), (0.02, 0.3))
    )
    assert weak == pytest.approx(lighter, abs=1e-4)
    assert strong > weak + 0.2
    assert contrast_level(np.zeros((20, 20, 1), np.float32), 1.0).max() < 0


def test_clusters_are_constant_in_coordinates_whatever_their_size():
    plan = np.repeat([1, 2, 3], [3, 9, 20])[None].repeat(8, axis=0)
    coordinates = embedding_coordinates(planted_embedding(plan))
    for region in (1, 2, 3):
        assert np.ptp(coordinates[plan == region], axis=0).max() < 1e-3
    centres = [coordinates[plan == region].mean(axis=0) for region in (1, 2, 3)]
    assert min(np.linalg.norm(centres[a] - centres[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 0.5


def test_directions_without_affinity_count_nothing():
    assert np.abs(embedding_coordinates(constant_embedding((6, 7)))).max() < 1e-3


def test_without_a_constant_first_vector_all_are_kept():
    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(30, 3)))[0].T.reshape(3, 5, 6)
    coordinates = embedding_coordinates(as_embedding([0.9, 0.9, 0.9], vectors))
    assert coordinates.shape == (5, 6, 3)
    np.testing.assert_allclose((coordinates**2).mean(axis=(0, 1)), 1, atol=0.2)


def test_the_sign_of_the_first_vector_does_not_matter():
    embedding = planted_embedding(np.repeat([1, 2], 5)[None].repeat(4, axis=0))
    flipped = as_embedding(embedding.values, embedding.vectors * np.array([-1, 1])[:, None, None])
    np.testing.assert_allclose(np.abs(embedding_coordinates(embedding)), np.abs(embedding_coordinates(flipped)))
