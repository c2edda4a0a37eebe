"""A dock in a real viewer, driven as a user drives it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.widgets import controls
from napari_what_where.widgets.dock import WhatWhereDock


class Driver:
    """A viewer, its dock, and what a user does with them."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
        assert isinstance(self.dock, WhatWhereDock)
        self.first_model = self.panel.models.name
        self.panel.models.choose("filters")  # the quickest; what concerns models chooses its own

    @property
    def panel(self):
        return self.dock.panel

    @property
    def message(self) -> str:
        return self.panel.message.text()

    @property
    def segments(self):
        return self.dock.session.labels_layer

    def wait(self):
        self.qtbot.waitUntil(lambda: self.dock.task is None, timeout=60_000)

    def run(self):
        self.panel.run.click()
        self.wait()

    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


@pytest.fixture
def driver(make_napari_viewer, qtbot, monkeypatch):
    monkeypatch.setattr(controls, "LONG_S", float("inf"))  # what is shown at once does not depend on how busy we are
    return Driver(make_napari_viewer(), qtbot)


@pytest.fixture
def picture() -> np.ndarray:
    """Four flat, slightly noisy quarters in colour, (64, 96, 3) uint8."""
    colours = np.array([[[200, 40, 40], [40, 200, 40]], [[40, 40, 200], [220, 220, 60]]])
    quarters = colours.repeat(32, axis=0).repeat(48, axis=1)
    return (quarters + np.random.default_rng(0).integers(-12, 13, quarters.shape)).astype(np.uint8)
