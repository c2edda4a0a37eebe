"""Channels in parts are those of the whole."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.grids import fit_within
from napari_what_where.image import PerceptualScale, check_image, working_channels
from napari_what_where.working_plane.lazy_channels import LazyChannels, PlaneChannels

from ..images import DTYPES, scene

WINDOWS = [np.s_[:, :], np.s_[3:17, 5:6], np.s_[-4:, :9], np.s_[10:11, 20:]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 3, 9])
@pytest.mark.parametrize("longest", [32, 31, 200])
def test_a_window_is_that_part_of_the_whole(dtype, channels, longest):
    image = check_image(scene((60, 83), channels=channels, dtype=dtype))
    scale = PerceptualScale.fit([image])
    whole = working_channels(image, scale, longest=longest)
    lazy = LazyChannels(image, scale, fit_within(image.shape[:2], longest))
    assert (lazy.shape, lazy.dtype) == (whole.shape, np.float32)
    # A mean of bytes half way between two may be rounded either way.
    tolerance = 0.02 if image.dtype == np.uint8 else 1e-5
    for window in WINDOWS:
        part = lazy[window]
        assert part.dtype == np.float32
        np.testing.assert_allclose(part, whole[window], atol=tolerance)
        assert np.abs(part - whole[window]).mean() < 1e-4


def test_a_finishing_touch_is_given_to_every_window():
    image = scene((20, 30))
    lazy = LazyChannels(image, PerceptualScale.fit([image]), (20, 30), finish=lambda part: part + 1)
    assert lazy[:, :].min() >= 1


def test_an_empty_window_is_empty():
    image = scene((20, 30), channels=3)
    lazy = LazyChannels(image, PerceptualScale.fit([image]), (10, 15))
    assert lazy[5:5, :].shape == (0, 15, 3)
    assert lazy[:, 9:2].shape == (10, 0, 3)


def test_arrays_have_the_same_protocol():
    image = scene((20, 30))
    assert isinstance(LazyChannels(image, PerceptualScale.fit([image]), (20, 30)), PlaneChannels)
    assert isinstance(image[..., None], PlaneChannels)


@pytest.mark.parametrize(("window", "error"), [(0, TypeError), (np.s_[:], TypeError), (np.s_[1, :], TypeError)])
def test_anything_but_two_slices_is_refused(window, error):
    image = scene((20, 30))
    lazy = LazyChannels(image, PerceptualScale.fit([image]), (20, 30))
    with pytest.raises(error, match="expected two slices"):
        lazy[window]
    with pytest.raises(ValueError, match="step 1"):
        lazy[::2, :]
