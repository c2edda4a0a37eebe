"""The settings of the dock, handed on: to a folder, as a command, as a script."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_what_where.widgets.export.formats import GROUPS
from tests.files.test_formats import read_coco
from tests.widgets.sources import linked_planes, open_stack, polygon, single_planes


@pytest.fixture
def folder(picture, tmp_path):
    """Three images, one of which is none."""
    images = tmp_path / "images"
    images.mkdir()
    Image.fromarray(picture).save(images / "a.png")
    Image.fromarray(picture[::-1]).save(images / "b.png")
    (images / "broken.png").write_bytes(b"this is no image")
    return images


def run_folder(driver, folder):
    driver.panel.folder.click()
    dialog = driver.dock.handoff.dialog
    driver.qtbot.addWidget(dialog)
    dialog.source.setText(str(folder))
    dialog.begin.click()
    return dialog


def lines(dialog):
    items = [dialog.files.topLevelItem(row) for row in range(dialog.files.topLevelItemCount())]
    return {item.text(0): item.text(1) for item in items}


def test_same_settings_to_a_folder_and_again(driver, picture, folder):
    driver.viewer.add_image(picture)
    driver.run()
    driver.panel.segments.spin.setValue(6)
    dialog = run_folder(driver, folder)
    driver.qtbot.waitUntil(lambda: dialog.task is None, timeout=60_000)
    assert lines(dialog) == {"a.png": "done", "b.png": "done", "broken.png": "failed"}
    assert dialog.message.text() == "2 done, 1 failed"
    labels = tifffile.imread(folder / "what-where" / "a_labels.tif")
    np.testing.assert_array_equal(labels, driver.segments.data)
    dialog.begin.click()
    driver.qtbot.waitUntil(lambda: dialog.task is None, timeout=60_000)
    assert lines(dialog) == {"a.png": "done before", "b.png": "done before", "broken.png": "failed"}


def test_a_folder_is_written_in_the_formats_that_are_ticked(driver, picture, tmp_path):
    images, out = tmp_path / "images", tmp_path / "images" / "what-where"
    images.mkdir()
    Image.fromarray(picture).save(images / "a.png")
    driver.viewer.add_image(picture)
    driver.run()
    driver.panel.segments.spin.setValue(6)
    dialog = run_folder(driver, "")
    assert list(dialog.formats) == [name for names in GROUPS.values() for name in names]
    assert dialog.chosen_formats() == ["tiff"]
    assert all(box.toolTip() for box in dialog.formats.values())
    for name in ("tiff", "png-indexed", "coco", "geojson", "csv"):
        dialog.formats[name].click()
    driver.panel.folder.click()  # asked for anew, it remembers
    dialog = run_folder(driver, images)
    driver.qtbot.waitUntil(lambda: dialog.task is None, timeout=60_000)
    assert lines(dialog) == {"a.png": "done"}
    labels = ("a_labels.csv", "a_labels.geojson", "a_labels_coco.json", "a_labels_indexed.png")
    assert sorted(path.name for path in out.iterdir()) == ["a.json", "a_eigenvectors.tif", *labels]
    np.testing.assert_array_equal(np.asarray(Image.open(out / labels[-1])), driver.segments.data)
    np.testing.assert_array_equal(read_coco(out / labels[2], picture.shape[:2])[0][0], driver.segments.data)


def test_a_folder_needs_a_format_and_stacks_one_that_holds_them(driver, picture, tmp_path):
    open_stack(driver, picture, tmp_path)
    linked_planes(driver)
    dialog = run_folder(driver, "")
    for name in ("png", "png-indexed", "png-colour"):
        assert not dialog.formats[name].isEnabled()
        assert "one plane" in dialog.formats[name].toolTip()
    for name in ("tiff", "png"):
        dialog.formats[name].setChecked(name == "png")  # by a script: it is disabled
    dialog.source.setText(str(tmp_path))
    dialog.begin.click()
    assert dialog.message.text() == "Tick one or more formats."
    assert dialog.task is None
    driver.panel.folder.click()
    assert driver.dock.handoff.dialog.chosen_formats() == ["tiff"]


def test_a_folder_that_is_cancelled_goes_on_from_there(driver, picture, folder):
    for number in range(6):
        Image.fromarray(np.roll(picture, number, axis=1)).save(folder / f"c{number}.png")
    dialog = run_folder(driver, folder)
    driver.qtbot.waitUntil(lambda: bool(dialog._results), timeout=60_000)
    started = time.monotonic()
    dialog.stop.click()
    driver.qtbot.waitUntil(lambda: dialog.task is None, timeout=10_000)
    assert time.monotonic() - started < 2
    assert dialog.message.text().startswith("Cancelled; ")
    done = len([name for name, what in lines(dialog).items() if what == "done"])
    assert 0 < done < 8
    assert not list((folder / "what-where").glob(".*"))
    dialog.begin.click()
    driver.qtbot.waitUntil(lambda: dialog.task is None, timeout=60_000)
    assert dialog.message.text() == f"{8 - done} done, {done} done before, 1 failed"


@pytest.mark.parametrize(
    ("source", "told"), [("", "Choose a folder of images."), ("nowhere", "no such"), ("empty", "There are no images")]
)
def test_folders_with_nothing_in_them(driver, tmp_path, source, told):
    (tmp_path / "empty").mkdir()
    dialog = run_folder(driver, tmp_path / source if source else "")
    assert told in dialog.message.text().replace("No such", "no such")
    assert dialog.task is None


def test_closing_the_window_stops_it(driver, folder):
    dialog = run_folder(driver, folder)
    task = dialog.task
    dialog.close()
    driver.qtbot.waitUntil(lambda: not task.running, timeout=10_000)
    assert task.cancelled


def test_the_planes_of_the_dock_go_to_the_folder_too(driver, picture, tmp_path):
    open_stack(driver, picture, tmp_path)
    linked_planes(driver)
    driver.run()
    driver.panel.segments.spin.setValue(6)
    dialog = run_folder(driver, tmp_path)
    driver.qtbot.waitUntil(lambda: dialog.task is None, timeout=60_000)
    assert lines(dialog) == {"stack.tif": "done"}
    labels = tifffile.imread(tmp_path / "what-where" / "stack_labels.tif")
    np.testing.assert_array_equal(labels, driver.segments.data)


def test_the_script_of_a_part_of_a_stack(driver, picture):
    driver.viewer.add_image(np.stack([picture[..., 0], picture[::-1, :, 1]]), name="stack")
    single_planes(driver)
    polygon(driver)
    driver.run()
    for button in (driver.panel.as_segments, driver.panel.as_objects):
        button.click()
        driver.wait()
        driver.panel.copy.click()
        scope = {"viewer": driver.viewer}
        exec(QApplication.clipboard().text(), scope)
        np.testing.assert_array_equal(scope["labels"], driver.segments.data)


def test_the_script_of_objects_and_of_a_stack(driver, picture):
    stack = np.stack([picture[..., 0], picture[::-1, :, 1]])
    driver.viewer.add_image(stack, name="stack")
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.run()
    for button in (driver.panel.as_segments, driver.panel.as_objects):
        button.click()
        driver.wait()
        driver.panel.copy.click()
        scope = {"viewer": driver.viewer}
        exec(QApplication.clipboard().text(), scope)
        np.testing.assert_array_equal(scope["labels"], driver.segments.data)


def test_a_stack_is_exported_whole(driver, picture, tmp_path):
    stack = np.stack([picture[..., 0], picture[::-1, :, 1]])
    driver.viewer.add_image(
        stack, name="stack", scale=(3, 0.5, 0.5), axis_labels=("z", "y", "x"), units=("um", "um", "um")
    )
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.run()
    driver.segments.paint((1, 10, 10), 40)
    driver.dock.export(str(tmp_path / "stack_labels.tif"))
    driver.wait()
    with tifffile.TiffFile(tmp_path / "stack_labels.tif") as file:
        np.testing.assert_array_equal(file.asarray(), driver.segments.data)
        assert file.imagej_metadata["spacing"] == 3
        assert file.imagej_metadata["unit"] == "um"
    assert tifffile.imread(tmp_path / "stack_eigenvectors.tif").shape[:2] == (2, 16)
    assert len(json.loads((tmp_path / "stack.json").read_text())["planes"]) == 2


def test_an_export_says_where_the_pixels_lie(driver, picture, tmp_path):
    image = driver.viewer.add_image(picture[..., 0], name="grey", scale=(2, 3), rotate=30, translate=(5, 6))
    driver.run()
    driver.dock.export(str(tmp_path / "grey_labels.tif"))
    driver.wait()
    placement = json.loads((tmp_path / "grey.json").read_text())["placement"]
    world = np.array(placement["data_to_world"]) @ (7, 9, 1)
    np.testing.assert_allclose(world[:2], image.data_to_world((7, 9)))
