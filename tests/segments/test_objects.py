"""Objects of planted scenes: bright, dark, coloured, touching, tiling, none; and what holds for every image."""

from __future__ import annotations

import dataclasses
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.draw import disk
from skimage.measure import label

import napari_what_where as ww
from napari_what_where.progress import Cancelled, Progress
from napari_what_where.segments.objects.basins import basin_tree, noise_level
from napari_what_where.segments.objects.crowds import steepest_level
from napari_what_where.segments.objects.shapes import cut_at_necks, distinctness, solidity


def discs(count=20, shape=(160, 200), radius=(6, 11), seed=0):
    """Discs that do not touch, as labels."""
    rng, truth = np.random.default_rng(seed), np.zeros(shape, int)
    while truth.max() < count:
        size = rng.uniform(*radius)
        centre = rng.uniform((size + 2, size + 2), np.array(shape) - size - 2)
        if not truth[disk(centre, size + 4, shape=shape)].any():
            truth[disk(centre, size, shape=shape)] = truth.max() + 1
    return truth


def cells(shape=(150, 180), count=40, seed=0):
    """Cells that tile the plane, and the walls between them."""
    rng = np.random.default_rng(seed)
    rows, columns = np.indices(shape)
    side = int(np.sqrt(count))
    lattice = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) + 0.5
    centres = (lattice + rng.uniform(-0.3, 0.3, lattice.shape)) / side * shape
    distance = np.sqrt((rows[..., None] - centres[:, 0]) ** 2 + (columns[..., None] - centres[:, 1]) ** 2)
    nearest = np.sort(distance, axis=2)
    return distance.argmin(axis=2) + 1, nearest[..., 1] - nearest[..., 0] < 3


def noisy(plane, level, seed=0):
    return plane + level * np.random.default_rng(seed).normal(size=plane.shape)


def objects(image, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return ww.find_objects(ww.analyze(image, count=8), **options)


def precision(truth, found):
    """Matched / (matched + false + missed) at IoU 0.5, the naive way."""
    names, theirs = np.unique(found[found > 0]), np.unique(truth[truth > 0])
    hits = sum(
        any(
            2 * ((found == one) & (truth == other)).sum() > ((found == one) | (truth == other)).sum()
            for other in theirs
        )
        for one in names
    )
    return hits / max(len(names) + len(theirs) - hits, 1)


def check(found, shape, least=9):
    assert found.shape == shape
    assert found.dtype == np.int32
    count = int(found.max())
    assert len(np.unique(found[found > 0])) == count
    assert label(found, connectivity=1, background=0).max() == count
    if count:
        assert np.bincount(found.ravel())[1:].min() >= least


class TestPlanted:
    @pytest.mark.parametrize("sign", [1, -1], ids=["bright", "dark"])
    @pytest.mark.parametrize("noise", [0, 0.05, 0.15])
    def test_discs(self, sign, noise):
        truth = discs()
        found = objects(noisy(sign * (truth > 0), noise))
        check(found, truth.shape)
        assert precision(truth, found) >= 0.95

    def test_discs_of_unequal_brightness(self):
        truth = discs()
        brightness = np.concatenate([[0], np.random.default_rng(0).uniform(0.3, 1, truth.max())])
        assert precision(truth, objects(noisy(brightness[truth], 0.03))) >= 0.9

    def test_touching_discs_are_parted(self):
        truth = discs(12, radius=(8, 9))
        for number in range(1, 13):
            rows, columns = np.nonzero(truth == number)
            other = disk((rows.mean(), columns.mean() + 17), 8, shape=truth.shape)
            if not np.isin(truth[other], (0, number)).all() or columns.mean() + 26 > truth.shape[1]:
                continue
            truth[other] = np.where(truth[other] == 0, truth.max() + 1, truth[other])
        assert truth.max() > 14
        assert precision(truth, objects(noisy(1.0 * (truth > 0), 0.05))) >= 0.85

    @pytest.mark.parametrize("sign", [1, -1], ids=["bright walls", "dark walls"])
    def test_cells_grow_until_they_meet(self, sign):
        truth, walls = cells()
        found = objects(noisy(1.0 * sign * walls, 0.05))
        check(found, truth.shape)
        assert precision(truth, found) >= 0.9
        assert (found > 0).mean() > 0.95

    def test_colour_alone(self):
        truth = discs()
        image = np.where((truth > 0)[..., None], np.uint8([200, 60, 90]), np.uint8([60, 130, 90]))
        image = np.clip(noisy(image.astype(float), 6), 0, 255).astype(np.uint8)
        assert precision(truth, objects(image)) >= 0.9

    @pytest.mark.parametrize("sign", [1, -1])
    def test_one_disc(self, sign):
        truth = np.zeros((120, 150), int)
        truth[disk((60, 75), 25)] = 1
        found = objects(noisy(1.0 * sign * truth, 0.1))
        assert precision(truth, found) >= 0.5
        assert max(2 * ((found == i) & (truth == 1)).sum() for i in np.unique(found[found > 0])) > truth.sum()

    def test_one_large_thing_of_two_textures(self):
        rng = np.random.default_rng(0)
        truth = np.zeros((120, 160), int)
        truth[30:90, 40:120] = 1
        image = np.where(truth, 0.5 + 0.3 * rng.normal(size=truth.shape), 0.5 + 0.02 * rng.normal(size=truth.shape))
        found = objects(image)
        inside = np.bincount(found[truth == 1])
        assert inside.argmax() > 0
        assert inside.max() > 0.7 * truth.sum()


class TestEveryImage:
    @pytest.mark.parametrize("image", [np.full((40, 50), 7, np.uint8), np.zeros((64, 64, 3)), np.ones((2, 2))])
    def test_nothing_in_a_constant_one(self, image):
        found = objects(image)
        check(found, image.shape[:2])
        assert found.max() == 0

    def test_hardly_anything_in_noise(self):
        found = objects(np.random.default_rng(0).normal(size=(150, 170)))
        assert (found > 0).mean() < 0.1

    @settings(max_examples=12)
    @given(
        st.tuples(st.integers(2, 70), st.integers(2, 70)),
        st.sampled_from(["uint8", "uint16", "float32", "int16", "bool"]),
        st.sampled_from([None, 2, 3, 5]),
        st.integers(0, 50),
    )
    def test_any_shape_and_dtype(self, shape, dtype, channels, seed):
        rng = np.random.default_rng(seed)
        blobs = np.add.outer(np.sin(np.arange(shape[0]) / 3), np.sin(np.arange(shape[1]) / 4))
        planes = blobs if channels is None else blobs[..., None] * rng.uniform(-1, 1, channels)
        image = ((planes > 0) if dtype == "bool" else planes * 50 + 120).astype(dtype)
        check(objects(image), shape)

    def test_it_is_deterministic_and_leaves_the_analysis_alone(self):
        analysis = ww.analyze(noisy(1.0 * (discs() > 0), 0.1), count=6)
        before = analysis.channels.copy()
        np.testing.assert_array_equal(ww.find_objects(analysis), ww.find_objects(analysis))
        np.testing.assert_array_equal(analysis.channels, before)

    @pytest.mark.parametrize("change", [lambda x: 3e4 * x + 100, lambda x: -x], ids=["scaled", "inverted"])
    def test_units_and_polarity_hardly_matter(self, change):
        image = noisy(1.0 * (discs() > 0), 0.05)
        one, other = objects(image), objects(change(image))
        assert one.max() == other.max()
        assert ((one > 0) == (other > 0)).mean() > 0.995

    def test_transposed_images_have_transposed_objects(self):
        image = noisy(1.0 * (discs() > 0), 0.05)
        one, other = objects(image), objects(image.T).T
        assert one.max() == other.max()
        assert ((one > 0) == (other > 0)).mean() > 0.99

    def test_large_images_are_worked_on_at_the_working_size(self):
        truth = np.kron(discs(30, (130, 140), (5, 8)), np.ones((8, 8), int))
        found = objects(1.0 * (truth > 0))
        check(found, truth.shape, 100)
        assert precision(truth, found) >= 0.9


class TestOptions:
    def test_smallest_area_in_pixels_of_the_image(self):
        truth = discs(radius=(4, 12))
        found = objects(1.0 * (truth > 0), smallest_area=200)
        check(found, truth.shape, 200)
        assert 0 < found.max() < 20

    def test_border(self):
        truth = discs()
        image = 1.0 * (truth > 0)[20:140, 20:180]
        kept, dropped = objects(image), objects(image, touching_border=False)
        assert kept.max() > dropped.max() > 0
        assert not any(side.any() for side in (dropped[0], dropped[-1], dropped[:, 0], dropped[:, -1]))

    def test_largest(self):
        truth = np.zeros((100, 100), int)
        truth[disk((50, 50), 35)] = 1
        assert objects(1.0 * truth, largest=0.5).max() >= 1
        assert np.bincount(objects(1.0 * truth, largest=0.2).ravel(), minlength=2)[1:].max() <= 2000

    def test_an_analysis_without_channels_will_do(self):
        analysis = ww.analyze(1.0 * (discs(5, radius=(14, 20)) > 0), count=6, follow_edges=False)
        assert analysis.channels is None
        check(ww.find_objects(analysis), (160, 200))

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            ({"smallest_area": -1}, "smallest_area is -1"),
            ({"smallest_area": float("nan")}, "smallest_area is nan"),
            ({"largest": 0}, "largest is 0"),
            ({"largest": 1.5}, "largest is 1.5"),
            ({"overlap": 2}, "overlap is 2"),
            ({"quality": -0.1}, "quality is -0.1"),
        ],
    )
    def test_out_of_range(self, options, said):
        with pytest.raises(ValueError, match=said):
            objects(np.eye(16), **options)

    @pytest.mark.parametrize("wrong", [None, np.zeros((5, 5)), "coffee"])
    def test_no_analysis(self, wrong):
        with pytest.raises(TypeError, match="expected what analyze"):
            ww.find_objects(wrong)

    def test_it_can_be_cancelled_and_reports(self):
        analysis = ww.analyze(noisy(1.0 * (discs() > 0), 0.1), count=6)
        seen: list[Progress] = []
        ww.find_objects(analysis, report=seen.append)
        assert len(seen) > 5
        assert {progress.stage for progress in seen} == {"objects"}

        def stop(progress):
            raise Cancelled

        with pytest.raises(Cancelled):
            ww.find_objects(analysis, report=stop)

    def test_they_are_those_of_a_changed_plane(self):
        analysis = ww.analyze(1.0 * (discs() > 0), count=6)
        other = dataclasses.replace(analysis, channels=analysis.channels[::-1].copy())
        assert (ww.find_objects(other) > 0)[::-1].mean() == pytest.approx(
            (ww.find_objects(analysis) > 0).mean(), abs=0.01
        )


class TestParts:
    def test_basins_join_in_the_order_of_their_passes(self):
        plane = np.array([[5, 1, 4, 3, 6, 0, 2]], np.float32).repeat(3, axis=0)
        tree = basin_tree(plane, 0.5)
        assert [len(np.unique(tree.labels[:, column])) for column in range(7)] == [1] * 7
        assert tree.saddles.tolist() == [3, 1, 0]
        assert len(np.unique(tree.labels)) == 4
        assert len(np.unique(basin_tree(plane, 1.5).labels)) == 3

    def test_noise_is_measured_beside_edges(self):
        image = noisy(1.0 * (discs() > 0), 0.1)
        assert noise_level(image.astype(np.float32)) == pytest.approx(0.1, rel=0.15)

    def test_the_steepest_level_of_a_blurred_step_is_half_way(self):
        from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

        step = np.zeros((40, 120))
        step[:, 60:] = 1
        level = steepest_level(gaussian_filter(step, 12).ravel(), gaussian_gradient_magnitude(step, 12).ravel(), 1.0)
        assert level == pytest.approx(0.5, abs=0.05)
        assert steepest_level(np.ones(9), np.ones(9), 1.0) is None

    def test_solidity(self):
        assert solidity(np.ones((3, 5), bool)) == pytest.approx(1)
        assert solidity(np.eye(1, dtype=bool)) == pytest.approx(1)
        assert solidity(np.array([[1, 1, 1], [1, 0, 0], [1, 0, 0]], bool)) == pytest.approx(5 / 7)
        assert solidity(np.zeros((2, 2), bool)) == 0

    def test_distinctness(self):
        mask = np.zeros((12, 12), bool)
        mask[4:8, 4:8] = True
        flat = np.zeros((12, 12, 1))
        assert distinctness(flat, mask) == (0, 0)
        assert distinctness(flat + mask[..., None], mask) == (1, 1)
        half = flat + mask[..., None]
        half[:, 6:] = 1
        assert distinctness(half, mask) == (1, 0)
        mean, nearly_all = distinctness(half, mask, floor=2.0)
        assert 0.1 < mean < 0.4
        assert nearly_all == 0

    def test_two_discs_have_one_neck(self):
        mask = np.zeros((30, 50), bool)
        mask[disk((15, 15), 10)] = mask[disk((15, 33), 10)] = True
        pieces = cut_at_necks(mask, 9)
        assert len(pieces) == 2
        assert sum(piece.sum() for piece in pieces) == mask.sum()
        assert cut_at_necks(mask[:, :25], 9) == ()
