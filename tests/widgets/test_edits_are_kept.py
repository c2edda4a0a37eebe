"""A Labels layer that has been touched in any way is never written again."""

from __future__ import annotations

import numpy as np
import pytest


def paint(layer):
    layer.paint((10, 10), 7)


def fill(layer):
    layer.fill((20, 20), 8)


def erase(layer):
    layer.paint((30, 40), 0)


def polygon(layer):
    layer.paint_polygon([[5, 5], [5, 40], [40, 40]], 9)


def script_in_place(layer):
    layer.data[3:6, 3:6] = 11


def script_assignment(layer):
    layer.data = np.flipud(layer.data).copy()


def script_features(layer):
    layer.features = layer.features.assign(mine="keep me")


def rename(layer):
    layer.name = f"my {layer.name}"


def move(layer):
    layer.translate = layer.translate + 3


def paint_then_undo(layer):
    layer.paint((10, 10), 7)
    layer.undo()


TOOLS = (paint, fill, erase, polygon)
EDITS = (*TOOLS, script_in_place, script_assignment, script_features, rename, move, paint_then_undo)


def slide(driver):
    driver.panel.segments.spin.setValue(driver.panel.segments.value + 3)


def automatic(driver):
    driver.panel.auto.click()


def toggle_edges(driver):
    driver.panel.edges.click()
    driver.wait()


def run_again(driver):
    driver.run()


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_edits_survive_everything_and_can_be_undone(driver, picture, edit):
    driver.viewer.add_image(picture)
    driver.run()
    driver.panel.segments.spin.setValue(6)
    for action in (slide, automatic, toggle_edges, run_again):
        layer = driver.segments
        before = layer.data.copy()
        edit(layer)
        edited, features = layer.data.copy(), layer.features.copy()
        action(driver)
        np.testing.assert_array_equal(layer.data, edited)
        assert layer.features.equals(features)
        assert driver.segments is not layer
        assert layer in driver.viewer.layers
        assert "stays as it is" in driver.message
        if edit in TOOLS:
            layer.undo()
            np.testing.assert_array_equal(layer.data, before)
            layer.redo()
            np.testing.assert_array_equal(layer.data, edited)
    # Nothing leaked into earlier layers while later ones were written.
    assert len({id(each.data) for each in driver.viewer.layers}) == len(driver.viewer.layers)


def test_a_stroke_that_is_not_finished_counts(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    layer = driver.segments
    with layer.block_history():
        layer.paint((10, 10), 7)
        edited = layer.data.copy()
        slide(driver)
        np.testing.assert_array_equal(layer.data, edited)
    assert driver.segments is not layer


def test_a_deleted_layer_comes_back_with_the_slider(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    driver.viewer.layers.remove(driver.segments)
    slide(driver)
    assert driver.segments in driver.viewer.layers


def test_an_older_edited_layer_can_still_be_exported(driver, picture, tmp_path):
    import tifffile

    driver.viewer.add_image(picture)
    driver.run()
    edited = driver.segments
    paint(edited)
    slide(driver)
    driver.viewer.layers.selection.active = edited
    driver.dock.export(str(tmp_path / "mine_labels.tif"))
    driver.wait()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mine_labels.tif"), edited.data)


def test_notes_in_the_metadata_stay(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    for layer in driver.viewer.layers[1:]:
        layer.metadata["note"] = "mine"
    slide(driver)
    driver.run()
    assert len(driver.viewer.layers) == 4
    assert all(layer.metadata["note"] == "mine" for layer in driver.viewer.layers[1:])
