"""What a user opens from files, and chooses of it, before pressing Run."""

from __future__ import annotations

import numpy as np
import tifffile
from PIL import Image


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
