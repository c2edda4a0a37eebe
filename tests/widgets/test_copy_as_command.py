"""Copy as command: what the command writes is what the dock shows, bit for bit, or it says why there is none."""

from __future__ import annotations

import shlex

import numpy as np
import pytest
import tifffile
from qtpy.QtWidgets import QApplication

from napari_what_where.cli import main
from napari_what_where.widgets import handoff
from tests.widgets.sources import (
    choose,
    last_plane,
    linked_planes,
    objects,
    open_channel_stack,
    open_colour,
    open_colour_stack,
    open_grey,
    open_stack,
    open_two_files,
    polygon,
    rectangle,
    single_planes,
    together,
    two_shapes,
)

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
