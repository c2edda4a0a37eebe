"""Take the screenshots of README and docs from the running program.

Usage: ``python scripts/make_screenshots.py [FOLDER [SCENE …]]`` (default docs/images, all scenes). Needs a display;
under Linux without one: ``xvfb-run -a -s "-screen 0 1400x900x24" python scripts/make_screenshots.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")  # read when napari is imported
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp()
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import dask.array as da
import napari
import numpy as np
from model_scenes import models
from windows import SIZE, add_dock, open_window, settle, take, wait_for

from napari_what_where.samples import sample_names


def open_and_run(sample: str) -> tuple[napari.Viewer, object]:
    """A viewer with a sample and its analysis."""
    viewer = open_window()
    viewer.open_sample("napari-what-where", sample)
    dock = add_dock(viewer)
    dock.start()
    wait_for(dock)
    return viewer, dock


def linked_stack(folder: Path) -> None:
    """Every plane of a time-lapse, numbers linked: the first and the last frame."""
    viewer = open_window()
    viewer.open_sample("napari-what-where", "dividing-cells")
    dock = add_dock(viewer)
    dock.panel.inputs.planes.setCurrentIndex(1)
    dock.start()
    wait_for(dock)
    dock.panel.as_objects.click()
    wait_for(dock)
    frames = viewer.layers[0].data.shape[0]
    for name, frame in (("first", 0), ("last", frames - 1)):
        viewer.dims.set_current_step(viewer.dims.ndim - 3, frame)
        viewer.reset_view()
        take(viewer, folder / f"linked_{name}.png")
    viewer.close()


def objects_and_background(folder: Path) -> None:
    """Coins one by one, by kind; segments with what a click called background."""
    viewer, dock = open_and_run("coins")
    dock.session.toggle_background(0, 5, 5)
    dock.panel.say(dock.session.refresh())
    viewer.reset_view()
    take(viewer, folder / "background.png")
    dock.panel.as_objects.click()
    wait_for(dock)
    take(viewer, folder / "objects.png")
    viewer.close()


def large_image(folder: Path) -> None:
    """A synthetic image of 12,000 pixels a side: what it will take, the glance, the finer result."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    from large_window import scene

    viewer = open_window()
    viewer.add_image(scene(12_000), name="slide", scale=(0.25, 0.25), units=("um", "um"))
    dock = add_dock(viewer)
    dock.panel.inputs.size.set_pixels(100)
    settle(2)
    dock.start()
    while dock.session.labels_layer is None:
        settle(0.05)
    viewer.reset_view()
    take(viewer, folder / "large.png")
    wait_for(dock)
    take(viewer, folder / "large_fine.png")
    viewer.close()


def recovery(folder: Path) -> None:
    """Edits of a window that was closed, offered in the next one."""
    viewer, dock = open_and_run("coins")
    dock.session.labels_layer.paint((100, 100), 99)
    dock.keeper.autosaver.close()  # as when the program dies: what was kept is nobody's now
    viewer.close()
    viewer = open_window()
    viewer.open_sample("napari-what-where", "coins")
    dock = add_dock(viewer)
    settle(2)
    take(viewer, folder / "recovery.png")
    dock.keeper.recovery.restore.click()
    settle(2)
    take(viewer, folder / "recovered.png")
    viewer.close()


def refusals(folder: Path) -> None:
    """What cannot be run, and what is said; one picture each."""
    rng = np.random.default_rng(0)
    image = rng.random((120, 160)).astype(np.float32)
    bad = image.copy()
    bad[3, 4] = np.nan
    cases = {"nan": bad, "tiny": image[:1, :1], "constant": np.full((50, 60), 7, np.uint8), "none": None}
    for name, pixels in cases.items():
        viewer = open_window()
        if pixels is not None:
            viewer.add_image(pixels, name=name, contrast_limits=(0, 1))
        dock = add_dock(viewer)
        dock.start()
        wait_for(dock)
        take(viewer, folder / f"refused_{name}.png")
        viewer.close()
    viewer = open_window()
    viewer.add_image(da.zeros((4000, 2048, 2048), chunks=(1, 2048, 2048)), name="long", contrast_limits=(0, 1))
    dock = add_dock(viewer)
    dock.panel.inputs.planes.setCurrentIndex(1)
    settle(1)
    dock.start()
    take(viewer, folder / "refused_memory.png")
    viewer.close()


def samples(folder: Path) -> None:
    """One picture a sample, and the one of the README: image, composite, an eigenvector and segments side by side."""
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


SCENES = (samples, linked_stack, objects_and_background, large_image, recovery, refusals, models)


def main(folder: Path, names: list[str]) -> None:
    """Take the pictures of all scenes, or of those that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if not names or scene.__name__ in names:
            scene(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images", sys.argv[2:])
