"""Trouble: nothing to work on, layers that go, a dock that closes, two docks and windows; all said in words."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from qtpy.QtCore import QCoreApplication, QEvent

from napari_what_where.refinement.edit import edit_where
from napari_what_where.widgets.refine.target import HELPER
from tests.widgets.refine.conftest import RefineDriver
from tests.widgets.test_long_use import callbacks, listeners


def test_without_labels_every_button_says_so(driver, picture):
    driver.viewer.add_image(picture)
    for name in driver.panel.buttons:
        driver.dock.actions.act(name)
        assert "Open labels first" in driver.message
    assert driver.dock.active is None


def test_three_dimensions_are_refused_in_words(driver, wrong):
    driver.viewer.add_labels(np.stack([wrong, wrong]))
    driver.viewer.dims.ndisplay = 3
    driver.press("split")
    assert "2D view" in driver.message
    assert driver.dock.active is None


@pytest.mark.parametrize(
    ("pixels", "told"),
    [(np.nan, "NaN"), (np.inf, "infinite")],
)
def test_images_that_cannot_be_looked_at(driver, picture, wrong, pixels, told):
    image = picture[..., 0].astype(np.float32)
    image[3, 4] = pixels
    driver.viewer.add_image(image, contrast_limits=(0, 255))
    driver.viewer.add_labels(wrong.copy())
    driver.press("split")
    driver.click((16, 16))
    assert told in driver.message
    np.testing.assert_array_equal(driver.labels, wrong)


@pytest.mark.filterwarnings("ignore:The image is constant")
def test_a_constant_image(driver, wrong):
    driver.viewer.add_image(np.full(wrong.shape, 7, np.uint8))
    driver.viewer.add_labels(wrong.copy())
    driver.press("split")
    driver.click((16, 16))
    assert driver.labels[wrong == 0].max() == 0


def test_labels_of_a_small_type_that_is_full(driver, picture):
    full = np.arange(1, 256, dtype=np.uint8).repeat(30)[: 64 * 96].reshape(64, 96)
    full = np.concatenate([np.full((34, 96), 255, np.uint8), full[:30]])
    full[-1] = np.arange(96) + 160
    full[-2] = np.arange(96) + 64
    full[-3] = np.arange(96) + 1
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(full.copy())
    driver.press("split")
    driver.click((16, 16))
    np.testing.assert_array_equal(driver.labels, full)
    assert "255" in driver.message


def test_a_layer_that_goes_while_it_is_worked_on(driver, picture, wrong):
    driver.viewer.add_image(picture[:, ::-1].copy())
    layer = driver.viewer.add_labels(wrong.copy())
    driver.panel.buttons["split"].click()
    driver.dock._click(driver.world((16, 16)))
    driver.viewer.layers.remove(layer)
    driver.wait()
    assert driver.dock.layer is None
    np.testing.assert_array_equal(layer.data, wrong)
    assert not layer.events.paint.callbacks


def test_cancel_while_the_image_is_looked_at(driver, picture, wrong):
    driver.viewer.add_image(np.ascontiguousarray(picture[::-1, ::-1]))
    driver.viewer.add_labels(wrong.copy())
    driver.panel.buttons["split"].click()
    driver.dock._click(driver.world((16, 16)))
    driver.panel.cancel.click()
    driver.wait()
    assert "Cancelled" in driver.message
    np.testing.assert_array_equal(driver.labels, wrong)
    driver.click((16, 16))
    assert driver.labels.max() == 10


def test_a_dock_that_is_closed_leaves_nothing(make_napari_viewer, qtbot, picture, wrong):
    viewer = make_napari_viewer()
    image, layer = viewer.add_image(picture), viewer.add_labels(wrong.copy())
    viewer.add_labels(wrong).mode = "paint"  # the first of all brushes listens to the viewer
    viewer.layers.pop()
    before = listeners(viewer), callbacks(layer), callbacks(image), dict(viewer.keymap)
    for tool in ("scribble", "split", "grow"):
        driver = RefineDriver(viewer, qtbot)
        driver.dock.actions.act(tool)
        if tool == "split":
            driver.click((16, 16))
            layer.undo()
        viewer.window.remove_dock_widget(driver.dock)
        driver.wait()
        assert not any(HELPER in each.metadata for each in viewer.layers)
        assert layer.visible
        assert (listeners(viewer), callbacks(layer), callbacks(image), dict(viewer.keymap)) == before


def test_closing_while_a_task_runs(driver, picture, wrong):
    driver.viewer.add_image(np.rot90(picture, 2).copy())
    driver.viewer.add_labels(wrong.copy())
    driver.panel.buttons["split"].click()
    driver.dock._click(driver.world((16, 16)))
    dock = driver.dock
    driver.viewer.window.remove_dock_widget(dock)
    driver.qtbot.waitUntil(lambda: dock.work.idle, timeout=30_000)
    np.testing.assert_array_equal(driver.viewer.layers[1].data, wrong)


def test_two_windows(make_napari_viewer, qtbot, picture, wrong):
    drivers = [RefineDriver(make_napari_viewer(), qtbot) for _ in range(2)]
    for driver in drivers:
        driver.viewer.add_image(picture)
        driver.viewer.add_labels(wrong.copy())
    drivers[0].press("split")
    drivers[1].press("merge")
    drivers[0].click((16, 16))
    assert drivers[0].labels.max() == 10
    np.testing.assert_array_equal(drivers[1].labels, wrong)


def test_the_layer_to_refine_is_the_active_one(driver, wrong):
    first = driver.viewer.add_labels(wrong.copy(), name="first")
    second = driver.viewer.add_labels(wrong.copy(), name="second")
    assert driver.dock.layer is second
    driver.viewer.layers.selection.active = first
    assert driver.dock.layer is first
    assert driver.panel.labels.currentText() == "first"
    driver.panel.labels.setCurrentIndex(0)
    assert driver.dock.layer is second
    assert driver.viewer.layers.selection.active is second
    second.name = "renamed"
    assert driver.panel.labels.currentText() == "renamed"
    driver.viewer.layers.remove(second)
    assert driver.dock.layer is first


def test_edits_of_any_layer_are_saved(driver, picture, wrong):
    from napari_what_where.files import recovery

    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(wrong.copy(), name="theirs")
    driver.press("merge")
    driver.click((16, 75))
    driver.click((16, 85))
    saver = driver.dock.saving._own
    assert saver.changes(layer) is not None
    saver.flush()
    assert saver._find(layer).entry is not None
    recovery.discard(saver._find(layer).entry)


def test_with_the_what_and_where_dock(driver, picture):
    """Its analysis is the guide, its layer counts as touched, its autosaver saves."""
    _, main = driver.viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    main.panel.models.choose("filters")
    driver.viewer.add_image(picture)
    main.panel.run.click()
    driver.qtbot.waitUntil(lambda: main.task is None, timeout=60_000)
    layer = main.session.labels_layer
    assert driver.dock.layer is layer
    assert not main.session.touched
    driver.press("split")
    driver.click((16, 16))
    assert main.session.touched
    assert driver.dock.saving._own is None
    assert main.keeper.autosaver.changes(layer) is not None
    known = next(iter(driver.dock.guides._known.values()))
    assert known.analysis is main.session.findings.analyses[0]
    edited = layer.data.copy()
    main.panel.segments.spin.setValue(4)
    np.testing.assert_array_equal(layer.data, edited)
    assert main.session.labels_layer is not layer


@pytest.mark.parametrize("by", ["a tool", "a button"])
def test_what_is_painted_while_a_thread_works_is_not_overwritten(driver, wrong, monkeypatch, by):
    driver.viewer.add_labels(wrong.copy())
    from napari_what_where.refinement import tidy
    from napari_what_where.widgets.refine import steps

    monkeypatch.setattr(steps, "AT_ONCE", 10)
    started, painted = threading.Event(), threading.Event()

    def delete_two(labels, *args, **options):
        started.set()
        assert painted.wait(30)
        return edit_where(labels, labels == 2, 0, "deleted")

    monkeypatch.setattr(tidy, "fill_holes", delete_two)
    driver.dock.steps.edit(driver.dock.plane(), delete_two) if by == "a tool" else driver.dock.tidier.run("holes")
    driver.qtbot.waitUntil(started.is_set, timeout=30_000)
    driver.dock.layer.paint((16, 16), 7)
    now = driver.labels.copy()
    painted.set()
    driver.wait()
    np.testing.assert_array_equal(driver.labels, now)
    assert "changed meanwhile" in driver.message


def test_what_is_asked_for_while_too_much_waits_is_refused_in_words(driver, picture, wrong):
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(wrong.copy())
    work, done, refused = driver.dock.work, [], []
    go_on = threading.Event()

    def begin():
        work.begin(lambda report: go_on.wait(30), lambda answer: None)

    work.add(begin)
    for number in range(34):
        work.add(lambda n=number: done.append(n), otherwise=lambda n=number: refused.append(n))
    assert refused == [32, 33]
    assert "waiting already" in driver.message
    go_on.set()
    driver.wait()
    assert done == list(range(32))


def test_a_task_that_follows_from_another_is_waited_for_and_can_be_cancelled(driver):
    work, ended = driver.dock.work, []
    go_on = threading.Event()

    def then(answer):
        work.begin(lambda report: go_on.wait(30), ended.append, lambda: ended.append("cancelled"))

    work.add(lambda: work.begin(lambda report: "first", then))
    first = work.task
    driver.qtbot.waitUntil(lambda: work.task is not first)
    driver.qtbot.wait(100)  # the first has ended
    assert not work.idle
    work.add(lambda: ended.append("next"))
    assert not ended
    go_on.set()
    driver.wait()
    assert ended == [True, "next"]


def test_a_window_that_is_gone_before_its_task_hears_nothing_of_it(driver, picture, wrong):
    dock, go_on = driver.dock, threading.Event()
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(wrong.copy())
    heard = []
    dock.work.add(lambda: dock.work.begin(lambda report: go_on.wait(30), heard.append))
    task, work = dock.work.task, dock.work
    dock.closing.leave()
    work._timer.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    go_on.set()
    driver.qtbot.waitUntil(lambda: not task.running, timeout=30_000)
    driver.wait()
    assert not heard


def test_what_keeps_strokes_from_being_carried_on_is_said(driver, picture, wrong):
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(np.zeros((10, 10), int), name="small")
    driver.press("scribble")
    assert "lie on no image" in driver.message
    layer.data = wrong.copy()
    assert "another shape" in driver.message
    assert driver.dock.tool is None
    assert len(driver.names()) == 2
