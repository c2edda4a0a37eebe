"""Memory is used again only when nobody looks at it any more."""

from __future__ import annotations

import numpy as np

from napari_what_where.widgets import buffers
from napari_what_where.widgets.buffers import KEPT, MOST_IN_16_BITS, Buffers, label_type

from .conftest import Driver

KIND = np.dtype(np.uint16)


def test_what_is_let_go_is_used_again():
    kept = Buffers()
    array = kept.take((1, 4, 5), KIND)
    place = array.ctypes.data
    del array
    assert kept.take((1, 4, 5), KIND).ctypes.data == place


def test_what_is_held_even_by_a_view_is_not():
    kept = Buffers()
    held = [kept.take((1, 4, 5), KIND)[0, 1:] for _ in range(2 * KEPT)]
    for number, view in enumerate(held):
        view[...] = number
    assert [int(view.max()) for view in held] == list(range(2 * KEPT))
    assert all((view == number).all() for number, view in enumerate(held))


def test_another_shape_lets_the_others_go():
    kept = Buffers()
    kept.take((1, 4, 5), KIND)
    assert kept.take((2, 3, 3), KIND).shape == (2, 3, 3)
    assert len(kept._arrays) == 1


def test_another_type_lets_the_others_go_but_not_what_is_held():
    kept = Buffers()
    held = kept.take((1, 4, 5), KIND)
    held[...] = 7
    assert kept.take((1, 4, 5), np.dtype(np.int32)).dtype == np.int32
    kept.take((1, 4, 5), KIND)[...] = 8
    assert (held == 7).all()


def test_labels_are_small_where_that_leaves_as_many_numbers_free():
    assert label_type(0) == label_type(MOST_IN_16_BITS) == np.uint16
    assert np.iinfo(np.uint16).max >= 2 * MOST_IN_16_BITS
    assert label_type(MOST_IN_16_BITS + 1) == np.int32


def test_more_labels_than_16_bits_hold_come_and_go_in_one_layer(make_napari_viewer, qtbot, picture, monkeypatch):
    driver = Driver(make_napari_viewer(show=True), qtbot)
    driver.dock.setFixedWidth(420)  # whatever it says later, the canvas stays as wide
    driver.viewer.add_image(picture)
    driver.run()
    qtbot.wait(300)
    layer, drawn = driver.segments, {}
    for limit, kind in ((MOST_IN_16_BITS, np.uint16), (8, np.int32), (MOST_IN_16_BITS, np.uint16)):
        monkeypatch.setattr(buffers, "MOST_IN_16_BITS", limit)
        for count in (4, 9):
            driver.panel.segments.spin.setValue(count)
            # After a change that took long, as on a busy machine, the slider waits before the next.
            qtbot.waitUntil(lambda count=count: len(np.unique(layer.data)) == count, timeout=20_000)
            assert driver.segments is layer
            assert layer.data.dtype == (kind if count == 9 else np.uint16)
            np.testing.assert_array_equal(layer.data, driver.dock.session.stack.labels(count)[0])
            picture = driver.viewer.screenshot(canvas_only=True, flash=False)
            np.testing.assert_array_equal(picture, drawn.setdefault(count, picture))
    assert (drawn[4] != drawn[9]).any()


def test_the_user_can_paint_beyond_the_labels_there_are(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    layer = driver.segments
    assert layer.data.dtype == np.uint16
    before = layer.data.copy()
    layer.paint((10, 10), 2 * MOST_IN_16_BITS)
    assert layer.data.max() == 2 * MOST_IN_16_BITS
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_labels_that_a_script_holds_are_not_drawn_over(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    held = []
    for count in (3, 4, 5, 6, 7, 8):
        driver.panel.segments.spin.setValue(count)
        held.append(driver.segments.data)
    assert [len(np.unique(labels)) for labels in held] == [3, 4, 5, 6, 7, 8]
