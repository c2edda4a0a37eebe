"""Pictures of the Refine dock: each tool at work, a walk from somebody else's wrong labels to right ones, and one from
a micrograph without any to files that are read back.

Usage: ``python scripts/refine_scenes.py [FOLDER [SCENE …]]`` (default docs/images, all scenes). Needs a display; under
Linux without one: ``xvfb-run -a -s "-screen 0 1400x1000x24" python scripts/refine_scenes.py``.
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
from micrograph_scene import micrograph
from PIL import Image
from refine_driving import back_and_forth, canvas, click, close_up, draw, press, select, sheet
from windows import open_window, settle, take

HEIGHT = 900
JOINED = ((124, 45, 102), (194, 212, 274))
"""Row, and the columns of two coins that somebody took for one."""
THRESHOLD = 62
"""Percentile of the coins image above which somebody called everything a coin."""
CORNER_COIN = (53, 43)
"""A coin that somebody took for part of a bright corner."""
ENLARGED = (244, 172)
"""Row and column of what is shown larger."""
COARSE = 4
"""Pixels of the image to one of somebody's labels."""


def somebodys_labels(image: np.ndarray, coarse: int = 1) -> np.ndarray:
    """One threshold for all, and thick lines: specks, holes, coins that are one, a bright corner that is no coin.

    ``coarse``: pixels of the image to one of the labels, which then have borders like stairs.
    """
    from skimage.measure import block_reduce, label

    bright = block_reduce(image, coarse, np.mean) > np.percentile(image, THRESHOLD)
    rows, columns = image.shape
    labels = label(np.kron(bright, np.ones((coarse, coarse)))[:rows, :columns], connectivity=1).astype(np.int32)
    for row, left, right in JOINED:
        one, other = labels[row, left], labels[row, right]
        labels[row - 4 : row + 5, left:right] = one
        labels[labels == other] = one
    return labels


def open_coins(coarse: int = 1) -> tuple[napari.Viewer, Any]:
    """The coins, those labels over them, and the dock."""
    viewer = open_window()
    viewer.window.resize(1280, HEIGHT)
    viewer.open_sample("napari-what-where", "coins")
    viewer.add_labels(somebodys_labels(viewer.layers[0].data, coarse), name="threshold", opacity=0.5)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Refine")
    settle(1)
    viewer.reset_view()
    return viewer, dock


def clear_up(dock: Any) -> None:
    """What the threshold left of specks and holes."""
    press(dock, "small", "holes")


def split(folder: Path) -> None:
    viewer, dock = open_coins()
    clear_up(dock)
    press(dock, "split")
    dock.actions.rename(largest(dock), "no coin")
    dock.actions.lock([largest(dock)])
    click(dock, JOINED[1][0], JOINED[1][1])
    take(viewer, folder / "refine.png")
    viewer.close()


def scribble(folder: Path) -> None:
    viewer, dock = open_coins()
    clear_up(dock)
    press(dock, "scribble")
    dock.tool.strokes.brush_size = 5
    for label, at, to in strokes(dock, viewer.layers[0].data.shape):
        draw(dock, (at, to), label)
    take(viewer, folder / "refine_scribble.png")
    viewer.close()


def similar(folder: Path) -> None:
    viewer, dock = open_coins()
    clear_up(dock)
    for label in coins(dock)[4::2]:  # somebody has missed every other coin
        dock.choose(dock.layer, label)
        dock.panel.table.clearSelection()
        press(dock, "delete")
    press(dock, "similar")
    click(dock, *middle_of(dock, coins(dock)[3]))
    slider = dock.panel.threshold
    while dock.tool.preview.layer.data[5, 5] and slider.value() > 2:  # the corner is no coin
        slider.setValue(slider.value() - 2)
    take(viewer, folder / "refine_similar.png")
    viewer.close()


def walk(folder: Path) -> None:
    """Step by step from wrong labels to right ones, all the way back by undo, and there again."""
    viewer, dock = open_coins(COARSE)
    pictures: list[tuple[str, Image.Image]] = []

    def show(text: str) -> None:
        pictures.append((text, canvas(viewer)))

    start = dock.layer.data.copy()
    show("Somebody’s labels: one threshold, coarse")
    clear_up(dock)
    show("Remove small, fill holes")
    press(dock, "split")
    click(dock, *CORNER_COIN)
    for row, left, right in JOINED:
        click(dock, row, left)
        click(dock, row, (left + right) / 2)
    press(dock, "split")
    show("Split what is two things, and the line between")
    delete_other_kinds(dock)
    show("Select the other kinds in the table, delete")
    coarse = close_up(viewer, ENLARGED, 3)
    press(dock, "snap")
    show("Snap to edges")
    snapped = close_up(viewer, ENLARGED, 3)
    press(dock, "relabel")
    show("Relabel: finished")
    pictures.insert(5, ("The same enlarged: before, and snapped", halves(coarse, snapped, pictures[0][1].size)))
    back_and_forth(dock, start, show)
    sheet(pictures, folder / "refine_walk.png")
    viewer.close()


def halves(left: Image.Image, right: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The middle of two pictures, side by side."""
    width, height = size
    half = width // 2 - 2
    whole = Image.new("RGB", size, "white")
    for picture, at in ((left, 0), (right, width - half)):
        x, y = (picture.width - half) // 2, (picture.height - height) // 2
        whole.paste(picture.crop((x, y, x + half, y + height)), (at, 0))
    return whole


def largest(dock: Any) -> int:
    return int(np.bincount(dock.layer.data[dock.layer.data > 0]).argmax())


def coins(dock: Any) -> list[int]:
    """Labels of the size of a coin, from the largest."""
    areas = np.bincount(dock.layer.data.ravel())[1:]
    return [1 + int(each) for each in np.argsort(-areas, kind="stable") if 900 < areas[each] < 4000]


def delete_other_kinds(dock: Any) -> None:
    """Delete the rows of all kinds but that of most objects."""
    model = dock.panel.model_of_objects
    kinds = {int(label): int(model.value(int(label), "kind")) for label in model.labels}
    coin = int(np.bincount(list(kinds.values())).argmax())
    select(dock, [label for label, kind in kinds.items() if kind != coin])
    press(dock, "delete")


def middle_of(dock: Any, label: int) -> tuple[float, float]:
    """The pixel of a label that is furthest inside."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(dock.layer.data == label)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return float(row), float(column)


def strokes(dock: Any, shape: tuple[int, ...]) -> list[tuple[int, tuple[float, float], tuple[float, float]]]:
    rows, columns = shape[:2]
    background = dock.tool.background
    found = [
        (background, (0.03 * rows, 0.02 * columns), (0.03 * rows, 0.7 * columns)),
        (background, (0.05 * rows, 0.02 * columns), (0.9 * rows, 0.02 * columns)),
        (background, (0.29 * rows, 0.05 * columns), (0.29 * rows, 0.75 * columns)),
        (background, (0.53 * rows, 0.05 * columns), (0.53 * rows, 0.75 * columns)),
    ]
    chosen = [(0.17, 0.115), (0.17, 0.26), (0.17, 0.405), (0.41, 0.12), (0.41, 0.4), (0.65, 0.26)]
    for number, (row, column) in enumerate(chosen, background + 1):
        found.append((number, (row * rows, (column - 0.02) * columns), (row * rows, (column + 0.02) * columns)))
    return found


SCENES = (split, scribble, similar, walk, micrograph)


def main(folder: Path, names: list[str]) -> None:
    """Take the pictures of all scenes, or of those that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if not names or scene.__name__ in names:
            scene(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images", sys.argv[2:])
