"""Pictures of the Collection dock: a time-lapse, and stacks and folders that are named, at several images each.

Usage: ``python scripts/collection_dock_scenes.py [FOLDER [MODEL [STACK.tif | FOLDER OF IMAGES …]]]`` (default
docs/images, filters, the sample). Needs a display; under Linux without one:
``xvfb-run -a -s "-screen 0 1400x1000x24" python scripts/collection_dock_scenes.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")  # read when napari is imported
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp()
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import napari
import numpy as np
from windows import open_window, settle, take, wait_for

SHOWN = 3
"""Images of a collection that a picture is taken of."""


def open_dock(model: str) -> tuple[napari.Viewer, Any]:
    """An empty viewer with the dock."""
    viewer = open_window()
    viewer.window.resize(1400, 900)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Collection")
    dock.panel.models.choose(model)
    return viewer, dock


def take_each(viewer: napari.Viewer, dock: Any, path: Path) -> None:
    """Pictures of some images with their labels, spread over all of them."""
    axis, count = viewer.dims.ndim - 3, len(dock.session.found.analysis)
    for number in np.linspace(0, count - 1, SHOWN).round().astype(int).tolist():
        viewer.dims.set_current_step(axis, number)
        take(viewer, path.with_stem(f"{path.stem}_{number}"))


def run_and_take(viewer: napari.Viewer, dock: Any, path: Path) -> None:
    """Run; pictures of labels, of where a kind is typical, of a kind alone and of an eigenvector."""
    dock.start()
    wait_for(dock)
    settle(0.5)
    viewer.reset_view()
    print(dock.panel.message.text(), dock.panel.failures.text(), sep="\n", flush=True)
    if dock.session.found is None:
        return
    take_each(viewer, dock, path)
    dock.panel.table.selectRow(1)
    take(viewer, path.with_stem(f"{path.stem}_kind"))
    dock.panel.only.click()
    take(viewer, path.with_stem(f"{path.stem}_only"))
    dock.panel.only.click()
    for layer in viewer.layers:
        layer.visible = "eigenvectors" in layer.name
    take(viewer, path.with_stem(f"{path.stem}_vector"))
    for layer in viewer.layers:
        layer.visible = "eigenvectors" not in layer.name


def sample(folder: Path, model: str) -> None:
    """The synthetic time-lapse: its kinds, and its regions traced."""
    viewer, dock = open_dock(model)
    viewer.open_sample("napari-what-where", "dividing-cells")
    dock.panel.clusters.setValue(3)
    dock.start()
    wait_for(dock)
    viewer.dims.set_current_step(viewer.dims.ndim - 3, 3)
    viewer.reset_view()
    dock.panel.table.selectRow(1)
    take(viewer, folder / "collection.png", colours=None)
    viewer.close()


def stack(folder: Path, model: str, file: Path) -> None:
    """Every plane of a stack from a file, and its regions traced."""
    viewer, dock = open_dock(model)
    viewer.open(str(file), plugin="napari")
    run_and_take(viewer, dock, folder / f"{file.stem}_{model}.png")
    dock.trace()
    wait_for(dock)
    print(dock.panel.message.text(), flush=True)
    take_each(viewer, dock, folder / f"{file.stem}_{model}_regions.png")
    viewer.close()


def files(folder: Path, model: str, images: Path) -> None:
    """A folder of images, its results kept elsewhere."""
    viewer, dock = open_dock(model)
    dock.panel.inputs.choose("folder")
    dock.panel.inputs.folder.setText(str(images))
    dock.panel.inputs.kept.setText(tempfile.mkdtemp())
    settle(1)
    run_and_take(viewer, dock, folder / f"{images.name}_{model}.png")
    viewer.close()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    place = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "docs" / "images"
    place.mkdir(parents=True, exist_ok=True)
    chosen = arguments[1] if len(arguments) > 1 else "filters"
    if len(arguments) < 3:
        sample(place, chosen)
    for given in map(Path, arguments[2:]):
        (files if given.is_dir() else stack)(place, chosen, given)
