"""Pictures of pretrained models in the dock.

A hub on this computer gives tiny models with random weights under the names of real ones.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from qtpy.QtCore import QPoint
from qtpy.QtGui import QImage
from qtpy.QtWidgets import QWidget
from windows import SIZE, add_dock, open_window, settle, wait_for

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.memory import OutOfMemory

SPACE, GREY = 8, (38, 41, 48)


def models(folder: Path) -> None:
    """The states that a model may be in, and the list of models with what can be set for one."""
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
        save_row(list(_states(hub)), folder / "models.png")
        save_row(list(_choices()), folder / "model_options.png")


def save_row(pictures: Sequence[Image.Image], path: Path) -> None:
    """Pictures side by side, in few colours to keep the repository small."""
    width = sum(picture.width + SPACE for picture in pictures) - SPACE
    row, left = Image.new("RGB", (width, max(picture.height for picture in pictures)), GREY), 0
    for picture in pictures:
        row.paste(picture, (left, 0))
        left += picture.width + SPACE
    row.quantize(128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(path, optimize=True)
    print(path)


def _picture_of(widget: QWidget) -> Image.Image:
    pixels = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    rows = np.frombuffer(pixels.constBits().asstring(pixels.sizeInBytes()), np.uint8)
    rows = rows.reshape(pixels.height(), pixels.bytesPerLine())[:, : 3 * pixels.width()]
    return Image.fromarray(rows.reshape(pixels.height(), pixels.width(), 3).copy())


def _choices() -> Iterator[Image.Image]:
    """The list, the options of a diffusion model, and the window to choose network layers in."""
    from tests.activations.tiny_diffusion import tiny_folder

    viewer = open_window()
    viewer.open_sample("napari-what-where", "coffee")
    dock = add_dock(viewer)
    panel = dock.panel
    settle(1)
    panel.models.combo.showPopup()
    settle(0.5)
    yield _picture_of(panel.models.combo.view().window())
    panel.models.combo.hidePopup()
    panel.models.choose("stable-diffusion-1.5")
    panel.more.expand(False)
    panel.model_options.draw.click()
    settle(0.5)
    yield _picture_of(dock)
    dock.models.add(str(tiny_folder("stable-diffusion")))
    panel.model_options.list_layers.click()
    wait_for(dock)
    settle(0.5)
    yield _picture_of(dock.models.layer_dialog)
    dock.models.layer_dialog.reject()
    viewer.close()


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
