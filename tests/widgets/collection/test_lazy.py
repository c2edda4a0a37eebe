"""Planes that are read when they are looked at are those that would have been read at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.widgets.collection.lazy import lazy_stack

sizes = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 4)), min_size=1, max_size=4)


@settings(max_examples=15)
@given(sizes=sizes, broken=st.sets(st.integers(0, 3)))
def test_smaller_and_broken_planes_are_filled_up(sizes, broken):
    planes = [np.full(size, number + 1, np.uint16) for number, size in enumerate(sizes)]
    read: list[int] = []

    def give(number: int) -> np.ndarray:
        read.append(number)
        if number in broken:
            raise OSError("gone")
        return planes[number]

    expected = np.zeros((len(planes), 4, 4), np.uint16)
    for number, plane in enumerate(planes):
        if number not in broken:
            expected[number, : plane.shape[0], : plane.shape[1]] = plane
    stack = lazy_stack(give, len(planes), (4, 4), np.uint16)
    assert stack.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(stack), expected)
    read.clear()
    np.testing.assert_array_equal(np.asarray(stack[0]), expected[0])
    assert read == [0]


def test_eigenvectors_are_read_one_by_one_and_end_in_nan():
    read = []

    def give(k: int, number: int) -> np.ndarray:
        read.append((k, number))
        return np.full((2, 3), 10 * k + number, np.float32)

    stack = lazy_stack(give, 5, (4, 4), np.float32, leading=3)
    plane = np.asarray(stack[2, 4])
    assert read == [(2, 4)]
    assert (plane[:2, :3] == 24).all()
    assert np.isnan(plane[2:]).all()
