"""A Collection dock in a real viewer, driven as a user drives it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from napari_what_where.widgets.collection.dock import CollectionDock

SIDE = 24


class CollectionDriver:
    """A viewer, its Collection dock, and what a user does with them."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Collection")
        assert isinstance(self.dock, CollectionDock)
        self.panel.models.choose("filters")  # the quickest
        self.panel.clusters.setValue(2)
        self.panel.count.setValue(4)

    @property
    def panel(self):
        return self.dock.panel

    @property
    def message(self) -> str:
        return self.panel.message.text()

    def wait(self):
        self.qtbot.waitUntil(lambda: self.dock.task is None, timeout=60_000)

    def run(self):
        self.panel.run.click()
        self.wait()

    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]

    def layer(self, part: str):
        """The last layer whose name has this in it."""
        return [layer for layer in self.viewer.layers if part in layer.name][-1]

    def choose_folder(self, folder):
        self.panel.inputs.choose("folder")
        self.panel.inputs.folder.setText(str(folder))


@pytest.fixture
def driver(make_napari_viewer, qtbot):
    return CollectionDriver(make_napari_viewer(), qtbot)


def halves(number: int, *, side: int = SIDE, colour: bool = False) -> np.ndarray:
    """Flat darkness and a bright checkerboard, where they meet depends on the number."""
    pixels = np.random.default_rng(number).integers(20, 40, (side, side + 8)).astype(np.uint8)
    edge = side // 3 + 2 * (number % 4)
    rows, columns = np.indices(pixels.shape)
    pixels[:, edge:] += (90 + 100 * ((rows + columns) // 2 % 2))[:, edge:].astype(np.uint8)
    return np.stack([pixels, pixels // 2, 255 - pixels], axis=-1) if colour else pixels


@pytest.fixture
def frames() -> np.ndarray:
    """(5, rows, columns) uint8."""
    return np.stack([halves(number) for number in range(5)])


@pytest.fixture
def photographs(tmp_path):
    """A folder of colour images of two sizes."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(4):
        Image.fromarray(halves(number, side=SIDE + 6 * (number == 2), colour=True)).save(folder / f"p{number}.png")
    return folder
