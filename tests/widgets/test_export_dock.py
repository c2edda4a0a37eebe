"""The Export dock in a real viewer, driven as a user drives it."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtWidgets import QMessageBox

from napari_what_where.files.many import planned_files
from napari_what_where.widgets.export import ExportDock
from napari_what_where.widgets.refine.target import HELPER
from tests.files.test_formats import read_coco, read_table, read_zarr

LABELS = np.zeros((20, 30), np.int32)
LABELS[2:8, 3:9] = 3
LABELS[4:6, 5:7] = 0
LABELS[10:18, 12:20] = 7
LABELS[12:14, 22:29] = 8


class Exporter:
    """A viewer, the dock, and what a user does with them."""

    def __init__(self, viewer, qtbot, folder):
        self.viewer, self.qtbot, self.folder = viewer, qtbot, folder
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Export labels")
        assert isinstance(self.dock, ExportDock)
        self.panel.folder.setText(str(folder))

    @property
    def panel(self):
        return self.dock.panel

    @property
    def message(self) -> str:
        return self.panel.message.text()

    def tick(self, *names: str) -> None:
        for name, box in self.panel.formats.items():
            box.setChecked(name in names)

    def export(self, *names: str) -> None:
        if names:
            self.tick(*names)
        self.panel.export.click()
        self.qtbot.waitUntil(lambda: self.dock.task is None, timeout=60_000)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir()) if self.folder.exists() else []


@pytest.fixture
def exporter(make_napari_viewer, qtbot, tmp_path):
    viewer = make_napari_viewer()
    viewer.add_image(np.arange(600.0).reshape(20, 30), name="dish", scale=(0.5, 0.5), units=("um", "um"))
    viewer.add_labels(LABELS, name="dish cells", scale=(0.5, 0.5), units=("um", "um"))
    return Exporter(viewer, qtbot, tmp_path / "out")


def test_a_layer_becomes_a_file_of_each_format_with_scale_and_image(exporter):
    assert exporter.panel.layer.currentText() == "dish cells"
    assert exporter.panel.image.currentText() == "dish"
    assert exporter.panel.scale.text() == "0.5 × 0.5 µm"
    names = list(exporter.panel.formats)
    exporter.export(*names)
    assert exporter.message.startswith("Wrote dish_cells.tif"), exporter.message
    assert exporter.names() == sorted(path.name for path in planned_files("", ["dish_cells"], names))
    np.testing.assert_array_equal(tifffile.imread(exporter.folder / "dish_cells.ome.tif"), LABELS)
    np.testing.assert_array_equal(read_coco(exporter.folder / "dish_cells_coco.json", LABELS.shape)[0][0], LABELS)
    row = read_table(exporter.folder / "dish_cells.csv")[7]
    assert float(row["area_um2"]) == 16
    assert float(row["mean_intensity"]) == np.arange(600).reshape(20, 30)[LABELS == 7].mean()
    np.testing.assert_array_equal(read_zarr(exporter.folder / "dish_cells.ome.zarr/0"), np.arange(600).reshape(20, 30))
    coloured = np.asarray(Image.open(exporter.folder / "dish_cells_colour.png"))
    expected = np.rint(255 * exporter.viewer.layers["dish cells"].get_color(7)[:3])
    assert (coloured[LABELS == 7] == expected).all()


def test_selected_labels_alone_are_written(exporter):
    layer = exporter.viewer.layers["dish cells"]
    for label in (3, 8):
        layer.selected_label = label
        exporter.panel.add_selected.click()
    assert exporter.panel.some_labels.isChecked()
    assert exporter.panel.labels.text() == "3, 8"
    exporter.export("tiff", "npy")
    written = np.load(exporter.folder / "dish_cells.npy")
    np.testing.assert_array_equal(written, np.where(LABELS == 7, 0, LABELS))
    np.testing.assert_array_equal(layer.data, LABELS)


def test_labels_that_are_none_are_said_and_nothing_is_written(exporter):
    exporter.panel.some_labels.setChecked(True)
    texts = {"3, x": "expected numbers and ranges", "": "expected numbers", "90-99": "no pixels of labels"}
    for text, says in texts.items():
        exporter.panel.labels.setText(text)
        exporter.export()
        assert says in exporter.message
    assert exporter.names() == []


def test_names_and_kinds_come_from_the_table_of_the_layer(exporter):
    table = {"index": [3, 7, 8], "name": ["ring", None, "bar"], "kind": [1, 2, 2]}
    exporter.viewer.layers["dish cells"].features = table
    exporter.export("csv", "geojson")
    rows = read_table(exporter.folder / "dish_cells.csv")
    assert [(row["name"], row["class"]) for row in rows.values()] == [
        ("ring", "kind 1"), ("", "kind 2"), ("bar", "kind 2")
    ]  # fmt: skip
    features = json.loads((exporter.folder / "dish_cells.geojson").read_text())["features"]
    assert [each["properties"]["name"] for each in features] == ["ring", "7", "bar"]


def test_all_layers_are_written_and_joined(exporter):
    exporter.viewer.add_labels(np.flip(LABELS), name="dish cells", scale=(0.5, 0.5), units=("um", "um"))
    exporter.viewer.add_labels(np.ones((4, 4), int), name="other")
    exporter.panel.every.click()
    assert exporter.panel.every.text() == "All Labels layers (3)"
    exporter.export("coco", "csv")
    assert "all_labels_coco.json" in exporter.names()
    assert len(exporter.names()) == 7
    data = json.loads((exporter.folder / "all_labels_coco.json").read_text())
    assert sorted(image["file_name"] for image in data["images"]) == ["dish", "other"]  # two layers are of one image


def test_layers_of_images_of_one_size_go_with_their_own(exporter):
    panel, viewer = exporter.panel, exporter.viewer
    place = {"scale": (0.5, 0.5), "units": ("um", "um")}
    viewer.add_image(np.ones((20, 30)), name="dish 1", **place)
    viewer.add_image(np.full((20, 30), 2.0), name="dish 10", **place)
    viewer.add_image(np.full((20, 30), 9.0), name="elsewhere", scale=(0.5, 0.5), translate=(0, 50), units=("um", "um"))
    for name in ("dish 10 cells", "dish 1 cells"):
        viewer.add_labels(LABELS, name=name, **place)
        assert panel.image.currentText() == name.removesuffix(" cells")
    viewer.add_labels(LABELS, name="more", **place)
    assert panel.image.currentText() == "dish 10"  # the nearest below that it lies in
    panel.every.click()
    exporter.export("coco", "csv")
    said = {"dish_cells": None, "dish_1_cells": 1, "dish_10_cells": 2, "more": 2}
    for stem, intensity in said.items():
        if intensity is not None:
            assert float(read_table(exporter.folder / f"{stem}.csv")[7]["mean_intensity"]) == intensity
    data = json.loads((exporter.folder / "all_labels_coco.json").read_text())
    assert sorted(image["file_name"] for image in data["images"]) == ["dish", "dish 1", "dish 10"]
    panel.this.click()
    panel.image.setCurrentIndex(panel.image.findText("dish"))
    panel.image.activated.emit(panel.image.currentIndex())
    viewer.layers.selection.active = viewer.layers["dish 1 cells"]
    assert panel.image.currentText() == "dish"  # picked by the user


def test_strokes_and_previews_are_not_exported(exporter):
    exporter.viewer.add_labels(LABELS, name="strokes", metadata={HELPER: "strokes"})
    assert exporter.panel.layer.currentText() == "dish cells"
    exporter.panel.every.click()
    exporter.export("npy")
    assert exporter.names() == ["dish_cells.npy"]


def test_layers_of_our_making_bring_their_record(exporter):
    exporter.viewer.layers["dish cells"].metadata["what-where"] = {"pathway": "what"}
    exporter.export("npy")
    record = json.loads((exporter.folder / "dish_cells.json").read_text())
    assert record == {"pathway": "what", "layer": "dish cells", "labels": "all", "files": ["dish_cells.npy"]}


def test_files_are_replaced_only_when_the_user_agrees(exporter, monkeypatch):
    exporter.export("npy")
    exporter.viewer.layers["dish cells"].data = LABELS * 2
    asked = []
    for answer, largest in ((QMessageBox.StandardButton.No, 8), (QMessageBox.StandardButton.Yes, 16)):
        monkeypatch.setattr(QMessageBox, "question", lambda *given, answer=answer: asked.append(given[-1]) or answer)
        exporter.export("npy", "tiff")
        assert "dish_cells.npy" in asked[-1]
        assert "dish_cells.tif" not in asked[-1]
        assert np.load(exporter.folder / "dish_cells.npy").max() == largest


def test_a_stack_is_said_to_be_one_and_png_is_not_offered(exporter):
    stack = np.stack([LABELS, np.flip(LABELS)])
    scale, units, axes = (60, 0.5, 0.5), ("second", "um", "um"), ("t", "y", "x")
    exporter.viewer.add_labels(stack, name="movie", scale=scale, units=units, axis_labels=axes)
    assert exporter.panel.layer.currentText() == "movie"
    assert exporter.panel.image.currentText() == "none"
    assert "A stack (2 along t)" in exporter.panel.stack.text()
    assert exporter.panel.scale.text() == "0.5 × 0.5 µm, t every 60 s"
    assert not exporter.panel.formats["png-colour"].isEnabled()
    exporter.export("csv", "tiff", "png")
    assert exporter.names() == ["movie.csv", "movie.tif"]
    with (exporter.folder / "movie.csv").open(newline="") as file:
        assert [(row["time"], row["label"]) for row in csv.DictReader(file)] == [
            (time, label) for time in "01" for label in "378"
        ]
    exporter.viewer.layers.selection.active = exporter.viewer.layers["dish cells"]
    assert exporter.panel.formats["png-colour"].isEnabled()


def test_axes_of_length_one_and_in_another_order_are_put_right(exporter):
    data = np.stack([LABELS, LABELS * 2, LABELS * 3])[:, None]
    exporter.viewer.add_labels(data, name="deep", axis_labels=("z", "t", "y", "x"))
    exporter.export("npy")
    np.testing.assert_array_equal(np.load(exporter.folder / "deep.npy"), data[:, 0])
    exporter.viewer.add_labels(data.repeat(2, axis=1), name="deeper", axis_labels=("z", "t", "y", "x"))
    exporter.export("npy")
    np.testing.assert_array_equal(np.load(exporter.folder / "deeper.npy"), data.repeat(2, axis=1).swapaxes(0, 1))


def test_labels_of_a_part_lie_where_they_do_in_the_image(exporter):
    part = LABELS[8:, 10:]
    layer = exporter.viewer.add_labels(part, name="part", scale=(0.5, 0.5), translate=(4, 5), units=("um", "um"))
    assert exporter.panel.image.currentText() == "dish"
    exporter.export("coco", "csv")
    back, data = read_coco(exporter.folder / "part_coco.json", LABELS.shape)
    np.testing.assert_array_equal(back[0][8:, 10:], part)
    assert (data["images"][0]["height"], data["images"][0]["file_name"]) == (20, "dish")
    assert float(read_table(exporter.folder / "part.csv")[7]["box_min_x_um"]) == 6
    layer.translate = (4.2, 5)
    assert exporter.panel.image.currentText() == "none"


def test_no_image_stays_none_until_one_is_chosen(exporter):
    exporter.panel.image.setCurrentIndex(0)
    exporter.panel.image.activated.emit(0)
    exporter.viewer.add_labels(LABELS, name="more", scale=(0.5, 0.5), units=("um", "um"))
    assert exporter.panel.image.currentText() == "none"
    exporter.export("csv")
    assert "mean_intensity" not in read_table(exporter.folder / "more.csv")[3]


def test_what_cannot_be_written_is_said_and_nothing_is_left(exporter):
    exporter.viewer.layers["dish cells"].data = LABELS * 100
    exporter.export("npy", "png-indexed")
    assert "largest label is 800" in exporter.message
    assert "Nothing was written" in exporter.message
    assert exporter.names() == []


def test_what_is_missing_is_said(exporter):
    exporter.tick()
    exporter.export()
    assert "Tick one or more formats" in exporter.message
    exporter.panel.folder.clear()
    exporter.export("tiff")
    assert "Choose the folder" in exporter.message


def test_without_labels_there_is_nothing_to_press(exporter):
    exporter.viewer.layers.remove("dish cells")
    assert not exporter.panel.export.isEnabled()
    exporter.viewer.add_labels(LABELS, name="again")
    assert exporter.panel.export.isEnabled()
    assert exporter.panel.name.text() == "again"


def test_cancelled_every_file_is_as_it_was(exporter, monkeypatch):
    from napari_what_where.files.formats import rings

    monkeypatch.setattr(rings, "_walks", _never_ending)
    exporter.tick("npy", "geojson")
    exporter.panel.export.click()
    assert not exporter.panel.cancel.isHidden()
    exporter.qtbot.waitUntil(lambda: exporter.dock.task.progress.stage == "writing geojson", timeout=10_000)
    exporter.panel.cancel.click()
    exporter.qtbot.waitUntil(lambda: exporter.dock.task is None, timeout=10_000)
    assert exporter.message == "Cancelled; every file is as it was."
    assert exporter.names() == []


def _never_ending(follower):
    import time

    from napari_what_where.progress import checkpoint

    while True:
        checkpoint()
        time.sleep(0.01)
    yield follower


def test_the_closed_dock_hears_nothing_more(exporter):
    exporter.viewer.window.remove_dock_widget(exporter.dock)
    exporter.viewer.add_labels(LABELS, name="later")
    exporter.viewer.layers["dish cells"].name = "other"
    assert exporter.panel.layer.currentText() == "dish cells"
