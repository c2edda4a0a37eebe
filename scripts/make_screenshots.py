"""Take the screenshots of README and docs from the running program.

Usage: ``python scripts/make_screenshots.py [FOLDER]`` (default docs/images). Needs a display; under Linux without
one: ``xvfb-run -a -s "-screen 0 1400x900x24" python scripts/make_screenshots.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import napari
import numpy as np
from PIL import Image
from qtpy.QtWidgets import QApplication

from napari_what_where.samples import sample_names

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


def open_and_run(sample: str) -> tuple[napari.Viewer, object]:
    """A viewer with a sample and its analysis."""
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    viewer.open_sample("napari-what-where", sample)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    dock.start()
    while dock.task is not None:
        settle(0.05)
    return viewer, dock


def main(folder: Path) -> None:
    """One picture a sample, and the one of the README: image, composite, an eigenvector and segments side by side."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in sample_names():
        viewer, dock = open_and_run(sample)
        viewer.reset_view()
        take(viewer, folder / f"run_{sample}.png")
        if sample == "coffee":
            for layer in viewer.layers:
                layer.visible = True
            dock.session.labels_layer.opacity = 1.0
            viewer.grid.enabled = True
            viewer.grid.shape = (2, 2)
            viewer.window.resize(SIZE[0], 620)
            settle(0.5)
            viewer.reset_view()
            take(viewer, folder / "main.png", colours=None)
        viewer.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images")
    QApplication.quit()
