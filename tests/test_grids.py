"""Area overlap between grids that need not nest."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from napari_what_where.grids import area_mean, area_overlap, fit_within

from .affinity import twins

CELLS = st.integers(1, 40)
GRIDS = st.tuples(CELLS, CELLS)


@given(CELLS, CELLS)
def test_overlap_agrees_with_the_naive_twin(coarse, fine):
    overlap = area_overlap(coarse, fine)
    assert overlap.shape == (coarse, fine)
    assert overlap.dtype == np.float64
    np.testing.assert_allclose(overlap.toarray(), twins.overlap(coarse, fine), atol=1e-8)
    np.testing.assert_allclose(overlap.sum(axis=1), fine / coarse)
    np.testing.assert_allclose(overlap.sum(axis=0), 1)
    assert overlap.data.min() >= 0


@pytest.mark.parametrize(("coarse", "fine"), [(1, 1_000_000), (99_999, 100_000), (333, 1_000_000), (100_000, 7)])
def test_overlap_stays_sparse_and_exact_when_large(coarse, fine):
    overlap = area_overlap(coarse, fine)
    assert overlap.nnz <= 2 * (coarse + fine)
    np.testing.assert_allclose(overlap.sum(axis=1), fine / coarse, rtol=1e-6)
    np.testing.assert_allclose(overlap.sum(axis=0), 1, rtol=1e-6)


@given(
    stn.arrays(np.float32, stn.array_shapes(min_dims=2, max_dims=3, max_side=12), elements=st.floats(0, 1, width=32)),
    GRIDS,
)
def test_area_means(planes, grid):
    before = planes.copy()
    means = area_mean(planes, grid)
    assert means.shape == (*grid, *planes.shape[2:])
    assert means.dtype == np.float32
    assert means.flags.c_contiguous
    np.testing.assert_allclose(means.mean(axis=(0, 1)), planes.mean(axis=(0, 1)), atol=1e-4)
    assert means.min() >= planes.min() - 1e-5
    assert means.max() <= planes.max() + 1e-5
    np.testing.assert_array_equal(planes, before)
    rows = twins.overlap(grid[0], planes.shape[0]) * grid[0] / planes.shape[0]
    columns = twins.overlap(grid[1], planes.shape[1]) * grid[1] / planes.shape[1]
    expected = np.einsum("ar,bc,rc...->ab...", rows, columns, planes.astype(np.float64))
    np.testing.assert_allclose(means, expected, atol=1e-5)


def test_up_sampling_repeats_pixels():
    planes = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_allclose(area_mean(planes, (4, 9)), planes.repeat(2, axis=0).repeat(3, axis=1), atol=1e-6)


@given(st.tuples(st.integers(1, 5000), st.integers(1, 5000)), st.integers(1, 2000))
def test_fit_within_keeps_the_aspect(shape, longest):
    fitted = fit_within(shape, longest)
    assert 1 <= max(fitted) <= longest or fitted == shape
    assert min(fitted) >= 1
    if max(shape) <= longest:
        assert fitted == shape
    else:
        assert max(fitted) == longest
        assert abs(min(fitted) - min(shape) * longest / max(shape)) <= 1
