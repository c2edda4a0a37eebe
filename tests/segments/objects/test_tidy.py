"""Tidying in bounding boxes beside the naive twin on the whole plane."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from skimage.measure import label

from napari_what_where.segments.objects.shapes import Bounds, outline_share
from napari_what_where.segments.objects.tidy import tidy

shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def naive(labels: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Every label on its own plane."""
    masks = []
    for number in np.unique(labels[labels > 0]):
        parts = label(labels == number, connectivity=1)
        part = parts == np.bincount(parts.ravel())[1:].argmax() + 1
        if part.sum() >= bounds.least and outline_share(part) <= bounds.outline:
            masks.append(part)
    tidied = np.zeros(labels.shape, np.int32)
    for number, mask in enumerate(sorted(masks, key=lambda mask: mask.ravel().argmax()), start=1):
        tidied[mask] = number
    return tidied


@given(
    arrays.arrays(np.int32, shapes, elements=st.integers(0, 4)), st.integers(1, 4), st.sampled_from([0.0, 0.25, 1.0])
)
def test_tidy_is_what_the_naive_twin_gives(labels, least, outline):
    bounds = Bounds(least, 99, outline)
    found = tidy(labels, bounds)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, naive(labels, bounds))
