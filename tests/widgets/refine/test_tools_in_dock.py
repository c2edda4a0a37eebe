"""The tools that take clicks and the wheel, on labels that somebody else made."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from napari_what_where.widgets.picking import camera_of


@pytest.fixture
def opened(driver, picture, wrong):
    driver.viewer.add_image(picture, name="discs")
    driver.viewer.add_labels(wrong.copy(), name="theirs")
    return driver


def parts(labels):
    return {int(label) for label in np.unique(labels) if label}


def test_split_goes_deeper_click_by_click(opened, wrong):
    opened.press("split")
    opened.click((16, 16))
    assert parts(opened.labels) == {2, 3, 4, 5, 9, 10}
    assert (opened.labels == 0).sum() == (wrong == 0).sum()
    before = opened.labels.copy()
    opened.click((16, 16))
    assert len(parts(opened.labels)) == 7
    assert "is new" in opened.message
    assert opened.viewer.status == opened.message
    opened.dock.layer.undo()
    np.testing.assert_array_equal(opened.labels, before)
    opened.dock.layer.undo()
    np.testing.assert_array_equal(opened.labels, wrong)


def test_two_quick_clicks_are_two_clicks_and_do_not_zoom(opened):
    opened.press("split")
    zoom = camera_of(opened.viewer).zoom
    opened.click((16, 16))
    opened.double_click((16, 16))
    assert len(parts(opened.labels)) == 7
    assert camera_of(opened.viewer).zoom == zoom
    opened.press("split")
    opened.double_click((16, 16))
    assert camera_of(opened.viewer).zoom == 2 * zoom
    assert len(parts(opened.labels)) == 7


def test_merge_joins_what_is_clicked_to_the_first(opened):
    opened.press("merge")
    opened.click((16, 75))
    opened.click((16, 85))
    assert parts(opened.labels) == {2, 3, 4, 5}
    opened.click((46, 16))
    assert parts(opened.labels) == {2, 3, 5}
    opened.click((16, 75))
    assert "Done" in opened.message
    opened.click((46, 48))
    opened.click((16, 16))
    assert parts(opened.labels) == {3, 5}
    assert len(opened.dock.layer._undo_history) == 3
    opened.click((30, 2))
    assert "background" in opened.message


def test_the_wheel_grows_and_shrinks_and_leaves_the_rest_alone(opened, wrong):
    labels = wrong.copy()
    rows, columns = np.mgrid[:64, :96]
    labels[(labels == 4) & (np.hypot(rows - 46, columns - 16) > 4)] = 0
    opened.dock.layer.data = labels
    before = labels.copy()
    opened.press("grow")
    assert opened.turn((46, 16), 1)
    grown = opened.labels.copy()
    assert (grown == 4).sum() > (before == 4).sum()
    np.testing.assert_array_equal(grown[grown != 4], before[grown != 4])
    assert opened.turn((46, 16), -1)
    np.testing.assert_array_equal(opened.labels, before)
    assert not opened.turn((30, 2), 1)  # over background the wheel zooms
    assert not opened.viewer.mouse_wheel_callbacks[-1].__module__.startswith("napari.")
    for _ in range(3):
        opened.dock.layer.undo()
    np.testing.assert_array_equal(opened.labels, before)
    opened.press("grow")
    assert not opened.turn((46, 16), 1)


def test_small_turns_of_the_wheel_add_up(opened):
    opened.press("grow")
    for _ in range(2):
        assert opened.turn((46, 16), 0.4)
        assert not opened.dock.layer._undo_history
    opened.turn((46, 16), 0.4)
    assert len(opened.dock.layer._undo_history) == 1


def test_notches_that_cancel_out_change_nothing(opened, wrong):
    opened.panel.buttons["grow"].click()
    for notches in (1, -1):  # while the image is looked at
        opened.dock._turn(opened.world((46, 16)), notches)
    opened.wait()
    np.testing.assert_array_equal(opened.labels, wrong)
    assert not opened.dock.layer._undo_history
    opened.turn((46, 16), -1)
    assert len(opened.dock.layer._undo_history) == 1


def test_the_wheel_goes_on_after_a_cancellation(opened, wrong):
    opened.panel.buttons["grow"].click()
    opened.dock.steps.with_known(opened.dock.plane(), lambda known: None)  # the image is looked at
    opened.dock._turn(opened.world((46, 16)), -1)
    opened.panel.cancel.click()
    opened.wait()
    np.testing.assert_array_equal(opened.labels, wrong)
    opened.turn((46, 16), -1)
    assert len(opened.dock.layer._undo_history) == 1


@pytest.mark.parametrize("where", ["another object", "the same number on another plane", "background"])
def test_each_notch_is_for_what_is_under_the_mouse(driver, picture, wrong, where):
    driver.viewer.add_image(np.stack([picture[..., 0]] * 2))
    stack = np.stack([wrong] * 2)
    layer = driver.viewer.add_labels(stack.copy())
    driver.viewer.dims.set_current_step(0, 0)
    driver.panel.buttons["grow"].click()
    driver.dock._turn(driver.world((0, 46, 16)), -1)  # the image is looked at
    assert not driver.dock.work.idle
    if where == "another object":
        driver.dock._turn(driver.world((0, 46, 48)), -1)
        expected = {(0, 4), (0, 5)}
    elif where == "background":
        driver.dock._click(driver.world((0, 46, 80)))
        expected = {(0, 4), (0, 10)}
    else:
        driver.viewer.dims.set_current_step(0, 1)
        driver.dock._turn(driver.world((1, 46, 16)), -1)
        expected = {(0, 4), (1, 4)}
    driver.wait()
    sizes = {(plane, label): [int((each[plane] == label).sum()) for each in (stack, driver.labels)]
             for plane in (0, 1) for label in range(1, 12)}  # fmt: skip
    assert {key for key, (before, after) in sizes.items() if before != after} == expected
    assert len(layer._undo_history) == 2


def test_no_notch_is_lost_while_a_thread_works(opened, monkeypatch):
    from napari_what_where.refinement.regions import Growth

    opened.press("grow")
    opened.turn((46, 48), -1)  # what is known of the image is there
    begun, go_on, asked = threading.Event(), threading.Event(), []
    step = Growth.step

    def slowly(growth, labels, by):
        asked.append(by)
        begun.set()
        assert go_on.wait(30)
        return step(growth, labels, by)

    monkeypatch.setattr(Growth, "step", slowly)
    monkeypatch.setattr("napari_what_where.widgets.refine.steps.AT_ONCE", 0)  # as in a large plane
    turns = opened.dock.tools["grow"]._turns
    opened.dock._turn(opened.world((46, 16)), -1)
    assert begun.wait(30)
    assert not turns  # taken before the thread began
    opened.dock._turn(opened.world((46, 16)), -1)
    opened.dock._turn(opened.world((46, 16)), -1)
    go_on.set()
    opened.wait()
    assert asked == [-1, -2, -2]
    assert len(opened.dock.layer._undo_history) == 3


def test_a_click_on_background_begins_a_new_object(opened):
    opened.press("grow")
    opened.click((46, 80))
    assert opened.labels[46, 80] == 10
    opened.key("PageUp")
    assert (opened.labels == 10).sum() > 1


def test_a_drag_is_no_click(opened, wrong):
    opened.press("split")
    opened.drag((16, 16), (16, 40))
    np.testing.assert_array_equal(opened.labels, wrong)


def test_locked_labels_never_change(opened, wrong):
    opened.dock.actions.lock([2, 9])
    for tool, at in (("split", (16, 16)), ("merge", (16, 85)), ("merge", (16, 75)), ("grow", (16, 16))):
        opened.press(tool)
        opened.click(at)
        opened.click((46, 16))
        opened.turn((16, 16), 1)
        opened.turn((16, 16), -1)
        opened.press(tool)
    np.testing.assert_array_equal(opened.labels == 2, wrong == 2)
    np.testing.assert_array_equal(opened.labels == 9, wrong == 9)


def test_one_tool_at_a_time_and_escape_leaves_it(opened):
    opened.press("merge")
    opened.press("split")
    assert [name for name, button in opened.panel.buttons.items() if button.isChecked()] == ["split"]
    assert len(ours(opened.viewer.mouse_drag_callbacks)) == 1
    assert opened.key("Escape")
    assert opened.dock.active is None
    assert not ours(opened.viewer.mouse_drag_callbacks)
    assert not any(button.isChecked() for button in opened.panel.buttons.values())


def test_a_tool_of_napari_leaves_ours(opened):
    opened.press("split")
    opened.dock.layer.mode = "paint"
    assert opened.dock.active is None
    opened.press("split")
    assert opened.dock.layer.mode == "pan_zoom"


def test_a_guide_is_made_once(opened, monkeypatch):
    from napari_what_where import pipeline

    runs = []
    analyze = pipeline.analyze
    monkeypatch.setattr(pipeline, "analyze", lambda *args, **more: runs.append(1) or analyze(*args, **more))
    opened.press("split")
    opened.click((16, 16))
    opened.click((16, 75))
    opened.press("grow")
    opened.turn((46, 16), 1)
    assert len(runs) == 1
    opened.viewer.layers["discs"].data = opened.viewer.layers["discs"].data[::-1].copy()
    opened.turn((46, 16), 1)
    assert len(runs) == 2


def test_clicks_while_the_image_is_looked_at_come_after_it(opened):
    opened.panel.buttons["split"].click()
    for at in ((16, 16), (16, 75), (46, 48)):
        world = opened.world(at)
        opened.dock._click(world)
    assert not opened.dock.layer._undo_history
    opened.wait()
    assert len(opened.dock.layer._undo_history) == 3


def ours(callbacks):
    return [each for each in callbacks if each.__module__.startswith("napari_what_where")]
