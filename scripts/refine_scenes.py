"""Pictures of the Refine dock: each tool at work, a walk from somebody else's wrong labels to right ones, and one from
a micrograph without any to files that are read back.

Usage: ``python scripts/refine_scenes.py [FOLDER [SCENE …]]`` (default docs/images, all scenes). Needs a display; under
Linux without one: ``xvfb-run -a -s "-screen 0 1400x1000x24" python scripts/refine_scenes.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")  # read when napari is imported
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp()
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import napari
import numpy as np
from PIL import Image, ImageDraw
from qtpy.QtCore import QItemSelectionModel
from windows import add_dock, open_window, settle, take, wait_for

HEIGHT = 900
JOINED = ((124, 45, 102), (194, 212, 274))
"""Row, and the columns of two coins that somebody took for one."""
THRESHOLD = 62
"""Percentile of the coins image above which somebody called everything a coin."""
GLANDS = (
    ((10, 240), (130, 290), (210, 330), (280, 410), (180, 440), (5, 435), (5, 345), (120, 385)),
    ((225, 25), (245, 70), (330, 110), (440, 128), (490, 100), (330, 75)),
)
"""Rows and columns along which two glands of the stained tissue are scribbled on, to part them from a third."""
OTHER_GLANDS = ((120, 120), (420, 320))
"""Row and column of the third, and of a fourth that stands alone."""
STROMA = (240, 300)
"""Row and column of what holds the glands."""
COLOURS = 61
"""Seed of the labels' colours: with napari's first ones a label is as brown as the stain."""


def somebodys_labels(image: np.ndarray) -> np.ndarray:
    """One threshold for all, and thick lines: specks, holes, coins that are one, a bright corner that is no coin."""
    from skimage.measure import label

    labels = label(image > np.percentile(image, THRESHOLD), connectivity=1).astype(np.int32)
    for row, left, right in JOINED:
        one, other = labels[row, left], labels[row, right]
        labels[row - 4 : row + 5, left:right] = one
        labels[labels == other] = one
    return labels


def open_coins() -> tuple[napari.Viewer, Any]:
    """The coins, those labels over them, and the dock."""
    viewer = open_window()
    viewer.window.resize(1280, HEIGHT)
    viewer.open_sample("napari-what-where", "coins")
    viewer.add_labels(somebodys_labels(viewer.layers[0].data), name="threshold", opacity=0.5)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Refine")
    settle(1)
    viewer.reset_view()
    return viewer, dock


def wait(dock: Any) -> None:
    """Until nothing runs any more, and the table is up to date."""
    while not (dock.work.idle and dock.objects.idle):
        settle(0.05)


def press(dock: Any, name: str) -> None:
    dock.panel.buttons[name].click()
    wait(dock)


def click(dock: Any, *at: float) -> None:
    dock._click(np.asarray(dock.layer.data_to_world(at)))
    wait(dock)


def clear_up(dock: Any) -> None:
    """What the threshold left of specks and holes."""
    press(dock, "small")
    press(dock, "holes")


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
    for label, at, to in strokes(dock, viewer.layers[0].data.shape):
        draw(dock, label, at, to)
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
    viewer, dock = open_coins()
    pictures = [("Somebody’s labels: one threshold", canvas(viewer))]
    states = [dock.layer.data.copy()]

    def step(text: str, do: Callable[[], None]) -> None:
        do()
        wait(dock)
        states.append(dock.layer.data.copy())
        pictures.append((text, canvas(viewer)))

    step("Remove small, fill holes", lambda: clear_up(dock))

    def split_joined() -> None:
        press(dock, "split")
        for row, left, right in JOINED:
            click(dock, row, left)
            click(dock, row, (left + right) / 2)
        press(dock, "split")

    step("Split what is two coins, and the line between", split_joined)
    step("Select the other kinds in the table, delete", lambda: delete_other_kinds(dock))
    step("Snap to edges", lambda: press(dock, "snap"))
    step("Fill holes, relabel", lambda: [press(dock, name) for name in ("holes", "largest", "relabel")])
    layer = dock.layer
    count = len(layer._undo_history)
    for _ in range(count):
        press(dock, "undo")
    assert np.array_equal(layer.data, states[0])
    for _ in range(count):
        press(dock, "redo")
    assert np.array_equal(layer.data, states[-1])
    print(f"{count} steps of undo and redo, bit for bit")
    sheet(pictures, folder / "refine_walk.png")
    viewer.close()


def micrograph(folder: Path) -> None:
    """A stained tissue without labels: analysed, its glands told apart by hand, written, and read back."""
    viewer = open_window()
    viewer.window.resize(1280, HEIGHT)
    viewer.open_sample("napari-what-where", "immunohistochemistry")
    analysis = add_dock(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Refine", tabify=True)
    _, exporter = viewer.window.add_plugin_dock_widget("napari-what-where", "Export labels", tabify=True)
    pictures: list[tuple[str, Image.Image]] = []

    def show(text: str) -> None:
        settle(0.5)
        viewer.reset_view()
        pictures.append((text, canvas(viewer)))

    show("A stained tissue, as it was opened")
    analysis.start()
    wait_for(analysis)
    wait(dock)
    dock.layer.new_colormap(COLOURS)
    show(f"What & Where, Run: {dock.layer.data.max()} segments")
    dock.actions.lock([int(dock.layer.data[STROMA])])
    press(dock, "scribble")
    for line in GLANDS:
        press(dock, "new_stroke")
        draw_along(dock, line)
    show("Refine: lock the stroma, scribble on glands")
    press(dock, "accept")
    dock.actions.lock([int(dock.layer.data[STROMA])])  # free again
    select(dock, others_than_glands(dock))
    press(dock, "delete")
    show("Accept; select what is no gland, delete")
    for name in ("largest", "relabel"):
        press(dock, name)
    show("Keep largest, relabel: one number a gland")
    labels = dock.layer.data.copy()
    path = export_and_check(exporter, labels)
    for layer in viewer.layers[1:]:
        layer.visible = False
    viewer.open(path, layer_type="labels", plugin="napari", name="read back", opacity=0.5)
    viewer.layers[-1].new_colormap(COLOURS)
    assert np.array_equal(viewer.layers[-1].data, labels)
    show(f"Export labels: {path.name}, opened again")
    sheet(pictures, folder / "refine_micrograph.png", shrink=0.75)
    viewer.close()


def others_than_glands(dock: Any) -> list[int]:
    """What a user selects who looks at the picture: all labels but those of glands."""
    labels = dock.layer.data
    kept = {int(labels[at]) for at in (*(line[1] for line in GLANDS), *OTHER_GLANDS)}
    return [int(label) for label in np.unique(labels) if label and int(label) not in kept]


def export_and_check(exporter: Any, labels: np.ndarray) -> Path:
    """Write the labels as TIFF, COCO and CSV with the Export dock; read the files with other programs and compare."""
    import tifffile
    from pycocotools.coco import COCO

    panel, folder = exporter.panel, Path(tempfile.mkdtemp())
    for name in ("coco", "csv"):
        panel.formats[name].click()
    panel.folder.setText(str(folder))
    panel.name.setText("glands")
    panel.export.click()
    wait_for(exporter)
    print(panel.message.text())
    assert np.array_equal(tifffile.imread(folder / "glands.tif"), labels)
    coco = COCO(folder / "glands_coco.json")
    drawn = np.zeros_like(labels)
    for each in coco.dataset["annotations"]:
        drawn[coco.annToMask(each) > 0] = each["label"]
    assert np.array_equal(drawn, labels)
    rows = (folder / "glands.csv").read_text(encoding="utf-8").strip().splitlines()
    assert len(rows) == 1 + len(np.unique(labels[labels > 0]))
    return folder / "glands.tif"


def draw_along(dock: Any, corners: tuple[tuple[float, float], ...]) -> None:
    """A stroke through several points, in the number that is chosen."""
    layer = dock.tool.strokes
    with layer.block_history():
        for at, to in pairwise(corners):
            for share in np.linspace(0, 1, 80):
                layer.paint(tuple(np.array(at) * (1 - share) + np.array(to) * share), layer.selected_label)
    wait(dock)


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


def select(dock: Any, labels: list[int]) -> None:
    """Select the rows of labels in the table, and no others."""
    model, view = dock.panel.model_of_objects, dock.panel.table
    flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
    view.clearSelection()
    for label in labels:
        view.selectionModel().select(model.index(model.row_of(label), 0), flags)


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


def draw(dock: Any, label: int, at: tuple[float, float], to: tuple[float, float]) -> None:
    """A stroke as napari's brush makes it."""
    layer = dock.tool.strokes
    layer.brush_size = 5
    with layer.block_history():
        for share in np.linspace(0, 1, 80):
            layer.paint(tuple(np.array(at) * (1 - share) + np.array(to) * share), label)
    wait(dock)


def canvas(viewer: napari.Viewer) -> Image.Image:
    settle(0.4)
    picture = Image.fromarray(viewer.screenshot(canvas_only=True, flash=False)[..., :3])
    width, height = picture.size
    rows, columns = viewer.layers[0].data.shape[:2]
    zoom = viewer.camera.zoom * viewer.window._qt_window.devicePixelRatioF()
    across, down = min(width, int(columns * zoom)), min(height, int(rows * zoom))
    left, top = (width - across) // 2, (height - down) // 2
    return picture.crop((left, top, left + across, top + down))


def sheet(pictures: list[tuple[str, Image.Image]], path: Path, columns: int = 3, shrink: float = 1.0) -> None:
    """Pictures with a line of text each, side by side."""
    width, height = (round(shrink * side) for side in pictures[0][1].size)
    rows = -(-len(pictures) // columns)
    whole = Image.new("RGB", (columns * (width + 8) - 8, rows * (height + 30)), (38, 41, 48))
    pen = ImageDraw.Draw(whole)
    for number, (text, picture) in enumerate(pictures):
        left, top = number % columns * (width + 8), number // columns * (height + 30)
        pen.text((left + 4, top + 6), f"{number + 1}  {text}", fill=(240, 241, 242), font_size=15)
        whole.paste(picture.resize((width, height)), (left, top + 28))  # docks may take some of the canvas
    whole.quantize(256, method=Image.Quantize.MEDIANCUT).save(path, optimize=True)
    print(path)


SCENES = (split, scribble, similar, walk, micrograph)


def main(folder: Path, names: list[str]) -> None:
    """Take the pictures of all scenes, or of those that are named."""
    folder.mkdir(parents=True, exist_ok=True)
    for scene in SCENES:
        if not names or scene.__name__ in names:
            scene(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images", sys.argv[2:])
