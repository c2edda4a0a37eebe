"""From a micrograph without labels to a finished mask in every format, each file read back by another program."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from label_readers import Colour, read_all
from PIL import Image
from refine_driving import back_and_forth, canvas, draw, press, select, sheet, wait
from windows import add_dock, open_window, settle, wait_for

from napari_what_where.files.formats.registry import LABEL_FORMATS

LOWER_GLAND = (
    *((190, 3), (152, 3), (171, 16), (191, 34), (209, 51), (225, 70), (330, 125)),
    *((440, 128), (490, 100), (330, 75), (250, 30), (200, 15)),
)
RIGHT_GLAND = ((8, 252), (60, 263), (130, 285), (210, 330), (280, 410), (180, 440), (5, 415), (5, 330), (120, 385))
"""Rows and columns along which two glands of the stained tissue are scribbled on, to part them from a third …"""
FIRST_GLAND = (
    *((138, 6), (163, 24), (183, 42), (201, 60), (210, 90), (245, 190)),
    *((190, 255), (130, 265), (70, 250), (20, 225), (5, 190)),
)
"""… and along the borders of this one."""
SMALL_GLAND = ((318, 285), (330, 322), (347, 358), (365, 364), (385, 368), (440, 375), (490, 355))
"""Within the rim of a fourth that stands alone, where some of it is missing …"""
AROUND_IT = (
    ((288, 290), (300, 322), (320, 347), (337, 378), (362, 388), (390, 392), (440, 396), (490, 384), (506, 378)),
    ((375, 238), (395, 242), (415, 244), (440, 252), (470, 270), (488, 286), (510, 291)),
)
"""… and outside of it."""
GLANDS = ((330, 125), (180, 440), (150, 120), (420, 320))
"""Row and column of a pixel of each."""
STROMA = (240, 300)
"""Row and column of what holds the glands."""
COLOURS = 61
"""Seed of the labels' colours: with napari's first ones a label is as brown as the stain."""


def micrograph(folder: Path) -> None:
    """A stained tissue: analysed, its glands told apart by hand, all undone and done again, written, and read back."""
    viewer = open_window()
    viewer.window.resize(1280, 900)
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
    start = dock.layer.data.copy()
    show(f"What & Where, Run: {start.max()} segments")
    scribble_on_glands(dock)
    show("Refine: lock the stroma, scribble on glands")
    press(dock, "accept")
    dock.actions.lock([int(dock.layer.data[STROMA])])  # free again
    select(dock, others_than_glands(dock))
    press(dock, "delete")
    show("Accept; select what is no gland, delete")
    scribble_on_the_small_one(dock)
    show("Strokes on a gland, and background around it")
    press(dock, "accept", "largest", "relabel")
    show("Accept, keep largest, relabel: finished")
    back_and_forth(dock, start, show)
    labels, files = dock.layer.data.copy(), export_all(exporter)
    readings = read_all(files, labels, colours_of(dock.layer))
    sheet(readings, folder / "export_readers.png", columns=4, numbered=False)
    for layer in viewer.layers[1:]:
        layer.visible = False
    viewer.open(files["tiff"], layer_type="labels", plugin="napari", name="read back", opacity=0.5)
    viewer.layers[-1].new_colormap(COLOURS)
    assert np.array_equal(viewer.layers[-1].data, labels)
    show(f"Export labels: {files['tiff'].name}, opened again")
    sheet(pictures, folder / "refine_micrograph.png", shrink=0.75)
    viewer.close()


def scribble_on_glands(dock: Any) -> None:
    """Tell three glands apart that were one segment; the stroma does not change."""
    first = int(dock.layer.data[GLANDS[2]])
    dock.actions.lock([int(dock.layer.data[STROMA])])
    press(dock, "scribble")
    for line in (LOWER_GLAND, RIGHT_GLAND):
        press(dock, "new_stroke")
        draw(dock, line)
    draw(dock, FIRST_GLAND, first)


def scribble_on_the_small_one(dock: Any) -> None:
    """Give a gland what it lacks of its rim, and take away what is beside it."""
    small = int(dock.layer.data[GLANDS[3]])
    press(dock, "scribble")
    draw(dock, SMALL_GLAND, small)
    press(dock, "background_stroke")
    for line in AROUND_IT:
        draw(dock, line)


def others_than_glands(dock: Any) -> list[int]:
    """What a user selects who looks at the picture: all labels but those of glands."""
    labels = dock.layer.data
    kept = {int(labels[at]) for at in GLANDS}
    return [int(label) for label in np.unique(labels) if label and int(label) not in kept]


def export_all(exporter: Any) -> dict[str, Path]:
    """Write the labels in every format with the Export dock; the file of each."""
    panel, folder = exporter.panel, Path(tempfile.mkdtemp())
    for box in panel.formats.values():
        box.setChecked(True)
    panel.folder.setText(str(folder))
    panel.name.setText("glands")
    panel.export.click()
    wait_for(exporter)
    print(panel.message.text())
    return {name: folder / f"glands{row.ending}" for name, row in LABEL_FORMATS.items()}


def colours_of(layer: Any) -> dict[int, Colour]:
    """The colours of the labels of a layer, 8 bits each."""
    found = {}
    for label in np.unique(layer.data[layer.data > 0]).tolist():
        red, green, blue = (round(255 * float(part)) for part in layer.get_color(label)[:3])
        found[label] = (red, green, blue)
    return found
