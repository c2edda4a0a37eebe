"""Memory is used again only when nobody looks at it any more."""

from __future__ import annotations

import numpy as np

from napari_what_where.widgets.buffers import KEPT, Buffers


def test_what_is_let_go_is_used_again():
    buffers = Buffers()
    array = buffers.take((1, 4, 5))
    place = array.ctypes.data
    del array
    assert buffers.take((1, 4, 5)).ctypes.data == place


def test_what_is_held_even_by_a_view_is_not():
    buffers = Buffers()
    held = [buffers.take((1, 4, 5))[0, 1:] for _ in range(2 * KEPT)]
    for number, view in enumerate(held):
        view[...] = number
    assert [int(view.max()) for view in held] == list(range(2 * KEPT))
    assert all((view == number).all() for number, view in enumerate(held))


def test_another_shape_lets_the_others_go():
    buffers = Buffers()
    buffers.take((1, 4, 5))
    assert buffers.take((2, 3, 3)).shape == (2, 3, 3)
    assert len(buffers._arrays) == 1


def test_labels_that_a_script_holds_are_not_drawn_over(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    held = []
    for count in (3, 4, 5, 6, 7, 8):
        driver.panel.segments.spin.setValue(count)
        held.append(driver.segments.data)
    assert [len(np.unique(labels)) for labels in held] == [3, 4, 5, 6, 7, 8]
