"""Polygons as masks and as text: the same part of a plane, wherever it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from skimage.draw import polygon2mask

from napari_what_where.files.outlines import draw_outline, format_polygon, keep_inside, parse_polygon

numbers = st.floats(allow_nan=False, allow_infinity=False)
polygons = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9).map(tuple)
# Quarters of pixels, that floats hold exactly wherever the origin lies.
places = st.integers(-20, 140).map(lambda place: place / 4)
drawn = st.lists(st.tuples(places, places), min_size=3, max_size=6).map(tuple)


@given(polygons)
def test_text_and_polygon_are_one_to_the_last_bit(polygon):
    assert parse_polygon(format_polygon(polygon)) == polygon


@pytest.mark.parametrize("text", ["", "1,2", "1,2;3,4", "1,2;3,4;5", "1,2;3,4;5,6,7", "1,2;3,4;nan,0", "a,b;c,d;e,f"])
def test_what_is_no_polygon_says_what_was_expected(text):
    with pytest.raises(ValueError, match="three corners or more"):
        parse_polygon(text)


@given(st.lists(drawn, min_size=1, max_size=3))
def test_a_window_shows_what_the_whole_plane_would(several):
    whole = np.zeros((24, 30), bool)
    for polygon in several:
        whole |= polygon2mask(whole.shape, np.array(polygon))
    try:
        window, outline = draw_outline(several, (24, 30))
    except ValueError:
        corners = np.concatenate(several)
        sides = [min(stop, most) - max(0, least) for least, most, stop in zip(
            np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0)) + 1, whole.shape, strict=True
        )]  # fmt: skip
        assert whole.sum() < 4 or min(sides) < 2
        return
    np.testing.assert_array_equal(np.ones_like(whole[window]) if outline is None else outline, whole[window])
    assert whole.sum() == whole[window].sum()
    if outline is not None:
        assert not outline.all()


@given(drawn)
def test_what_was_drawn_can_be_drawn_again_from_its_text(polygon):
    try:
        window, outline = draw_outline([polygon], (24, 30))
    except ValueError:
        assume(False)
    again = draw_outline([parse_polygon(format_polygon(polygon))], (24, 30))
    assert again[0] == window
    np.testing.assert_array_equal(again[1], outline)


def test_a_rectangle_needs_no_outline_and_an_error_names_what_was_drawn():
    assert draw_outline([((2, 3), (2, 9), (7, 9), (7, 3))], (24, 30)) == ((slice(2, 8), slice(3, 10)), None)
    with pytest.raises(ValueError, match="The shape covers 2 pixels"):
        draw_outline([((2, 3), (2, 3.5), (3.5, 3))], (24, 30), what="The shape")


def test_labels_outside_become_background():
    _, outline = draw_outline([((0, 0), (0, 5), (5, 0))], (6, 6))
    labels = keep_inside(np.ones((2, 6, 6), np.int32), outline)
    np.testing.assert_array_equal(labels, np.broadcast_to(outline, (2, 6, 6)))
    np.testing.assert_array_equal(keep_inside(np.ones((6, 6), np.int32), None), 1)
