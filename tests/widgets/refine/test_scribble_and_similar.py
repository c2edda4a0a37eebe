"""What is shown before it is done: strokes that are carried on, and objects that are alike."""

from __future__ import annotations

import sys
import types

import numpy as np
import pytest

from napari_what_where.widgets.refine.target import HELPER
from tests.widgets.refine.stand_in import NearestColour


@pytest.fixture
def opened(driver, picture, wrong, monkeypatch):
    module = types.ModuleType("napari_what_where.refinement.propagation")
    module.Propagator = NearestColour
    monkeypatch.setitem(sys.modules, module.__name__, module)
    driver.viewer.add_image(picture, name="discs")
    driver.viewer.add_labels(wrong.copy(), name="theirs")
    return driver


def stroke(driver, label, at, to):
    """A stroke as napari's brush makes it: one step of the undo of the layer that is drawn on."""
    layer = driver.viewer.layers.selection.active
    assert HELPER in layer.metadata
    with layer.block_history():
        for part in np.linspace(0, 1, 6):
            layer.paint(tuple(np.array(at) * (1 - part) + np.array(to) * part), label)
    driver.wait()


def scribble(driver):
    driver.press("scribble")
    tool = driver.dock.tool
    tool.strokes.brush_size = 3
    background = tool.background
    lead = (0,) * (driver.dock.layer.ndim - 2)
    stroke(driver, background, (*lead, 2, 4), (*lead, 2, 90))
    stroke(driver, 4, (*lead, 16, 12), (*lead, 16, 20))
    stroke(driver, 5, (*lead, 16, 45), (*lead, 16, 52))
    return tool


def test_strokes_become_labels_as_one_step(opened, picture, wrong):
    tool = scribble(opened)
    assert opened.names() == ["discs", "theirs", "theirs preview", "theirs scribbles"]
    np.testing.assert_array_equal(opened.labels, wrong)
    assert not opened.dock.layer.visible
    shown = tool.preview.layer.data.copy()
    assert not tool.preview.layer.editable
    opened.press("accept")
    assert opened.names() == ["discs", "theirs"]
    assert opened.dock.layer.visible
    assert opened.dock.active is None
    assert opened.viewer.layers.selection.active is opened.dock.layer
    np.testing.assert_array_equal(opened.labels, shown)
    assert set(np.unique(opened.labels)) == {0, 4, 5}
    assert opened.labels[46, 80] == 5  # the disc that was missing, of the colour of the other stroke
    assert len(opened.dock.layer._undo_history) == 1
    opened.dock.layer.undo()
    np.testing.assert_array_equal(opened.labels, wrong)


def test_strokes_carried_as_they_are_outside_of_tests(driver, picture, wrong):
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(wrong.copy())
    driver.press("scribble")
    tool = driver.dock.tool
    tool.strokes.brush_size = 3
    stroke(driver, 12, (46, 75), (46, 85))
    stroke(driver, tool.background, (30, 30), (34, 60))
    assert tool.preview.shown, driver.message
    driver.press("accept")
    assert driver.labels[46, 82] == 12  # the disc that was missing
    assert (driver.labels == 12).sum() > 100
    for row, column in ((16, 48), (46, 16), (46, 48)):
        assert driver.labels[row, column] == wrong[row, column]
    driver.dock.layer.undo()
    np.testing.assert_array_equal(driver.labels, wrong)


def test_dropped_strokes_change_nothing(opened, wrong):
    scribble(opened)
    opened.key("Q")
    assert opened.names() == ["discs", "theirs"]
    np.testing.assert_array_equal(opened.labels, wrong)
    assert not opened.dock.layer._undo_history


def test_undoing_a_stroke_carries_on_what_is_left(opened):
    tool = scribble(opened)
    assert set(np.unique(tool.preview.layer.data)) == {0, 4, 5}
    opened.press("undo")
    opened.wait()
    assert set(np.unique(tool.preview.layer.data)) == {0, 4}
    opened.press("redo")
    assert set(np.unique(tool.preview.layer.data)) == {0, 4, 5}
    for _ in range(3):
        opened.press("undo")
    assert not tool.preview.shown
    assert "theirs scribbles" in opened.names()


def test_locked_labels_are_not_scribbled_over(opened, wrong):
    opened.dock.actions.lock([2, 9])
    scribble(opened)
    opened.press("accept")
    for label in (2, 9):
        np.testing.assert_array_equal(opened.labels == label, wrong == label)
    assert opened.labels[46, 80] == 5


def test_locking_while_scribbling(opened, wrong):
    tool = scribble(opened)
    opened.dock.actions.lock([2])
    opened.wait()
    assert (tool.preview.layer.data[wrong == 2] == 2).all()


def test_new_objects_get_numbers_that_are_free(opened):
    tool = scribble(opened)
    opened.press("new_stroke")
    assert tool.strokes.selected_label == 11  # 9 is the largest, 10 stands for background
    opened.press("background_stroke")
    assert tool.strokes.selected_label == 10


def test_scribbles_of_a_plane_of_a_stack(driver, picture, wrong, monkeypatch):
    module = types.ModuleType("napari_what_where.refinement.propagation")
    module.Propagator = NearestColour
    monkeypatch.setitem(sys.modules, module.__name__, module)
    transform = {"scale": (2, 1, 3), "rotate": (0, 0, 20), "translate": (0, 4, 0)}
    driver.viewer.add_image(np.stack([picture[..., 0]] * 3), **transform)
    stack = np.stack([wrong] * 3)
    driver.viewer.add_labels(stack.copy(), **transform)
    driver.viewer.dims.set_current_step(0, 1)
    tool = scribble(driver)
    layer = driver.dock.layer
    np.testing.assert_allclose(tool.strokes.data_to_world((0, 5, 6)), layer.data_to_world((1, 5, 6)))
    driver.press("accept")
    np.testing.assert_array_equal(driver.labels[[0, 2]], stack[[0, 2]])
    assert not np.array_equal(driver.labels[1], wrong)
    layer.undo()
    np.testing.assert_array_equal(driver.labels, stack)


def test_accept_waits_for_the_last_stroke(opened, monkeypatch):
    monkeypatch.setattr("napari_what_where.widgets.refine.steps.AT_ONCE", 0)  # as in a large plane
    tool = scribble(opened)
    with tool.strokes.block_history():
        tool.strokes.paint((46, 48), 7)
    assert not opened.dock.work.idle
    opened.dock.actions.act("accept")
    opened.wait()
    assert (opened.labels == 7).any()
    assert opened.names() == ["discs", "theirs"]


def test_the_labels_go_while_scribbling(opened):
    scribble(opened)
    opened.viewer.layers.remove(opened.dock.layer)
    opened.wait()
    assert opened.names() == ["discs"]
    assert opened.dock.active is None


def test_the_strokes_are_deleted_by_hand(opened, wrong):
    tool = scribble(opened)
    opened.viewer.layers.remove(tool.strokes)
    opened.wait()
    assert opened.dock.active is None
    assert opened.names() == ["discs", "theirs"]
    np.testing.assert_array_equal(opened.labels, wrong)


def test_edits_made_while_scribbling_stay(opened):
    """Also of an object that was given the number that stands for background in the strokes."""
    tool = scribble(opened)
    opened.dock.actions.lock([tool.background])
    opened.wait()
    opened.dock.layer.paint((46, 80), tool.background)
    opened.wait()
    made = opened.labels == tool.background
    assert made.any()
    assert (tool.preview.layer.data[made] == tool.background).all()
    opened.press("new_stroke")
    assert tool.strokes.selected_label == tool.background + 1
    opened.press("accept")
    np.testing.assert_array_equal(opened.labels == 10, made)


def test_what_is_undone_while_scribbling_stays_undone(driver, picture, wrong):
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(wrong.copy())
    layer.paint((46, 16), 3)
    driver.press("scribble")
    driver.dock.tool.strokes.brush_size = 3
    stroke(driver, 12, (46, 75), (46, 85))
    layer.undo()
    driver.wait()
    driver.press("accept")
    assert driver.labels[46, 16] == wrong[46, 16]
    assert (driver.labels == 12).sum() > 100


def test_masks_of_0_and_255(opened, wrong):
    opened.dock.layer.data = np.where(wrong > 0, 255, 0).astype(np.uint8)
    assert opened.dock.free_label(opened.dock.layer) == 1
    tool = scribble(opened)
    opened.press("new_stroke")
    assert tool.strokes.selected_label == 1
    stroke(opened, 300, (46, 45), (46, 52))
    opened.press("accept")
    assert "does not fit" in opened.message
    assert opened.dock.active == "scribble"
    opened.press("undo")
    opened.press("accept")
    assert set(np.unique(opened.labels)) == {0, 4, 5}
    assert opened.dock.active is None


@pytest.mark.parametrize("shape", [(96, 64), (64, 97)])
def test_labels_get_another_shape_while_scribbling(opened, wrong, shape):
    scribble(opened)
    layer = opened.dock.layer
    layer.data = np.zeros(shape, np.int32)
    opened.wait()
    assert opened.names() == ["discs", "theirs"]
    assert opened.dock.active is None
    assert "another shape" in opened.message
    assert opened.dock.layer.visible


def test_labels_lose_an_axis_while_scribbling(driver, picture, wrong):
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(np.stack([wrong] * 3))
    driver.press("scribble")
    layer.data = wrong.copy()
    driver.wait()
    assert driver.dock.active is None
    assert "another shape" in driver.message
    assert len(driver.viewer.layers) == 2
    driver.press("scribble")
    assert driver.dock.active == "scribble"


def test_a_plane_goes_while_scribbling_on_it(driver, picture, wrong):
    driver.viewer.add_image(np.stack([picture[..., 0]] * 3))
    layer = driver.viewer.add_labels(np.stack([wrong] * 3))
    driver.viewer.dims.set_current_step(0, 2)
    driver.press("scribble")
    layer.data = np.stack([wrong] * 2)
    driver.wait()
    assert driver.dock.active is None
    assert "another shape" in driver.message


@pytest.mark.parametrize("dtype", [np.uint32, np.int64])
def test_numbers_that_strokes_can_not_have_are_refused_before_anything_is_begun(driver, picture, wrong, dtype):
    driver.viewer.add_image(picture)
    labels = wrong.astype(dtype)
    labels[wrong == 9] = 2**31
    layer = driver.viewer.add_labels(labels.copy(), name="theirs")
    layer.selected_label = 2**31
    driver.press("scribble")
    assert "Relabel" in driver.message
    assert "2,147,483,648" in driver.message
    assert driver.dock.active is None
    assert len(driver.viewer.layers) == 2
    np.testing.assert_array_equal(driver.labels, labels)
    driver.press("relabel")
    assert driver.labels.max() == 5
    driver.press("scribble")
    assert driver.dock.active == "scribble"
    assert driver.dock.tool.strokes.selected_label == 7  # 6 stands for background


def test_numbers_that_are_gone_do_not_keep_one_from_scribbling(driver, picture, wrong, monkeypatch):
    monkeypatch.setattr("napari_what_where.widgets.refine.numbers.LOOKED_AT", 0)  # as of a large layer
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(np.where(wrong == 9, 2**31 - 2, wrong))
    driver.press("scribble")
    assert driver.dock.active is None
    driver.press("relabel")
    driver.press("scribble")
    assert driver.dock.active == "scribble"


def failing(monkeypatch, how):
    """The next commit can not be made; returns what makes the ones after it go well."""
    from napari_what_where.widgets.refine import steps

    if how == "the labels have changed":
        monkeypatch.setattr(steps.Change, "still_holds", lambda change: False)
        return lambda: monkeypatch.setattr(steps.Change, "still_holds", lambda change: True)
    write = steps.write

    def full(*args):
        raise OSError("The disk is full")

    monkeypatch.setattr(steps, "write", full)
    return lambda: monkeypatch.setattr(steps, "write", write)


FAILURES = ["the labels have changed", "the disk is full"]


@pytest.mark.parametrize("how", FAILURES)
@pytest.mark.parametrize("at_once", [2**21, 0])
def test_strokes_stay_when_accepting_fails(opened, wrong, monkeypatch, how, at_once):
    monkeypatch.setattr("napari_what_where.widgets.refine.steps.AT_ONCE", at_once)
    tool = scribble(opened)
    drawn, shown = tool.strokes.data.copy(), tool.preview.layer.data.copy()
    mend = failing(monkeypatch, how)
    opened.press("accept")
    assert "changed meanwhile" in opened.message or "disk is full" in opened.message
    np.testing.assert_array_equal(opened.labels, wrong)
    assert opened.dock.active == "scribble"
    np.testing.assert_array_equal(tool.strokes.data, drawn)
    mend()
    opened.press("accept")
    np.testing.assert_array_equal(opened.labels, shown)
    assert opened.dock.active is None
    assert opened.names() == ["discs", "theirs"]
    assert len(opened.dock.layer._undo_history) == 1


def test_what_is_drawn_while_an_accepted_preview_is_written_is_not_lost(opened, monkeypatch):
    monkeypatch.setattr("napari_what_where.widgets.refine.steps.AT_ONCE", 0)  # as in a large plane
    tool = scribble(opened)
    opened.dock.actions.act("accept")
    with tool.strokes.block_history():
        tool.strokes.paint((46, 48), 7)
    opened.wait()
    assert len(opened.dock.layer._undo_history) == 1
    assert opened.dock.active == "scribble"
    assert (tool.preview.layer.data == 7).any()
    opened.press("accept")
    assert (opened.labels == 7).any()
    assert opened.dock.active is None


# Similar


@pytest.mark.parametrize("how", FAILURES)
def test_what_was_found_stays_when_accepting_fails(opened, wrong, monkeypatch, how):
    opened.press("similar")
    opened.click((46, 48))
    opened.panel.threshold.setValue(200)
    opened.panel.as_one.setChecked(True)
    mend = failing(monkeypatch, how)
    opened.press("accept")
    assert opened.dock.tool.deciding
    assert opened.dock.tool.preview.shown
    np.testing.assert_array_equal(opened.labels, wrong)
    mend()
    opened.press("accept")
    assert not np.array_equal(opened.labels, wrong)
    assert not opened.dock.tool.deciding
    assert not opened.dock.tool.preview.shown


def test_similar_objects_become_one_or_stay_instances(opened, wrong):
    opened.press("similar")
    opened.click((46, 48))
    tool = opened.dock.tool
    slider = opened.panel.threshold
    assert slider.isEnabled()
    slider.setValue(0)
    assert tool.likeness.count(tool.threshold) == 1
    counts = []
    for value in range(0, 201, 20):
        slider.setValue(value)
        counts.append(int((tool.preview.layer.data > 0).sum()))
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    np.testing.assert_array_equal(opened.labels, wrong)
    slider.setValue(round(tool.likeness.suggested * 200))
    where = tool.preview.layer.data > 0
    opened.panel.as_one.setChecked(True)
    opened.press("accept")
    assert (opened.labels[where] == 5).all()
    np.testing.assert_array_equal(opened.labels[~where], wrong[~where])
    assert not tool.preview.layer.data.any()
    opened.press("similar")
    assert opened.names() == ["discs", "theirs"]
    opened.dock.layer.undo()
    np.testing.assert_array_equal(opened.labels, wrong)


def test_similar_instances(opened, wrong):
    opened.press("similar")
    opened.click((46, 16))
    opened.key("PageUp")
    opened.panel.threshold.setValue(120)
    opened.key("U")
    np.testing.assert_array_equal(opened.labels[wrong > 0], wrong[wrong > 0])
    opened.click((46, 16))
    opened.key("Q")
    assert opened.dock.active == "similar"
    assert not opened.dock.tool.deciding
    opened.key("Escape")
    assert opened.names() == ["discs", "theirs"]


def test_the_preview_of_similar_goes_when_the_labels_change(opened):
    opened.press("similar")
    opened.click((46, 48))
    assert opened.dock.tool.preview.shown
    opened.dock.layer.paint((5, 5), 3)
    assert not opened.dock.tool.preview.shown
    assert not opened.dock.tool.deciding


def test_dropped_after_it_was_accepted_nothing_changes(opened, wrong, monkeypatch):
    """In a large plane, whose edit is still on its way."""
    monkeypatch.setattr("napari_what_where.widgets.refine.steps.AT_ONCE", 0)
    scribble(opened)
    opened.dock.actions.act("accept")
    opened.dock.actions.act("drop")
    opened.wait()
    np.testing.assert_array_equal(opened.labels, wrong)
    assert opened.names() == ["discs", "theirs"]


def test_with_all_strokes_undone_there_is_nothing_to_accept(opened, wrong):
    tool = scribble(opened)
    for _ in range(3):
        opened.press("undo")
    opened.press("accept")
    assert "Nothing is drawn" in opened.message
    stroke(opened, 5, (16, 45), (16, 52))
    assert tool.preview.shown
    np.testing.assert_array_equal(opened.labels, wrong)


def test_strokes_in_many_numbers_do_not_hold_the_window(opened):
    tool = scribble(opened)
    for number in range(20, 34):
        stroke(opened, number, (3 * (number - 19), 40), (3 * (number - 19), 44))
    with tool.strokes.block_history():
        tool.strokes.paint((46, 48), 7)
    assert not opened.dock.work.idle
    opened.wait()
    assert (tool.preview.layer.data == 7).any()
