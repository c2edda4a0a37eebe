"""Whether labels lie on whole pixels of an image, wherever both lie in the world; no window."""

from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_what_where.widgets.export.layers import placed_in

TURNS = [
    {},
    {"scale": (0.5, 2.0)},
    {"rotate": 30.0},
    {"scale": (2.0, 3.0), "rotate": 30.0, "shear": [0.2]},
    {"scale": (0.5, 0.5), "affine": [[0, -2, 5], [3, 0, 1], [0, 0, 1]]},
]


def both(start, turn, **changed):
    image = Image(np.zeros((40, 50)), translate=(7.0, -3.0), **turn)
    labels = Labels(np.zeros((8, 9), int), **{**turn, **changed})
    # Moved until the first pixel lies where it should.
    away = np.subtract(image.data_to_world(start), labels.data_to_world((0, 0)))
    linear = np.asarray(labels.affine.linear_matrix)
    labels.translate = np.asarray(labels.translate) + np.linalg.solve(linear, away)
    return labels, image


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("start", [(0, 0), (5, 11), (32, 41)])
def test_the_pixel_where_labels_begin(turn, start):
    assert placed_in(*both(start, turn)) == start


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("start", [(-1, 0), (33, 0), (0, 0.4)])
def test_labels_beyond_the_image_or_between_its_pixels(turn, start):
    assert placed_in(*both(start, turn)) is None


@pytest.mark.parametrize("changed", [{"rotate": 3.0}, {"shear": [0.1]}, {"scale": (1.0, 1.1)}])
def test_labels_that_are_turned_or_scaled_otherwise(changed):
    assert placed_in(*both((5, 5), {"scale": (1.0, 1.0)}, **changed)) is None


def test_a_quarter_turn_is_told_from_none():
    image = Image(np.zeros((40, 40)))
    assert placed_in(Labels(np.zeros((40, 40), int), rotate=90.0), image) is None
