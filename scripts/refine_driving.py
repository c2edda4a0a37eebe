"""What the scenes of the Refine dock do with it, as a user would, and sheets of pictures of its canvas."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image, ImageDraw
from qtpy.QtCore import QItemSelectionModel
from windows import settle

from napari_what_where.widgets.picking import camera_of

Line = tuple[tuple[float, float], ...]
"""(row, column) of the corners of a stroke."""


def wait(dock: Any) -> None:
    """Until nothing runs any more, and the table is up to date."""
    while not (dock.work.idle and dock.objects.idle):
        settle(0.05)


def press(dock: Any, *names: str) -> None:
    """Click buttons, one after the other."""
    for name in names:
        dock.panel.buttons[name].click()
        wait(dock)


def click(dock: Any, *at: float) -> None:
    """Click on a pixel of the labels."""
    dock._click(np.asarray(dock.layer.data_to_world(at)))
    wait(dock)


def select(dock: Any, labels: list[int]) -> None:
    """Select the rows of labels in the table, and no others."""
    model, view = dock.panel.model_of_objects, dock.panel.table
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    view.clearSelection()
    for label in labels:
        view.selectionModel().select(model.index(model.row_of(label), 0), flags)


def draw(dock: Any, line: Line, label: int | None = None) -> None:
    """A stroke as napari's brush makes it, in a number or in the one that is chosen."""
    strokes = dock.tool.strokes
    if label is not None:
        strokes.selected_label = label
    with strokes.block_history():
        for at, to in pairwise(line):
            for share in np.linspace(0, 1, 80):
                place = np.array(at) * (1 - share) + np.array(to) * share
                strokes.paint(tuple(place), strokes.selected_label)
    wait(dock)


def back_and_forth(dock: Any, start: np.ndarray, show: Any) -> None:
    """Undo all that was done, compare with the start, do it again, compare with the end; a picture of each."""
    layer = dock.layer
    end, steps = layer.data.copy(), len(layer._undo_history)
    press(dock, *["undo"] * steps)
    assert np.array_equal(layer.data, start)
    show(f"Undone {steps} steps: as at first, bit for bit")
    press(dock, *["redo"] * steps)
    assert np.array_equal(layer.data, end)
    show(f"Redone {steps} steps: as at last, bit for bit")
    print(f"{steps} steps of undo and redo, bit for bit")


def canvas(viewer: napari.Viewer) -> Image.Image:
    """What of the canvas the image covers."""
    settle(0.4)
    picture = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    width, height = picture.size
    rows, columns = viewer.layers[0].data.shape[:2]
    zoom = camera_of(viewer).zoom * viewer.window._qt_window.devicePixelRatioF()
    across, down = min(width, int(columns * zoom)), min(height, int(rows * zoom))
    left, top = (width - across) // 2, (height - down) // 2
    return picture.crop((left, top, left + across, top + down))


def close_up(viewer: napari.Viewer, at: tuple[float, float], times: float) -> Image.Image:
    """The canvas so many ``times`` enlarged around a (row, column)."""
    camera = camera_of(viewer)
    camera.zoom, camera.center = times * camera.zoom, (0, *at)
    settle(0.4)
    picture = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    viewer.reset_view()
    return picture


def sheet(
    pictures: list[tuple[str, Image.Image]], path: Path, columns: int = 3, shrink: float = 1.0, *, numbered: bool = True
) -> None:
    """Pictures with a line of text each, side by side."""
    width, height = (round(shrink * side) for side in pictures[0][1].size)
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * (width + 8) - 8, rows * (height + 30)), (38, 41, 48))
    pen = ImageDraw.Draw(whole)
    for number, (text, picture) in enumerate(pictures):
        left, top = number % columns * (width + 8), number // columns * (height + 30)
        said = f"{number + 1}  {text}" if numbered else text
        pen.text((left + 4, top + 6), said, fill=(240, 241, 242), font_size=15)
        whole.paste(picture.resize((width, height)), (left, top + 28))  # docks may take some of the canvas
    whole.quantize(256, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)
    print(path)
