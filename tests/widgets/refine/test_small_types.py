"""Stacks of uint8 labels: numbers end at 255, and nothing is lost when there are no more."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def volume(picture):
    return np.stack([picture[..., 0], picture[..., 0], picture[..., 2]])


def stack_of(wrong, *, used):
    """Labels on plane 1, and on plane 2 the numbers up to ``used``, so that few or none are free."""
    stack = np.zeros((3, 64, 96), np.uint8)
    stack[1] = wrong
    stack[2].flat[:used] = np.arange(1, used + 1)
    return stack


def shown(driver, volume, stack):
    driver.viewer.add_image(volume, rgb=False)
    driver.viewer.add_labels(stack.copy())
    driver.viewer.dims.set_current_step(0, 1)


def background(wrong):
    """A pixel of the disc without a label."""
    return next((1, row, column) for row, column in ((46, 48), (46, 80), (46, 16), (16, 80)) if wrong[row, column] == 0)


def do(driver, name, wrong):
    """One action that needs a new number."""
    if name == "separate":
        driver.press("separate")
        return
    driver.press(name)
    if name == "split":
        driver.click((1, 16, 16))
    elif name == "grow":
        driver.click(background(wrong))
    else:
        driver.click((1, *map(int, np.argwhere(wrong > 0)[0])))
        driver.press("accept")


@pytest.mark.parametrize("name", ["split", "separate", "grow", "similar"])
def test_new_objects_take_numbers_that_are_free(driver, volume, wrong, name):
    wrong = in_two_places(wrong) if name == "separate" else wrong
    stack = stack_of(wrong, used=250)
    shown(driver, volume, stack)
    do(driver, name, wrong)
    new = set(np.unique(driver.labels[1])) - set(np.unique(wrong))
    assert new <= set(range(251, 256))
    if name != "similar":
        assert new
    np.testing.assert_array_equal(driver.labels[[0, 2]], stack[[0, 2]])
    while driver.dock.layer._undo_history:
        driver.dock.layer.undo()
    np.testing.assert_array_equal(driver.labels, stack)


@pytest.mark.parametrize("name", ["split", "separate", "grow"])
def test_without_a_free_number_nothing_changes_and_the_dock_says_why(driver, volume, wrong, name):
    wrong = in_two_places(wrong) if name == "separate" else wrong
    stack = stack_of(wrong, used=255)
    shown(driver, volume, stack)
    do(driver, name, wrong)
    np.testing.assert_array_equal(driver.labels, stack)
    assert "255" in driver.message
    assert "Convert" in driver.message


def test_similar_without_a_free_number_loses_nothing(driver, volume, wrong):
    stack = stack_of(wrong, used=255)
    shown(driver, volume, stack)
    do(driver, "similar", wrong)
    assert ((driver.labels[1] > 0) >= (wrong > 0)).all()
    np.testing.assert_array_equal(driver.labels[[0, 2]], stack[[0, 2]])
    assert (
        "255" in driver.message
        or (driver.labels[1] == wrong).all()
        or set(np.unique(driver.labels[1])) <= set(np.unique(wrong))
    )


def in_two_places(wrong):
    """The same labels, and a speck of the first far from it."""
    apart = wrong.copy()
    apart[60:63, 1:4] = wrong.max()
    return apart
