"""Several layers, other images, wrong use, and the end of the dock while something runs."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_what_where.widgets.collection import dock as module
from tests.widgets.collection.conftest import halves
from tests.widgets.test_long_use import alive, callbacks, listeners, settle


def add_layers(driver):
    layers = [
        driver.viewer.add_image(halves(number, side=24 + number), name=f"picture {number}", translate=(0, 60 * number))
        for number in range(3)
    ]
    driver.viewer.layers.selection = set(layers)
    driver.panel.inputs.choose("layers")
    return layers


def test_layers_get_labels_that_mean_the_same(driver):
    add_layers(driver)
    assert driver.panel.inputs.layers.text() == "3: picture 0, picture 1, picture 2"
    driver.run()
    labels = [layer for layer in driver.viewer.layers if "kinds" in layer.name]
    assert [layer.name for layer in labels] == [f"picture {number} kinds (what, 3 layers)" for number in range(3)]
    assert len({int(np.bincount(layer.data[:, :6].ravel()).argmax()) for layer in labels}) == 1
    for number, layer in enumerate(labels):
        np.testing.assert_allclose(layer.translate, (0, 60 * number))
        assert layer.data.shape == (24 + number, 32 + number)
    colours = [tuple(layer.get_color(2)) for layer in labels]
    assert len(set(colours)) == 1
    kind = driver.dock.session.found.kinds[1]
    driver.panel.table.selectRow(1)
    assert driver.viewer.layers.selection.active is labels[kind.typical[0]]
    driver.viewer.layers.remove("most typical")
    names = driver.names()
    driver.viewer.layers.selection = set(list(driver.viewer.layers)[:3])
    driver.run()
    assert driver.names() == names


def test_an_image_that_was_not_among_them_gets_the_same_kinds(driver, frames, tmp_path, monkeypatch):
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    kinds = driver.layer("kinds").data
    other = driver.viewer.add_image(halves(1), name="another", scale=(0.5, 0.5))
    driver.viewer.layers.selection.active = other
    assert driver.panel.target.currentText() == "another"
    driver.panel.apply.click()
    driver.wait()
    labels = driver.layer("another kinds")
    np.testing.assert_allclose(labels.scale, (0.5, 0.5))
    assert (labels.data == kinds[1]).mean() > 0.95
    assert driver.layer("another eigenvectors").data.shape[0] == 4

    file = tmp_path / "cells.projection.pt"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(file), ""))
    driver.panel.save.click()
    driver.wait()
    assert "Saved" in driver.message
    driver.dock.applying.take(None, "")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *a, **k: (str(file), ""))
    driver.panel.load.click()
    driver.wait()
    assert driver.dock.applying.projection_of == "cells"
    driver.panel.apply.click()
    driver.wait()
    np.testing.assert_array_equal(driver.layer("another kinds").data, labels.data)

    file.write_bytes(b"something else")
    driver.panel.load.click()
    driver.wait()
    assert "is no projection" in driver.message


def test_an_image_of_another_sort_is_refused(driver, frames):
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    colour = driver.viewer.add_image(halves(0, colour=True), name="colour", rgb=True)
    driver.viewer.layers.selection.active = colour
    names = driver.names()
    driver.panel.apply.click()
    driver.wait()
    assert "Convert" in driver.message
    assert driver.names() == names


def test_nothing_to_run_on_is_said(driver):
    driver.run()
    assert "Open a stack first" in driver.message
    driver.viewer.add_image(halves(0))
    driver.run()
    assert "Open a stack first" in driver.message
    driver.panel.inputs.choose("layers")
    driver.run()
    assert "Ctrl-click" in driver.message
    driver.dock.applying.apply()
    assert "Press Run first" in driver.message
    driver.dock.trace()
    assert "Press Run first" in driver.message


def test_planes_of_mixed_sort_leave_out_those_that_differ(driver):
    layers = [
        driver.viewer.add_image(halves(0)),
        driver.viewer.add_image(halves(1)),
        driver.viewer.add_image(halves(2, colour=True), name="colour", rgb=True),
    ]
    driver.viewer.layers.selection = set(layers)
    driver.panel.inputs.choose("layers")
    driver.run()
    assert "2 kinds in 2 images, 1 left out" in driver.message
    assert "colour" in driver.panel.failures.text()
    assert len([name for name in driver.names() if "kinds" in name]) == 2


def test_constant_images(driver):
    driver.viewer.add_image(np.full((3, 20, 24), 7, np.uint8), name="flat")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        driver.run()
    assert "kind" in driver.message or "constant" in driver.message
    if "failed" in driver.message:
        pytest.fail(driver.message)


def test_cancel_in_the_middle_changes_nothing(driver, frames):
    driver.viewer.add_image(frames, name="cells")
    driver.panel.run.click()
    driver.panel.cancel.click()
    driver.wait()
    assert driver.message == "Cancelled; no layer was changed. Run goes on from here."
    assert driver.names() == ["cells"]
    driver.run()
    assert driver.message == "2 kinds in 5 images."


def test_a_run_that_fails_leaves_every_layer_as_it_was(driver, frames, monkeypatch):
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    names, labels = driver.names(), driver.layer("kinds").data
    before = labels.copy()
    monkeypatch.setattr(module, "prepare", lambda *arguments: 1 / 0)
    driver.panel.clusters.setValue(3)
    driver.run()
    assert "No layer was changed" in driver.message
    assert driver.names() == names
    np.testing.assert_array_equal(driver.layer("kinds").data, before)


def test_layers_that_napari_cannot_show_are_taken_back(driver, frames, monkeypatch):
    driver.viewer.add_image(frames, name="cells")
    monkeypatch.setattr(type(driver.viewer), "add_labels", lambda *a, **k: 1 / 0)
    driver.run()
    assert driver.names() == ["cells"]
    assert driver.dock.session.found is None


@pytest.mark.parametrize("how", ["dock", "window"])
def test_closing_while_it_runs_stops_the_work(driver, frames, how):
    driver.viewer.add_image(np.repeat(frames, 10, axis=0), name="cells")
    driver.panel.run.click()
    task = driver.dock.task
    driver.qtbot.waitUntil(lambda: task.progress.stage != "starting")
    if how == "dock":
        driver.viewer.window.remove_dock_widget(driver.dock)
    else:
        driver.viewer.close()
    driver.qtbot.waitUntil(lambda: not task.running, timeout=5_000)
    assert task.cancelled


def test_runs_leave_no_trace(driver, frames):
    driver.viewer.add_image(frames[:2], name="cells")

    def state():
        settle()
        return listeners(driver.viewer), alive(), driver.names()

    for _ in range(2):
        driver.run()
    before, threads = state(), threading.active_count()
    for _ in range(4):
        driver.run()
    assert state() == before
    assert threading.active_count() <= threads  # imports ahead may end meanwhile


def test_a_removed_dock_hears_nothing_of_the_viewer(make_napari_viewer, qtbot):
    from tests.widgets.collection.conftest import CollectionDriver

    viewer = make_napari_viewer()
    image = viewer.add_image(halves(0))
    before = callbacks(viewer.layers), callbacks(viewer.dims), callbacks(image)
    driver = CollectionDriver(viewer, qtbot)
    viewer.window.remove_dock_widget(driver.dock)
    settle()
    assert (callbacks(viewer.layers), callbacks(viewer.dims), callbacks(image)) == before
