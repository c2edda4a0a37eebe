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
from napari_what_where.widgets import handoff


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


def open_grey(driver, picture, folder):
    """A plane with bright spots, as a file."""
    spots = np.zeros((64, 96), np.uint8)
    spots[8:60:14, 8:90:16] = 1
    plane = np.where(np.kron(spots[::2, ::2], np.ones((2, 2))) > 0, 250, picture[..., 0] // 2).astype(np.uint8)
    tifffile.imwrite(folder / "grey.tif", plane)
    return driver.viewer.open(str(folder / "grey.tif"), plugin="napari")


def open_colour(driver, picture, folder):
    Image.fromarray(picture).save(folder / "colour.png")
    return driver.viewer.open(str(folder / "colour.png"), plugin="napari")


def open_stack(driver, picture, folder):
    grey = picture[..., 0]
    stack = np.stack([grey, grey[::-1], np.roll(grey, 9, axis=1)])
    tifffile.imwrite(folder / "stack.tif", stack, photometric="minisblack")
    return driver.viewer.open(str(folder / "stack.tif"), plugin="napari")


def open_colour_stack(driver, picture, folder):
    np.save(folder / "colours.npy", np.stack([picture, picture[::-1]]))
    return driver.viewer.open(str(folder / "colours.npy"), plugin="napari", rgb=True)


def open_channel_stack(driver, picture, folder):
    """(channels, planes, rows, columns) of floats within [0, 1], which elsewhere mean colours."""
    stack = np.stack([picture, picture[:, ::-1] // 2]).transpose(3, 0, 1, 2)
    np.save(folder / "channels.npy", stack.astype(np.float32) / 256)
    layers = driver.viewer.open(str(folder / "channels.npy"), plugin="napari")
    choose(driver.panel.inputs.channels, 0)
    return layers


def open_two_files(driver, picture, folder):
    paths = [folder / name for name in ("red.tif", "its green.tif")]
    for number, path in enumerate(paths):
        tifffile.imwrite(path, np.stack([picture[..., number], picture[::-1, :, number]]), photometric="minisblack")
    layers = [layer for path in paths for layer in driver.viewer.open(str(path), plugin="napari")]
    together(driver, layers)
    return layers


def choose(box, data):
    box.setCurrentIndex(box.findData(data))


def together(driver, layers):
    driver.viewer.layers.selection = set(layers)
    box = driver.panel.inputs.image
    box.setCurrentIndex(box.findText("2 selected layers, as channels"))


def last_plane(driver):
    driver.viewer.dims.set_current_step(0, 2)


def linked_planes(driver):
    driver.panel.inputs.planes.setCurrentIndex(1)


def single_planes(driver):
    driver.panel.inputs.planes.setCurrentIndex(2)


def draw(driver, kind, *corners):
    layer = driver.panel.image_layer()
    driver.viewer.add_shapes(np.array(corners, float), shape_type=kind)
    choose(driver.panel.inputs.part, "shape")
    driver.viewer.layers.selection.active = layer


def rectangle(driver):
    draw(driver, "rectangle", (5, 10), (5, 70), (50, 70), (50, 10))


def polygon(driver):
    draw(driver, "polygon", (3.217, 8.1), (11.3, 88.46), (70.2, 60), (31, 41.7), (60.5, 12.25))


def two_shapes(driver):
    rows = np.array([(4, 6), (4, 40), (40, 6)], float)
    layer = driver.panel.image_layer()
    shapes = driver.viewer.add_shapes([rows, np.add(rows, (18, 48))], shape_type="polygon")
    shapes.add(np.array([(30, 50), (30, 90), (60, 90), (60, 50)], float), shape_type="ellipse")
    shapes.selected_data = {0, 2}
    choose(driver.panel.inputs.part, "shape")
    driver.viewer.layers.selection.active = layer
    driver.viewer.layers.selection.active = shapes
    driver.panel.inputs.choose((layer,))


def objects(driver):
    driver.panel.as_objects.click()
    driver.wait()


CASES = {
    "colour": (open_colour,),
    "grey, objects": (open_grey, objects),
    "channel axis": (open_stack, lambda driver: choose(driver.panel.inputs.channels, 0)),
    "plane of a stack": (open_stack, last_plane),
    "rectangle on a plane of a stack": (open_stack, last_plane, rectangle),
    "polygon": (open_colour, polygon),
    "polygon on a plane of a stack, objects": (open_stack, last_plane, polygon, objects),
    "linked stack": (open_stack, linked_planes),
    "linked stack, objects": (open_stack, linked_planes, objects),
    "unlinked stack": (open_stack, single_planes),
    "unlinked stack within two shapes, objects": (open_stack, single_planes, two_shapes, objects),
    "linked stack within a polygon": (open_stack, linked_planes, polygon),
    "linked stack within a polygon, objects": (open_stack, linked_planes, polygon, objects),
    "stack in colour": (open_colour_stack, linked_planes),
    "stack of channels in a rectangle": (open_channel_stack, single_planes, rectangle),
    "two files": (open_two_files,),
    "two files, linked": (open_two_files, linked_planes),
}


@pytest.mark.parametrize("case", CASES)
def test_copy_as_command_gives_the_same_labels(driver, picture, tmp_path, case):
    opened, *steps = CASES[case]
    opened(driver, picture, tmp_path)
    after = [step for step in steps if step is objects]
    for step in steps:
        if step is not objects:
            step(driver)
    driver.panel.count.setValue(9)
    driver.panel.inputs.size.set_pixels(12)
    driver.run()
    driver.panel.segments.spin.setValue(7)
    for step in after:
        step(driver)
    driver.panel.copy_command.trigger()
    assert "Copied a command" in driver.message
    words = shlex.split(QApplication.clipboard().text())
    assert words[0] == "what-where"
    assert main([*words[1:], f"--out={tmp_path / 'out'}"]) == 0
    (written,) = (tmp_path / "out").glob(f"*_{'objects' if after else 'labels'}.tif")
    shown = np.squeeze(driver.segments.data)
    assert len(np.unique(shown)) > 1
    np.testing.assert_array_equal(tifffile.imread(written), shown)


def test_what_no_command_can_start_from_is_said(driver, picture, tmp_path):
    layer = driver.viewer.add_image(picture, name="made here")
    driver.panel.copy_command.trigger()
    assert driver.message == "Press Run first."
    driver.run()
    driver.panel.copy_command.trigger()
    assert driver.message == (
        "A command starts from image files; 'made here' is not from one. Copy as Python works for every layer."
    )
    driver.viewer.layers.remove(layer)
    (layer,) = open_colour(driver, picture, tmp_path)
    layer.data = picture[::-1].copy()
    driver.run()
    driver.panel.copy_command.trigger()
    assert "is not what it would read there" in driver.message


def test_a_layer_that_is_no_file_makes_no_channel_of_a_command(driver, picture, tmp_path):
    opened = open_grey(driver, picture, tmp_path)
    together(driver, [*opened, driver.viewer.add_image(picture[..., 1], name="made here")])
    driver.run()
    driver.panel.copy_command.trigger()
    assert "not all of 'grey + made here' are from one" in driver.message


def test_a_shape_of_too_many_corners_is_no_command(driver, picture, tmp_path, monkeypatch):
    open_grey(driver, picture, tmp_path)
    polygon(driver)
    driver.run()
    driver.panel.copy_command.trigger()
    copied = QApplication.clipboard().text()
    monkeypatch.setattr(handoff, "LONGEST", len(copied) - 1)
    driver.panel.copy_command.trigger()
    assert "too many corners for a command" in driver.message
    assert QApplication.clipboard().text() == copied


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
