"""A napari window with our dock in it, driven by a script, and pictures of it."""

from __future__ import annotations

import time
from pathlib import Path

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

SIZE = (1280, 800)


def settle(seconds: float) -> None:
    """Let the window draw itself."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        QApplication.processEvents()
        time.sleep(0.01)


def take(viewer: napari.Viewer, path: Path, *, colours: int | None = 256) -> None:
    """Save the whole window, by default with few colours to keep the repository small."""
    settle(1.0)
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
    if colours:
        picture = picture.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG)
    picture.save(path, optimize=True)
    print(path)


def open_window() -> napari.Viewer:
    """An empty viewer."""
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    return viewer


def add_dock(viewer: napari.Viewer) -> object:
    """Our dock, in the viewer."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    return dock


def wait_for(dock: object) -> None:
    """Until nothing runs any more."""
    while dock.task is not None:
        settle(0.05)
