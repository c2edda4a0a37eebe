"""Crowds found tile by tile beside the same plane as a whole."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter
from skimage.draw import disk
from skimage.metrics import adapted_rand_error

from napari_what_where.progress import Cancelled, ignore_progress
from napari_what_where.segments.objects import tiled
from napari_what_where.segments.objects.meeting import label_areas, meet_by_tiles
from napari_what_where.segments.objects.shapes import Bounds
from napari_what_where.segments.objects.tidy import tidy
from napari_what_where.segments.objects.tiled import core_tiles, sample_windows, tiled_crowd
from napari_what_where.segments.objects.whole import _meet, whole_crowd

BOUNDS = Bounds(30, 5e4, 0.25)


class Parts:
    """Channels that can only be had in parts."""

    def __init__(self, array: np.ndarray) -> None:
        self._array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        rows, columns = window
        assert isinstance(rows, slice)
        assert isinstance(columns, slice)
        return self._array[rows, columns]


def discs(shape=(270, 290), count=45, seed=0):
    """Labels of discs, some of which touch."""
    rng, truth, made = np.random.default_rng(seed), np.zeros(shape, np.int32), 0
    while made < count:
        place = disk(rng.uniform((0, 0), shape), rng.uniform(7, 13), shape=shape)
        if len(place[0]) > 120 and not truth[place].any():
            made += 1
            truth[place] = made
    return truth


def seen(truth, noise=0.05, seed=0):
    """Channels in which a crowd is blurred and noisy; the other channel shows nothing."""
    rng = np.random.default_rng(seed)
    plane = 0.1 + 0.8 * gaussian_filter((truth > 0).astype(np.float32), 1.0)
    planes = np.stack([0.5 + 0 * plane, plane], axis=2) + noise * rng.normal(size=(*truth.shape, 2))
    return np.clip(planes, 0, 1).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_tiles(monkeypatch):
    monkeypatch.setattr(tiled, "CORE", 95)
    monkeypatch.setattr(tiled, "SAMPLE_SIDE", 120)


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_tiles_cover_every_plane_once(rows, columns):
    tiles = core_tiles((rows, columns))
    assert sum(np.prod(tile.shape) for tile in tiles) == rows * columns
    corners = {(tile.top, tile.left) for tile in tiles}
    assert all((tile.bottom, tile.left) in corners or tile.bottom == rows for tile in tiles)
    assert all((tile.top, tile.right) in corners or tile.right == columns for tile in tiles)


@given(st.integers(2, 3000), st.integers(2, 3000))
def test_samples_lie_within_the_plane_and_never_meet(rows, columns):
    windows = sample_windows((rows, columns))
    assert 1 <= len(windows) <= tiled.SAMPLES**2
    for window in windows:
        assert 0 <= window.top < window.bottom <= rows
        assert 0 <= window.left < window.right <= columns
    for axis in (("top", "bottom"), ("left", "right")):
        spans = sorted({tuple(getattr(window, side) for side in axis) for window in windows})
        assert all(one[1] <= other[0] for one, other in pairwise(spans))


@pytest.mark.parametrize("dark", [False, True])
def test_tiles_find_what_the_whole_plane_shows(dark):
    truth = discs()
    channels = 1 - seen(truth) if dark else seen(truth)
    whole = tidy(whole_crowd(channels, BOUNDS, 0.2, ignore_progress), BOUNDS)
    found = tidy(tiled_crowd(Parts(channels), BOUNDS, 0.2, ignore_progress), BOUNDS)
    assert adapted_rand_error(whole, found)[0] < 0.01
    assert found.max() == whole.max()
    # None is cut at a border, and none is found twice.
    matched = [np.bincount(found[truth == number]).argmax() for number in range(1, truth.max() + 1)]
    there = [number for number in matched if number]
    assert len(there) >= 0.97 * truth.max()
    assert len(set(there)) == len(there)
    for number, match in enumerate(matched, start=1):
        both = (truth == number) & (found == match)
        assert not match or both.sum() > 0.7 * ((truth == number) | (found == match)).sum()


def test_the_answer_does_not_depend_on_where_tiles_end(monkeypatch):
    channels = Parts(seen(discs(seed=3)))
    answers = []
    for side in (70, 500):
        monkeypatch.setattr(tiled, "CORE", side)
        answers.append(tidy(tiled_crowd(channels, BOUNDS, 0.2, ignore_progress), BOUNDS))
    assert max(adapted_rand_error(answers[-1], answer)[0] for answer in answers[:-1]) < 0.01


def test_where_there_is_no_crowd_there_is_none(rng):
    ramp = np.linspace(0, 1, 220, dtype=np.float32)
    for channels in (rng.random((220, 220, 1)), np.zeros((220, 220, 1)), np.add.outer(ramp, ramp)[..., None] / 2):
        assert tiled_crowd(Parts(channels.astype(np.float32)), BOUNDS, 0.2, ignore_progress) is None


def walls(shape=(230, 260), seed=0):
    """Cells that tile the plane up to thin walls: labels of their middles, and the plane in which they are bright."""
    from scipy.ndimage import distance_transform_edt

    rng = np.random.default_rng(seed)
    seeds = np.ones(shape, bool)
    seeds[tuple(rng.integers(0, shape, (90, 2)).T)] = False
    nearest = distance_transform_edt(seeds, return_distances=False, return_indices=True)
    cell = np.unique(nearest[0] * shape[1] + nearest[1], return_inverse=True)[1].reshape(shape) + 1
    wall = np.zeros(shape, bool)
    wall[1:] |= cell[1:] != cell[:-1]
    wall[:, 1:] |= cell[:, 1:] != cell[:, :-1]
    away = distance_transform_edt(~wall)
    return np.where(away > 2, cell, 0).astype(np.int32), gaussian_filter((away > 0).astype(np.float32), 1.0)


def test_cells_meet_across_tiles_where_they_meet_in_the_whole_plane():
    labels, plane = walls()
    whole = _meet(labels, plane)
    assert (whole > 0).mean() > 0.98 > (labels > 0).mean()
    for side in (60, 1000):
        tiles = core_tiles_of(labels.shape, side)
        met = meet_by_tiles(labels, lambda window: plane[window.rows, window.columns], tiles, lambda share: None)
        assert (met == whole).mean() > (0.995 if side == 60 else 0.999999)
        np.testing.assert_array_equal(met[labels > 0], labels[labels > 0])


def core_tiles_of(shape, side):
    before, tiled.CORE = tiled.CORE, side
    try:
        return core_tiles(shape)
    finally:
        tiled.CORE = before


def test_lone_objects_do_not_grow():
    truth = discs(count=15)
    met = meet_by_tiles(truth, lambda window: None, core_tiles(truth.shape), lambda share: None)
    np.testing.assert_array_equal(met, truth)
    np.testing.assert_array_equal(label_areas(truth), np.bincount(truth.ravel())[1:])


def test_it_reports_and_stops():
    channels, seen_shares = Parts(seen(discs())), []
    tiled_crowd(channels, BOUNDS, 0.2, seen_shares.append)
    done = [progress.done for progress in seen_shares]
    assert done == sorted(done)
    assert len(set(done)) > 5

    def stop(progress) -> None:
        if progress.done > 300:
            raise Cancelled

    with pytest.raises(Cancelled):
        tiled_crowd(channels, BOUNDS, 0.2, stop)
