"""The settings of the dock, handed on: to a folder, as a command, as a script."""

from __future__ import annotations

import json
import shlex
import time

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_what_where.cli import main


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


def write_file(picture, folder, kind):
    """A file of each kind, and how the dock is set up for it."""
    path = folder / f"{kind}.tif"
    grey = picture[..., 0]
    stack = np.stack([grey, grey[::-1], grey[:, ::-1]])
    if kind == "png":
        path = path.with_suffix(".png")
        Image.fromarray(picture).save(path)
    elif kind == "grey":
        tifffile.imwrite(path, grey)
    else:
        tifffile.imwrite(path, stack, photometric="minisblack")
    return path


@pytest.mark.parametrize("kind", ["png", "grey", "plane of a stack", "channels", "part"])
def test_copy_as_command_gives_the_same_labels(driver, picture, tmp_path, kind):
    path = write_file(picture, tmp_path, kind)
    (layer,) = driver.viewer.open(str(path), plugin="napari")
    if kind == "plane of a stack":
        driver.viewer.dims.set_current_step(0, 2)
    if kind == "channels":
        driver.panel.inputs.channels.setCurrentIndex(driver.panel.inputs.channels.findData(0))
    if kind == "part":
        driver.viewer.add_shapes(np.array([(5, 10), (5, 70), (50, 70), (50, 10)]), shape_type="rectangle")
        driver.panel.inputs.part.setCurrentIndex(2)
        driver.viewer.layers.selection.active = layer
    driver.panel.count.setValue(9)
    driver.panel.inputs.size.set_pixels(12)
    driver.run()
    driver.panel.segments.spin.setValue(7)
    driver.panel.copy_command.trigger()
    assert "Copied a command" in driver.message
    words = shlex.split(QApplication.clipboard().text())
    assert words[0] == "what-where"
    assert main([*words[1:], f"--out={tmp_path / 'out'}"]) == 0
    (written,) = (tmp_path / "out").glob("*_labels.tif")
    np.testing.assert_array_equal(tifffile.imread(written), np.squeeze(driver.segments.data))


def test_what_no_command_can_start_from_is_said(driver, picture):
    driver.viewer.add_image(picture)
    driver.panel.copy_command.trigger()
    assert driver.message == "Press Run first."
    driver.run()
    driver.panel.copy_command.trigger()
    assert "Copy as Python works" in driver.message


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
