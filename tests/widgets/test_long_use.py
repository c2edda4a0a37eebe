"""A long session in one window: runs neither pile up listeners, widgets and layers, nor grow the process."""

from __future__ import annotations

import gc
import threading

import numpy as np
import psutil
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QApplication

RUNS, WARM_UP = 60, 20
MOST_GROWTH = 8 * 2**20
"""Bytes of the process from the 20th to the 60th run, where allocators have their ups and downs."""
KEPT = ("Analysis", "RegionTree", "Embedding", "Task", "Source", "Labels", "Image", "QtLayerControlsContainer")
"""Classes of which no more objects may be alive after more runs."""


def callbacks(source: object) -> int:
    """How many functions listen to any event of a napari object."""
    emitters = source.events.emitters.values()
    return sum(len(emitter.callbacks) for emitter in emitters)


def listeners(viewer) -> dict[str, int]:
    sources = {"viewer": viewer, "layers": viewer.layers, "dims": viewer.dims, "camera": viewer.camera}
    sources |= {"cursor": viewer.cursor, "selection": viewer.layers.selection}
    sources |= {layer.name: layer for layer in viewer.layers}
    found = {name: callbacks(source) for name, source in sources.items()}
    for kind in ("mouse_move", "mouse_drag", "mouse_double_click", "mouse_wheel"):
        found[kind] = len(getattr(viewer, f"{kind}_callbacks"))
        found |= {f"{layer.name}, {kind}": len(getattr(layer, f"{kind}_callbacks")) for layer in viewer.layers}
    return found


def alive() -> dict[str, int]:
    """How many objects there are of the classes that hold much, or are held by what should be gone."""
    names = [type(thing).__name__ for thing in gc.get_objects()]
    return {name: names.count(name) for name in KEPT}


def settle() -> None:
    """Deferred deletions are done, cycles are collected."""
    for _ in range(3):
        QApplication.sendPostedEvents(None, 0)
        QApplication.processEvents()
    gc.collect()


def state(driver) -> dict[str, object]:
    settle()
    window = driver.viewer.window._qt_window
    return {
        "listeners": listeners(driver.viewer),
        "layers": driver.names(),
        "children of the dock": len(driver.dock.findChildren(QObject)),
        "children of the window": len(window.findChildren(QObject)),
        "windows": len(QApplication.topLevelWidgets()),
        "alive": alive(),
        "threads": threading.active_count(),
    }


def run_as_people_do(driver, number: int) -> None:
    """A run, a look at another number of segments, now and then a run that is cancelled."""
    driver.run()
    driver.panel.segments.spin.setValue(2 + number % 3)
    if number % 10 == 9:
        driver.panel.run.click()
        driver.panel.cancel.click()
        driver.wait()


def test_many_runs_leave_no_trace(driver):
    rng = np.random.default_rng(0)
    driver.viewer.add_image(rng.integers(0, 255, (12, 14, 3), dtype=np.uint8), name="tiny")
    process = psutil.Process()
    for number in range(WARM_UP):
        run_as_people_do(driver, number)
    before, held = state(driver), process.memory_info().rss
    for number in range(WARM_UP, RUNS):
        run_as_people_do(driver, number)
    after = state(driver)
    assert after == before
    assert after["layers"] == ["tiny", *after["layers"][1:]]
    assert process.memory_info().rss - held < MOST_GROWTH


def test_opening_and_removing_images_leaves_no_listeners(driver):
    rng = np.random.default_rng(0)

    def once() -> None:
        image = driver.viewer.add_image(rng.integers(0, 255, (12, 14), dtype=np.uint8), name="tiny")
        driver.viewer.layers.selection.active = image
        driver.run()
        driver.viewer.layers.clear()

    once()
    before = state(driver)
    for _ in range(4):
        once()
    assert state(driver) == before
