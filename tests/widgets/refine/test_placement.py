"""Tools work where the labels lie: zoomed, sliced, scaled, rotated, on any axes, at another resolution."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.widgets.picking import camera_of
from napari_what_where.widgets.refine.guides import lies_on
from napari_what_where.widgets.refine.target import plane_on_screen

TRANSFORMS = [
    {"scale": (0.5, 2), "translate": (7, -3)},
    {"scale": (2, 2), "rotate": 30},
    {"scale": (1.5, 1), "rotate": 90, "shear": [0.2]},
    {"affine": [[0, -2, 5], [3, 0, 1], [0, 0, 1]]},
]


def split_first(driver, at):
    """Split the object of two discs and a bridge, and undo it."""
    before = driver.labels.copy()
    driver.press("split")
    driver.click(at)
    after = driver.labels
    assert set(np.unique(after)) == {*np.unique(before), before.max() + 1}
    assert (before[after == before.max() + 1] == 2).all()
    changed = after != before
    driver.dock.layer.undo()
    np.testing.assert_array_equal(driver.labels, before)
    driver.press("split")
    return changed


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_scaled_rotated_and_zoomed(driver, picture, wrong, transform):
    driver.viewer.add_image(picture, **transform)
    driver.viewer.add_labels(wrong.copy(), **transform)
    camera_of(driver.viewer).zoom = 7.5
    split_first(driver, (16, 16))


@pytest.fixture(scope="module")
def volume(picture):
    return np.stack([picture[::-1, :, 0], picture[..., 0], picture[..., 2]])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_plane_of_a_stack_along_any_axis(driver, volume, wrong, axis):
    stack = np.zeros((3, 64, 96), np.uint16)
    stack[1] = wrong
    driver.viewer.add_image(np.moveaxis(volume, 0, axis), rgb=False)
    driver.viewer.add_labels(np.moveaxis(stack, 0, axis).copy())
    driver.viewer.dims.order = (axis, *(other for other in range(3) if other != axis))
    driver.viewer.dims.set_current_step(axis, 1)
    at = [16, 16]
    at.insert(axis, 1)
    changed = split_first(driver, tuple(at))
    assert np.moveaxis(changed, axis, 0)[1].any()
    assert not np.moveaxis(changed, axis, 0)[[0, 2]].any()


def test_a_view_that_is_turned(driver, picture, wrong):
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(wrong.copy())
    driver.viewer.dims.order = (1, 0)
    split_first(driver, (16, 16))
    driver.press("split")
    driver.click((16, 16))
    drawn = np.array(layer._slice.image.view)
    layer.refresh()
    np.testing.assert_array_equal(drawn, layer._slice.image.view)


def test_four_axes_and_numbers_that_no_plane_has(driver, volume, wrong):
    stack = np.zeros((2, 3, 64, 96), np.int32)
    stack[1, 1], stack[0, 0, 5, 5] = wrong, 40
    driver.viewer.add_image(np.stack([volume, volume]))
    driver.viewer.add_labels(stack.copy(), scale=(3, 2, 1, 1), translate=(1, 0, 0, 0)).translate = (0, 0, 0, 0)
    driver.viewer.layers[0].scale = (3, 2, 1, 1)
    driver.viewer.dims.set_current_step(0, 1)
    driver.viewer.dims.set_current_step(1, 1)
    driver.press("split")
    driver.click((1, 1, 16, 16))
    assert (driver.labels[1, 1] == 41).any()  # 10 would be free on this plane alone
    assert driver.labels.max() == 41


def test_a_flat_image_under_a_stack_of_labels(driver, picture, wrong):
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(np.stack([wrong, wrong]))
    driver.viewer.dims.set_current_step(0, 1)
    driver.press("split")
    driver.click((1, 16, 16))
    np.testing.assert_array_equal(driver.labels[0], wrong)
    assert driver.labels.max() == 10


def test_flat_labels_over_a_stack_of_images(driver, volume, wrong):
    image = driver.viewer.add_image(volume)
    layer = driver.viewer.add_labels(wrong.copy())
    driver.viewer.dims.set_current_step(0, 1)
    known = driver.dock.steps.known(plane_on_screen(driver.viewer, layer))
    assert known is None
    driver.press("split")
    driver.click((16, 16))
    assert driver.dock.steps.known(plane_on_screen(driver.viewer, layer)) is not None
    driver.viewer.dims.set_current_step(0, 2)  # another image lies below it now
    assert driver.dock.steps.known(plane_on_screen(driver.viewer, layer)) is None
    assert image in driver.viewer.layers


def test_coarser_labels(driver, picture, wrong):
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(wrong[::2, ::2].copy(), scale=(2, 2), translate=(0.5, 0.5))
    split_first(driver, (8, 8))


def test_labels_that_lie_elsewhere_are_told_apart(driver, picture, wrong):
    image = driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(wrong.copy(), translate=(3, 0))
    plane = plane_on_screen(driver.viewer, layer)
    assert not lies_on(driver.viewer, plane, image)
    driver.press("split")
    driver.click((16, 16))
    assert "lie on no image" in driver.message
    driver.panel.image.setCurrentIndex(1)
    driver.click((16, 16))
    assert "does not lie on" in driver.message
    np.testing.assert_array_equal(driver.labels, wrong)
    layer.translate = (0, 0)
    assert lies_on(driver.viewer, plane, image)


def test_of_several_images_the_one_below_is_taken(driver, picture, wrong):
    from napari_what_where.widgets.refine.guides import image_under

    below = driver.viewer.add_image(picture, name="below")
    layer = driver.viewer.add_labels(wrong.copy())
    driver.viewer.add_image(picture[::-1], name="above")
    driver.viewer.add_image(picture[:9], name="other")
    assert image_under(driver.viewer, plane_on_screen(driver.viewer, layer)) is below
    driver.viewer.layers.remove(below)
    assert image_under(driver.viewer, plane_on_screen(driver.viewer, layer)).name == "above"


def test_a_position_on_screen_comes_back(driver, wrong):
    layer = driver.viewer.add_labels(
        np.stack([wrong, wrong]), scale=(2, 0.5, 3), rotate=(0, 0, 20), translate=(1, 2, 3)
    )
    driver.viewer.dims.set_current_step(0, 1)
    plane = plane_on_screen(driver.viewer, layer)
    for at in ((0, 0), (13, 77), (63, 95)):
        assert plane.pixel_at(plane.world_of(*at)) == at
    assert plane.pixel_at(plane.world_of(-1, 3)) is None
    assert plane.pixel_at(plane.world_of(3, 96)) is None
