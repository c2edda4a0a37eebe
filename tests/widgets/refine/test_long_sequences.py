"""Undo and redo through a long sequence of all actions, ours and napari's own, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.widgets.refine.history import MOST_BYTES, history_bytes


def random_action(driver, rng):
    at = int(rng.integers(64)), int(rng.integers(96))
    name = str(rng.choice(["split", "split", "merge", "grow", "tidy", "paint", "fill", "rename", "delete", "similar"]))
    layer, dock = driver.dock.layer, driver.dock
    if name in ("split", "merge", "grow", "similar"):
        if dock.active != name:
            driver.press(name)
        driver.click(at)
        if name == "merge":
            driver.click((int(rng.integers(64)), int(rng.integers(96))))
        if name == "grow":
            driver.turn(at, int(rng.choice([1, -1, 2])))
        if name == "similar":
            driver.panel.as_one.setChecked(bool(rng.integers(2)))
            driver.press("accept")
    elif name == "tidy":
        driver.press(str(rng.choice(["holes", "small", "largest", "separate", "relabel", "snap"])))
    elif name == "paint":
        layer.paint(at, int(rng.integers(12)))
    elif name == "fill":
        layer.fill(at, int(rng.integers(12)))
    elif name == "rename":
        dock.actions.rename(int(rng.integers(1, 9)), str(rng.choice(["a", "b", ""])))
    elif layer.data[at]:
        dock.choose(layer, int(layer.data[at]))
        driver.press("delete")


def state(layer):
    return layer.data.copy(), layer.features.to_json()


@pytest.mark.parametrize("seed", range(3))
def test_every_state_comes_back(driver, picture, wrong, seed):
    rng = np.random.default_rng(seed)
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(wrong.copy())
    drawn = [state(layer)]
    for _ in range(40):
        before = len(layer._undo_history)
        random_action(driver, rng)
        steps = len(layer._undo_history) - before
        assert steps <= 2
        drawn += [None] * (steps - 1) + [state(layer)] * (steps > 0)
        if steps == 0:
            np.testing.assert_array_equal(layer.data, drawn[-1][0])
    assert len(drawn) > 15
    for way, states in ((driver.dock.actions._do_undo, drawn[-2::-1]), (driver.dock.actions._do_redo, drawn[1:])):
        for wanted in states:
            way()
            if wanted is not None:
                np.testing.assert_array_equal(layer.data, wanted[0])
                assert layer.features.to_json() == wanted[1]
    assert history_bytes(layer) <= MOST_BYTES


def test_the_history_stays_within_its_bound(driver, picture, wrong, monkeypatch):
    from napari_what_where.widgets.refine import choices, editing

    def bound(layer):
        return history.bound_history(layer, 4000)

    from napari_what_where.widgets.refine import history

    monkeypatch.setattr(editing, "bound_history", bound)
    monkeypatch.setattr(choices, "bound_history", bound)
    rng = np.random.default_rng(5)
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(wrong.copy())
    for _ in range(25):
        random_action(driver, rng)
        assert history_bytes(layer) <= 4000
