"""A Refine dock in a real viewer, driven as a user drives it: through what napari does with mouse and keys."""

from __future__ import annotations

import numpy as np
import pytest
from napari.utils import interactions
from napari.utils._proxies import ReadOnlyWrapper

from napari_what_where.widgets.refine.dock import RefineDock


class Event:
    """What napari passes to callbacks of the mouse."""

    def __init__(self, kind, position, **more):
        self.type, self.position, self.handled = kind, tuple(position), False
        self.button, self.modifiers, self.delta = 1, (), (0.0, 0.0)
        self.view_direction, self.dims_displayed, self.pos = None, [0, 1], (0, 0)
        self.is_dragging = kind == "mouse_move"
        self.__dict__.update(more)


class RefineDriver:
    """A viewer, its Refine dock, and what a user does with them."""

    def __init__(self, viewer, qtbot):
        self.viewer, self.qtbot = viewer, qtbot
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Refine")
        assert isinstance(self.dock, RefineDock)

    @property
    def panel(self):
        return self.dock.panel

    @property
    def message(self) -> str:
        return self.panel.message.text()

    @property
    def labels(self):
        return np.asarray(self.dock.layer.data)

    def wait(self):
        self.qtbot.waitUntil(lambda: self.dock.work.idle, timeout=60_000)

    def wait_for_table(self):
        self.wait()
        self.qtbot.waitUntil(lambda: self.dock.objects.idle, timeout=60_000)

    def press(self, name):
        """Click the button of an action."""
        self.panel.buttons[name].click()
        self.wait()

    def key(self, key) -> bool:
        pressed = self.viewer.window._qt_viewer._key_map_handler.press_key(key)
        self.wait()
        return pressed

    def world(self, at, layer=None):
        """Where a pixel (…, row, column) of a layer is for the viewer."""
        layer = self.dock.layer if layer is None else layer
        place = np.asarray(layer.data_to_world(at))
        world = np.array(self.viewer.dims.point)
        world[-len(place) :] = place
        return world

    def _tell(self, callbacks, event):
        event = ReadOnlyWrapper(event, exceptions=("handled",))
        callbacks(self.viewer, event)
        active = self.viewer.layers.selection.active
        if active is not None:
            callbacks(active, event)

    def click(self, at, **more):
        """Click on a pixel of the layer that is refined, and wait for what comes of it."""
        world = self.world(at)
        self._tell(interactions.mouse_press_callbacks, Event("mouse_press", world, **more))
        self._tell(interactions.mouse_release_callbacks, Event("mouse_release", world, **more))
        self.wait()

    def drag(self, at, to):
        self._tell(interactions.mouse_press_callbacks, Event("mouse_press", self.world(at)))
        self._tell(interactions.mouse_move_callbacks, Event("mouse_move", self.world(to)))
        self._tell(interactions.mouse_release_callbacks, Event("mouse_release", self.world(to)))
        self.wait()

    def double_click(self, at):
        self._tell(interactions.mouse_double_click_callbacks, Event("mouse_double_click", self.world(at)))
        self.wait()

    def turn(self, at, notches) -> bool:
        """Turn the wheel over a pixel; whether it was taken."""
        event = Event("mouse_wheel", self.world(at), delta=(0.0, float(notches)))
        self._tell(interactions.mouse_wheel_callbacks, event)
        self.wait()
        return event.handled

    def names(self) -> list[str]:
        return [layer.name for layer in self.viewer.layers]


_analyses = {}


@pytest.fixture(autouse=True)
def quick_analysis(monkeypatch):
    """The same image is analysed once for all tests."""
    from napari_what_where import pipeline

    analyze = pipeline.analyze

    def remembered(image, **options):
        given = {name: value for name, value in options.items() if name != "report"}
        key = np.asarray(image).tobytes(), np.asarray(image).shape, str(given)
        if key not in _analyses:
            _analyses[key] = analyze(image, **options)
        return _analyses[key]

    monkeypatch.setattr(pipeline, "analyze", remembered)


@pytest.fixture
def driver(make_napari_viewer, qtbot):
    driver = RefineDriver(make_napari_viewer(), qtbot)
    yield driver
    # A thread that measures for the table would keep the window for the next test to stumble over.
    dock = driver.dock
    if dock is not None:
        dock.closing.leave()
        qtbot.waitUntil(lambda: dock.objects._task is None and dock.work.task is None, timeout=30_000)


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """Six discs of two colours on grey, slightly noisy, (64, 96, 3) uint8."""
    rows, columns = np.mgrid[:64, :96]
    image = np.full((64, 96, 3), 90)
    for number, (row, column) in enumerate(CENTRES):
        image[(rows - row) ** 2 + (columns - column) ** 2 < 81] = ((210, 60, 50), (40, 90, 220))[number % 2]
    return (image + np.random.default_rng(0).integers(-6, 7, image.shape)).astype(np.uint8)


CENTRES = ((16, 16), (16, 48), (16, 80), (46, 16), (46, 48), (46, 80))


@pytest.fixture(scope="session")
def wrong() -> np.ndarray:
    """Somebody's labels of the picture, (64, 96) int32: two discs are one, one is in halves, one is missing."""
    rows, columns = np.mgrid[:64, :96]
    labels = np.zeros((64, 96), np.int32)
    for number, (row, column) in enumerate(CENTRES[:5], 1):
        labels[(rows - row) ** 2 + (columns - column) ** 2 < 81] = number
    labels[14:18, 16:48] = 2
    labels[labels == 1] = 2
    labels[(labels == 3) & (columns > 80)] = 9
    return labels
