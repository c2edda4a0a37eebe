"""Masks and parts, beside scipy and scikit-image."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import maximum_filter
from skimage.measure import label

from napari_what_where.refinement import parts as under_test
from napari_what_where.refinement.parts import grown, plane_parts

SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=12)


@given(arrays(bool, SHAPES), st.integers(0, 14), st.booleans())
def test_a_mask_grows_as_by_a_maximum_filter(mask, reach, turned):
    mask = mask.T if turned else mask
    before = mask.copy()
    expected = maximum_filter(mask.view(np.uint8), 2 * reach + 1).view(bool)
    np.testing.assert_array_equal(grown(mask, reach), expected)
    np.testing.assert_array_equal(mask, before)


@given(arrays(np.int32, SHAPES, elements=st.integers(0, 3)), st.booleans(), st.sampled_from([0.0, 2.0]))
def test_parts_are_those_of_pixels(labels, corners, noise):
    """Joined run by run, or pixel by pixel."""
    with patch.object(under_test, "NOISE", noise):
        found = plane_parts(labels, corners=corners)
    expected = label(labels, background=0, connectivity=2 if corners else 1)
    np.testing.assert_array_equal(found.numbers, expected)
    np.testing.assert_array_equal(found.labels[found.numbers], labels)
    np.testing.assert_array_equal(found.sizes, np.bincount(expected.ravel()))
