"""Parts of arrays with more axes: as numpy takes them, as text, and why not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.files.indexing import format_select, parse_select, select_plane

bounds = st.none() | st.integers(-20, 20)
steps = st.none() | st.integers(-3, 3).filter(bool)
indices = st.lists(st.integers(-20, 20) | st.builds(slice, bounds, bounds, steps), min_size=1, max_size=4)


@given(indices)
def test_text_and_index_are_one(index):
    assert parse_select(format_select(tuple(index))) == tuple(index)


@pytest.mark.parametrize("text", ["", "a", "1,", "1.5", "...", "None", ":,__import__('os')", "1:2:3:4", "::0", "--1"])
def test_only_integers_and_slices_are_read(text):
    with pytest.raises(ValueError, match="expected"):
        parse_select(text)


def test_spaces_and_steps_are_read():
    assert parse_select(" 3, : ,10:200:2, -1:") == (3, slice(None), slice(10, 200, 2), slice(-1, None))


def test_a_plane_is_what_numpy_takes_with_channels_last():
    stack = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(select_plane(stack, parse_select("1,2")), stack[1, 2])
    np.testing.assert_array_equal(select_plane(stack, parse_select("1"), 0), np.moveaxis(stack[1], 0, -1))
    np.testing.assert_array_equal(select_plane(stack, parse_select(":,1"), -3), np.moveaxis(stack[:, 1], 0, -1))
    np.testing.assert_array_equal(select_plane(stack, parse_select("0,0,1:3,::2")), stack[0, 0, 1:3, ::2])
    np.testing.assert_array_equal(select_plane(stack[..., :3], parse_select("1,0:3")), stack[1, :, :, :3])
    assert select_plane(stack, parse_select("1"), 0).flags.c_contiguous


@pytest.mark.parametrize(
    ("text", "channel_axis", "says"),
    [
        ("0", None, "Select one plane"),
        ("0,0,0", None, "expected \\(rows, columns\\)"),
        ("0,0,0,0,0", None, "5 axes"),
        ("7", None, "outside"),
        ("-3", None, "outside"),
        ("0,0,9:", None, "no pixels"),
        ("0,0", 0, "three axes"),
        ("0", 3, "channel axis 3"),
    ],
)
def test_what_is_no_plane_says_why(text, channel_axis, says):
    with pytest.raises(ValueError, match=says):
        select_plane(np.zeros((2, 3, 4, 5)), parse_select(text), channel_axis)
