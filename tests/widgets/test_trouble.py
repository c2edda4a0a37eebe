"""Everything that goes wrong: what the user is told, and that nothing is lost."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_what_where.progress import Progress
from napari_what_where.widgets.choosing import NO_IMAGE


def layer_states(viewer):
    return [(layer.name, layer.data.copy()) for layer in viewer.layers]


def assert_unchanged(viewer, states):
    assert [layer.name for layer in viewer.layers] == [name for name, _ in states]
    for layer, (_, data) in zip(viewer.layers, states, strict=True):
        np.testing.assert_array_equal(layer.data, data)


def test_no_layer(driver):
    driver.run()
    assert driver.message == NO_IMAGE
    driver.dock.copy_as_python()
    assert driver.message == "Press Run first."
    driver.dock.export("nowhere.tif")
    assert "press Run first" in driver.message


def nan(grey):
    grey[3, 4] = np.nan
    return grey


MODELS = pytest.mark.parametrize("model", ["filters", "built-in"])


@MODELS
@pytest.mark.parametrize(
    ("make", "told"),
    [
        (nan, "NaN or infinite"),
        (lambda grey: np.where(grey > 200, np.inf, grey), "NaN or infinite"),
        (lambda grey: grey[:1, :1], "at least 2 × 2 pixels"),
    ],
    ids=["nan", "inf", "one pixel"],
)
def test_bad_pixels_are_refused_in_words(driver, picture, make, told, model):
    driver.panel.models.choose(model)
    driver.viewer.add_image(make(picture[..., 0].astype(np.float32)), contrast_limits=(0, 255))
    states = layer_states(driver.viewer)
    driver.run()
    assert told in driver.message
    assert "No layer was changed" in driver.message
    assert_unchanged(driver.viewer, states)
    assert driver.panel.run.isEnabled()


@MODELS
@pytest.mark.parametrize(
    ("image", "told"),
    [
        (np.full((40, 50), 7, np.uint8), "constant"),
        (np.random.default_rng(0).random((3, 900)), "segments"),
        (np.random.default_rng(0).random((5, 40, 50)), "segments"),
        (np.random.default_rng(0).random((2, 3, 40, 50)), "segments"),
        (np.random.default_rng(0).integers(0, 2**16, (40, 50), dtype=np.uint16), "segments"),
    ],
    ids=["constant", "3 x 900", "5 channels", "4D", "uint16"],
)
def test_odd_images_work_and_say_what_is_odd(driver, image, told, model):
    driver.panel.models.choose(model)
    driver.viewer.add_image(image)
    driver.run()
    assert told in driver.message
    assert driver.segments.data.shape[-2:] == image.shape[-2:]


def test_the_layer_is_deleted_while_running(driver, picture):
    layer = driver.viewer.add_image(picture, name="gone")
    driver.panel.run.click()
    driver.viewer.layers.remove(layer)
    driver.wait()
    assert "gone segments (what)" in driver.names()
    driver.run()
    assert driver.message == NO_IMAGE


def test_run_twice_at_once(driver, picture):
    driver.viewer.add_image(picture)
    driver.panel.run.click()
    first = driver.dock.task
    driver.dock.start()
    assert driver.dock.task is first
    assert "Still running" in driver.message
    driver.wait()
    assert len(driver.viewer.layers) == 4


@MODELS
@pytest.mark.parametrize("stage", ["activations", "affinity", "eigenvectors", "segments"])
def test_cancel_in_each_stage(driver, picture, stage, monkeypatch, qtbot, model):
    """The work is held in the stage until Cancel is pressed; its next report must stop it within a second."""
    from napari_what_where.widgets import task as tasks

    driver.panel.models.choose(model)
    driver.viewer.add_image(picture)
    driver.run()
    states = layer_states(driver.viewer)
    report = tasks.Task._report
    held = []

    def hold(self, progress: Progress):
        if progress.stage == stage:
            held.append(progress)
            deadline = time.monotonic() + 10
            while not self._worker.abort_requested and time.monotonic() < deadline:
                time.sleep(0.002)
        report(self, progress)

    monkeypatch.setattr(tasks.Task, "_report", hold)
    driver.panel.run.click()
    qtbot.waitUntil(lambda: bool(held), timeout=20_000)
    started = time.monotonic()
    driver.panel.cancel.click()
    driver.wait()
    assert time.monotonic() - started < 1
    assert driver.message == "Cancelled; nothing has changed."
    assert_unchanged(driver.viewer, states)
    monkeypatch.undo()
    driver.run()
    assert "segments" in driver.message


def test_an_unexpected_failure_leaves_all_layers_and_offers_details(driver, picture, monkeypatch):
    from napari_what_where.embedding import spectral

    driver.viewer.add_image(picture)
    driver.run()
    states = layer_states(driver.viewer)

    def fail(*args, **kwargs):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(spectral, "SOLVERS", {"exact": fail})
    driver.run()
    assert "RuntimeError: out of luck" in driver.message
    assert driver.panel.copy_details.isVisibleTo(driver.dock)
    assert_unchanged(driver.viewer, states)
    monkeypatch.undo()
    driver.run()
    assert "segments" in driver.message
    assert not driver.panel.copy_details.isVisibleTo(driver.dock)


def test_the_window_is_closed_while_running(make_napari_viewer, qtbot, picture):
    viewer = make_napari_viewer()
    viewer.add_image(np.kron(picture[..., 0], np.ones((8, 8), np.uint8)))
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    dock.start()
    task = dock.task
    started = time.monotonic()
    viewer.close()
    qtbot.waitUntil(lambda: not task.running, timeout=5_000)
    assert time.monotonic() - started < 5
    assert task.cancelled


def test_the_dock_is_closed_while_running_and_opened_again(driver, picture, qtbot):
    driver.viewer.add_image(picture)
    driver.panel.run.click()
    task = driver.dock.task
    driver.viewer.window.remove_dock_widget(driver.dock)
    qtbot.waitUntil(lambda: not task.running, timeout=10_000)
    _, dock = driver.viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    dock.start()
    qtbot.waitUntil(lambda: dock.task is None, timeout=20_000)
    assert "segments" in dock.panel.message.text()


def test_layers_that_napari_cannot_show_are_taken_back(driver, picture, monkeypatch):
    driver.viewer.add_image(picture)
    states = layer_states(driver.viewer)

    def fail(*args, **kwargs):
        raise RuntimeError("no more layers")

    monkeypatch.setattr(driver.viewer, "__class__", type("Full", (type(driver.viewer),), {"add_labels": fail}))
    driver.run()
    assert "RuntimeError: no more layers" in driver.message
    assert_unchanged(driver.viewer, states)


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_a_second_tree_that_does_not_come_leaves_the_first_and_its_box(driver, picture, monkeypatch, outcome):
    from napari_what_where.progress import Cancelled
    from napari_what_where.segments import tree

    driver.viewer.add_image(picture)
    driver.run()
    states = layer_states(driver.viewer)
    calls = []

    def fail(*args, **kwargs):
        calls.append(args)
        raise RuntimeError("no tree") if outcome == "failed" else Cancelled

    monkeypatch.setattr(tree, "region_tree", fail)
    driver.panel.edges.click()
    driver.wait()
    assert len(calls) == 1
    assert driver.panel.edges.isChecked()
    assert outcome in driver.message.lower()
    assert_unchanged(driver.viewer, states)
    driver.panel.segments.spin.setValue(5)
    assert len(np.unique(driver.segments.data)) == 5


def test_a_second_run_that_cannot_be_shown_leaves_the_first_live_and_protected(driver, picture, monkeypatch):
    image = driver.viewer.add_image(picture)
    driver.run()
    segments, first = driver.segments, driver.dock.session.findings
    segments.paint((10, 10), 77)  # so the second run wants a new Labels layer
    states = layer_states(driver.viewer)
    image.data = picture[:, ::-1]
    driver.viewer.layers.selection.active = image

    def fail(*args, **kwargs):
        raise RuntimeError("no more layers")

    with monkeypatch.context() as patch:
        patch.setattr(driver.viewer, "__class__", type("Full", (type(driver.viewer),), {"add_labels": fail}))
        driver.run()
    assert "RuntimeError: no more layers" in driver.message
    assert_unchanged(driver.viewer, [(image.name, picture[:, ::-1]), *states[1:]])
    assert driver.dock.session.findings is first
    segments.undo()
    driver.panel.segments.spin.setValue(5)
    assert driver.segments is not segments
