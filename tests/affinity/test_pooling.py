"""Pooling between token grids keeps lengths, nested or not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.affinity.pooling import AreaPooling, orthonormal_overlap

from . import twins

AXIS = st.integers(1, 24)


@given(AXIS, AXIS)
def test_rows_are_orthonormal_where_they_can_be(one, other):
    coarse, fine = sorted((one, other))
    pool = orthonormal_overlap(coarse, fine)
    np.testing.assert_allclose(pool @ pool.T, np.eye(coarse), atol=1e-8)
    # The other way round: a partial isometry, the closest there is.
    back = orthonormal_overlap(fine, coarse)
    np.testing.assert_allclose(back @ back.T @ back, back, atol=1e-8)
    assert np.linalg.matrix_rank(back, tol=1e-6) <= coarse


@pytest.mark.parametrize(
    ("coarse", "fine"),
    [((8, 8), (15, 15)), ((3, 4), (6, 8)), ((7, 5), (9, 11)), ((1, 1), (4, 3)), ((5, 5), (5, 5)), ((12, 5), (4, 16))],
)
def test_agrees_with_the_naive_twin(coarse, fine):
    pool = AreaPooling(coarse, fine)
    expected = twins.pooling(coarse, fine)
    x = torch.eye(fine[0] * fine[1])
    np.testing.assert_allclose(pool.down(x), expected, atol=1e-5)
    y = torch.eye(coarse[0] * coarse[1])
    np.testing.assert_allclose(pool.up(y), expected.T, atol=1e-5)
    if coarse[0] <= fine[0] and coarse[1] <= fine[1]:
        np.testing.assert_allclose(pool.down(pool.up(y)), np.eye(len(y)), atol=1e-5)


@given(st.tuples(AXIS, AXIS), st.tuples(AXIS, AXIS), st.integers(0, 99))
@settings(max_examples=30)
def test_down_and_up_are_transposes(coarse, fine, seed):
    pool = AreaPooling(coarse, fine)
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(grid[0] * grid[1], 1, generator=generator) for grid in (fine, coarse))
    assert float((pool.down(x) * y).sum()) == pytest.approx(float((x * pool.up(y)).sum()), rel=1e-3, abs=1e-3)
    assert float(pool.down(x).norm()) <= float(x.norm()) * (1 + 1e-5)


def test_nested_pooling_is_the_plain_mean_up_to_scale():
    pool = AreaPooling((2, 2), (4, 6))
    plane = torch.arange(24.0).reshape(4, 6)
    means = plane.reshape(2, 2, 2, 3).mean(dim=(1, 3)).reshape(-1, 1)
    torch.testing.assert_close(pool.down(plane.reshape(-1, 1)) / 6**0.5, means)
