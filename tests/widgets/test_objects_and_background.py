"""Objects beside segments, one click for background, colours by kind."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from tests.widgets.test_parts import drag, our_callbacks


@pytest.fixture
def discs() -> np.ndarray:
    """Twelve bright discs on a dark ground, (120, 160) uint8."""
    rows, columns = np.mgrid[:120, :160]
    image = np.full((120, 160), 20.0)
    for row in (20, 60, 100):
        for column in (20, 60, 100, 140):
            image[np.hypot(rows - row, columns - column) < 9] = 200
    return (image + np.random.default_rng(0).normal(0, 5, image.shape)).clip(0, 255).astype(np.uint8)


def click(driver, row, column):
    drag(driver.viewer, (row, column), (row, column))


def to_objects(driver):
    driver.panel.as_objects.click()
    driver.wait()


def test_objects_are_found_and_shown_beside_segments(driver, discs):
    driver.viewer.add_image(discs, name="discs")
    driver.run()
    segments = driver.segments
    to_objects(driver)
    objects = driver.segments
    assert objects.name == "discs objects (what)"
    assert driver.message.startswith("12 objects")
    assert len(np.unique(objects.data)) == 13
    np.testing.assert_array_equal(objects.features["area"], np.bincount(objects.data.ravel())[1:])
    assert objects.visible
    assert not segments.visible
    assert not driver.panel.segments.isEnabled()
    driver.panel.as_segments.click()
    assert driver.segments is segments
    assert segments.visible
    assert driver.panel.segments.isEnabled()
    to_objects(driver)
    assert driver.segments is objects


def test_running_again_with_objects_shown_goes_back_to_segments(driver, discs):
    image = driver.viewer.add_image(discs)
    driver.run()
    to_objects(driver)
    driver.viewer.layers.selection.active = image
    driver.run()
    assert driver.panel.as_segments.isChecked()
    assert "segments" in driver.segments.name


def test_cancelled_objects_leave_the_segments(driver, discs, monkeypatch):
    driver.viewer.add_image(discs)
    driver.run()
    driver.panel.as_objects.click()
    driver.panel.cancel.click()
    driver.wait()
    assert driver.message == "Cancelled; nothing has changed."
    assert driver.panel.as_segments.isChecked()
    assert "segments" in driver.segments.name


def test_a_click_makes_background_and_another_undoes_it(driver, discs, tmp_path):
    driver.viewer.add_image(discs, name="discs")
    driver.run()
    driver.panel.segments.spin.setValue(14)
    before = driver.segments.data.copy()
    driver.panel.background.click()
    click(driver, 2, 2)
    background = before == before[2, 2]
    np.testing.assert_array_equal(driver.segments.data, np.where(background, 0, before))
    assert before[2, 2] not in driver.segments.features["index"].to_numpy()
    assert driver.message == "Background. 13 segments and background."
    # It stays background however many segments there are, and in what is exported.
    driver.panel.segments.spin.setValue(30)
    assert (driver.segments.data[background] == 0).all()
    driver.dock.export(str(tmp_path / "discs_labels.tif"))
    driver.wait()
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "discs_labels.tif"), driver.segments.data)
    driver.panel.segments.spin.setValue(14)
    click(driver, 2, 2)
    np.testing.assert_array_equal(driver.segments.data, before)
    driver.panel.background.click()
    click(driver, 2, 2)
    np.testing.assert_array_equal(driver.segments.data, before)
    assert not our_callbacks(driver.viewer)


def test_background_is_kept_when_edges_are_not_followed(driver, discs):
    driver.viewer.add_image(discs)
    driver.run()
    driver.panel.segments.spin.setValue(14)
    driver.panel.background.click()
    click(driver, 2, 2)
    background = driver.segments.data == 0
    driver.panel.edges.click()
    driver.wait()
    assert (driver.segments.data[background] == 0).mean() > 0.8
    assert (driver.segments.data == 0).sum() < 1.2 * background.sum()


def test_later_clicks_are_carried_to_the_other_trees_as_well(driver, discs):
    driver.viewer.add_image(discs)
    driver.run()
    driver.panel.segments.spin.setValue(14)
    driver.panel.edges.click()
    driver.wait()
    driver.panel.edges.click()
    driver.panel.background.click()
    click(driver, 2, 2)
    background = driver.segments.data == 0
    driver.panel.edges.click()
    carried = driver.segments.data == 0
    assert carried[background].mean() > 0.8
    # And what is taken back in one is taken back in the other.
    driver.panel.edges.click()
    np.testing.assert_array_equal(driver.segments.data == 0, background)
    click(driver, 2, 2)
    assert (driver.segments.data > 0).all()
    driver.panel.edges.click()
    assert (driver.segments.data == 0).mean() < 0.1 * carried.mean()


def test_an_object_is_dropped_by_a_click(driver, discs):
    driver.viewer.add_image(discs)
    driver.run()
    to_objects(driver)
    before = driver.segments.data.copy()
    driver.panel.background.click()
    click(driver, 60, 60)
    assert driver.message.startswith("Background. 11 objects")
    assert (driver.segments.data[before == before[60, 60]] == 0).all()
    assert len(driver.segments.features) == 11
    click(driver, 60, 60)
    np.testing.assert_array_equal(driver.segments.data, before)
    click(driver, 40, 40)
    assert "no object here" in driver.message
    click(driver, 500, 500)
    assert "outside" in driver.message


def test_dragging_is_no_click(driver, discs):
    driver.viewer.add_image(discs)
    driver.run()
    before = driver.segments.data.copy()
    driver.panel.background.click()
    drag(driver.viewer, (2, 2), (60, 60))
    np.testing.assert_array_equal(driver.segments.data, before)


def test_in_an_edited_layer_background_is_an_edit_that_can_be_undone(driver, discs):
    driver.viewer.add_image(discs)
    driver.run()
    layer = driver.segments
    layer.paint((60, 60), 77)
    before = layer.data.copy()
    driver.panel.background.click()
    click(driver, 2, 2)
    assert driver.segments is layer
    assert layer.data[2, 2] == 0
    assert layer.data[60, 60] == 77
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)


def test_colour_by_kind_gives_alike_things_one_colour_and_back(driver, discs):
    driver.viewer.add_image(discs)
    driver.run()
    to_objects(driver)
    layer = driver.segments
    usual = layer.colormap
    driver.panel.by_kind.click()
    colours = {tuple(layer.get_color(int(label))) for label in layer.features["index"]}
    assert len(colours) == len(set(layer.features["kind"])) < 12
    driver.panel.by_kind.click()
    assert type(layer.colormap) is type(usual)
    assert len({tuple(layer.get_color(int(label))) for label in layer.features["index"]}) == 12
