"""Work in the dock's layers is never lost."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.files import recovery
from napari_what_where.widgets import watching
from tests.widgets.test_objects_and_background import click


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(recovery.FOLDER_VARIABLE, str(tmp_path / "kept"))
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.1)
    monkeypatch.setattr(watching, "LATEST_SECONDS", 0.3)


def kept(driver) -> list[np.ndarray]:
    driver.dock.keeper.autosaver.flush()
    return [np.load(file)["labels"] for file in sorted(driver.dock.keeper.autosaver.session.glob("*.npz"))]


def test_our_own_segments_are_not_kept_but_edits_are(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    driver.panel.segments.spin.setValue(7)
    driver.panel.auto.click()
    assert kept(driver) == []
    layer = driver.segments
    layer.paint((10, 10), 77)
    (labels,) = kept(driver)
    np.testing.assert_array_equal(labels, layer.data)
    driver.panel.segments.spin.setValue(9)  # goes on in a new layer
    (labels,) = kept(driver)
    np.testing.assert_array_equal(labels, layer.data)


def test_what_was_called_background_is_kept(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    assert kept(driver) == []
    driver.panel.background.click()
    click(driver, 5, 5)
    (labels,) = kept(driver)
    assert (labels == 0).any()
    np.testing.assert_array_equal(labels, driver.segments.data)


def test_what_was_exported_need_not_be_kept(driver, picture, tmp_path):
    driver.viewer.add_image(picture)
    driver.run()
    driver.segments.paint((10, 10), 77)
    assert len(kept(driver)) == 1
    driver.dock.export(str(tmp_path / "labels.tif"))
    driver.wait()
    assert kept(driver) == []


def test_edits_left_behind_are_offered_in_the_dock(make_napari_viewer, qtbot, picture):
    from tests.widgets.conftest import Driver

    first = Driver(make_napari_viewer(), qtbot)
    first.viewer.add_image(picture, name="quarters", scale=(2, 3))
    first.run()
    first.segments.paint((10, 10), 77)
    edited, place = first.segments.data.copy(), first.segments.data_to_world((5, 6))
    first.dock.keeper.autosaver.close()  # as when the window goes

    second = Driver(make_napari_viewer(), qtbot)
    bar = second.dock.keeper.recovery
    qtbot.waitUntil(lambda: not bar.isHidden())
    assert "quarters segments (what)" in bar.text.text()
    bar.restore.click()
    qtbot.waitUntil(lambda: len(second.viewer.layers) == 1)
    layer = second.viewer.layers[0]
    np.testing.assert_array_equal(layer.data, edited)
    np.testing.assert_allclose(layer.data_to_world((5, 6)), place)
    qtbot.waitUntil(bar.isHidden)


def test_edits_made_after_the_dock_was_closed_are_kept(make_napari_viewer, qtbot, picture):
    from tests.widgets.conftest import Driver

    driver = Driver(make_napari_viewer(show=True), qtbot)
    driver.viewer.add_image(picture)
    driver.run()
    layer, autosaver = driver.segments, driver.dock.keeper.autosaver
    driver.viewer.window.remove_dock_widget(driver.dock)
    qtbot.wait(50)
    layer.paint((10, 10), 77)
    qtbot.waitUntil(lambda: bool(list(autosaver.session.glob("*.npz"))), timeout=5_000)
    (file,) = autosaver.session.glob("*.npz")
    np.testing.assert_array_equal(np.load(file)["labels"], layer.data)


def test_what_was_called_background_outlives_another_run(driver, picture):
    image = driver.viewer.add_image(picture)
    driver.run()
    driver.panel.background.click()
    click(driver, 5, 5)
    marked = driver.segments
    before = marked.data.copy()
    driver.viewer.layers.selection.active = image
    driver.run()
    assert driver.segments is not marked
    assert (before == 0).any()
    np.testing.assert_array_equal(marked.data, before)
