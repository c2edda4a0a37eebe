"""Take the screenshots of README and docs from the running program.

Usage: ``python scripts/make_screenshots.py [FOLDER [SCENE …]]`` (default docs/images, all scenes). Needs a display;
under Linux without one: ``xvfb-run -a -s "-screen 0 1400x900x24" python scripts/make_screenshots.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp()
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import dask.array as da
import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint
from qtpy.QtWidgets import QApplication

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.memory import OutOfMemory
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


def open_window() -> napari.Viewer:
    """An empty viewer."""
    viewer = napari.Viewer()
    viewer.window.resize(*SIZE)
    return viewer


def add_dock(viewer: napari.Viewer) -> object:
    """Our dock, in the viewer."""
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    return dock


def open_and_run(sample: str) -> tuple[napari.Viewer, object]:
    """A viewer with a sample and its analysis."""
    viewer = open_window()
    viewer.open_sample("napari-what-where", sample)
    dock = add_dock(viewer)
    dock.start()
    wait_for(dock)
    return viewer, dock


def wait_for(dock: object) -> None:
    """Until nothing runs any more."""
    while dock.task is not None:
        settle(0.05)


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


def models(folder: Path) -> None:
    """The dock with a model that is not there, broken off, gated, ready and run, and too large: side by side.

    A hub on this computer gives tiny models with random weights under the names of real ones.
    """
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.activations.fake_hub import FakeHub
    from tests.activations.tiny_models import saved

    temporary = Path(tempfile.mkdtemp())
    weights = {path.name: path.read_bytes() for path in saved("ViTModel", temporary / "vit").iterdir()}
    weights["preprocessor_config.json"] = b"{}" + b" " * 6_000_000  # so that there is something to break off
    with FakeHub() as hub:
        os.environ.update(hub.environment(temporary / "hub"))
        hub.add(CATALOGUE["dino-vits16"].repo, weights)
        hub.add(CATALOGUE["dinov3-vits16"].repo, weights, gated=True)
        docks = list(_states(hub))
    height = max(dock.height for dock in docks)
    row = Image.new("RGB", (sum(dock.width + 8 for dock in docks) - 8, height), (38, 41, 48))
    for number, dock in enumerate(docks):
        row.paste(dock, (number * (dock.width + 8), 0))
    row.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        folder / "models.png", optimize=True
    )
    print(folder / "models.png")


def _states(hub: Any) -> Iterator[Image.Image]:
    from napari_what_where.activations.networks.vision import VisionTransformer

    viewer = open_window()
    viewer.open_sample("napari-what-where", "coffee")
    dock = add_dock(viewer)

    def shown() -> Image.Image:
        settle(0.5)
        pixels = viewer.screenshot(canvas_only=False, flash=False)
        place, scale = dock.mapTo(viewer.window._qt_window, QPoint(0, 0)), pixels.shape[1] / SIZE[0]
        box = [round(scale * value) for value in (place.x(), place.y(), dock.width(), dock.height())]
        picture = Image.fromarray(np.ascontiguousarray(pixels[..., :3]))
        return picture.crop((box[0], box[1], box[0] + box[2], box[1] + box[3]))

    dock.panel.models.choose("dino-vits16")
    yield shown()
    hub.cut["preprocessor_config.json"], hub.broken_after_cut = [2_500_000], True
    dock.panel.models.download.click()
    wait_for(dock)
    yield shown()
    hub.broken = False
    dock.panel.models.choose("dinov3-vits16")
    dock.panel.models.download.click()
    wait_for(dock)
    yield shown()
    dock.panel.models.choose("dino-vits16")
    dock.panel.models.download.click()
    wait_for(dock)
    dock.panel.pathways["where"].click()
    dock.panel.run.click()
    wait_for(dock)
    yield shown()
    dock.panel.more.expand(False)
    dock.panel.model_options.resolution.setValue(1024)
    run = VisionTransformer.run
    VisionTransformer.run = _too_large
    dock.panel.run.click()
    wait_for(dock)
    yield shown()
    VisionTransformer.run = run
    viewer.close()


def _too_large(*_: Any) -> None:
    raise OutOfMemory("cpu", asked=2**34, free=2**31)


SCENES = (samples, linked_stack, objects_and_background, large_image, recovery, refusals, models)


def main(folder: Path, names: list[str]) -> None:
    """Take the pictures of all scenes, or of those that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if not names or scene.__name__ in names:
            scene(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images", sys.argv[2:])
