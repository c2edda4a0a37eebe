"""The What & Where dock's own Export: which formats its file dialog offers, and what a name means."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from qtpy.QtWidgets import QFileDialog

from napari_what_where.files import recovery
from napari_what_where.widgets.exporting import OFFERED, file_kinds, split_name
from tests.files.test_formats import read_table, read_zarr


@pytest.mark.parametrize(
    ("name", "file", "stem"),
    [
        ("out/coffee_labels.tif", "coffee_labels.tif", "coffee"),
        ("coffee_objects.ome.tif", "coffee_objects.ome.tif", "coffee"),
        ("coffee.v2", "coffee.v2.tif", "coffee.v2"),
        ("coffee_labels.OME.ZARR", "coffee_labels.OME.ZARR", "coffee"),
        ("coffee.json", "coffee.json.tif", "coffee.json"),  # the record has that name
    ],
)
def test_a_name_says_the_format_and_what_its_companions_are_called(name, file, stem):
    path, found = split_name(name)
    assert (path.name, path.parent, found) == (file, Path(name).parent, stem)


def test_the_dialog_offers_what_holds_the_labels():
    flat, stacks = file_kinds(stacks=False), file_kinds(stacks=True)
    assert list(flat)[:2] == ["TIFF (*.tif *.tiff)", "PNG (*.png)"]
    assert len(flat) == len(OFFERED)
    assert set(flat) - set(stacks) == {"PNG (*.png)"}


def test_a_kind_that_is_chosen_without_a_suffix_is_written(driver, picture, tmp_path, monkeypatch):
    driver.viewer.add_image(picture, name="quarters")
    driver.run()
    chosen = str(tmp_path / "quarters_labels"), "OME-Zarr (*.ome.zarr *.zarr)"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: chosen)
    driver.panel.export.click()
    driver.wait()
    assert driver.message.startswith("Wrote quarters_labels.ome.zarr, quarters_eigenvectors.tif, quarters.json")
    (name,) = json.loads((tmp_path / "quarters_labels.ome.zarr/labels/.zattrs").read_text())["labels"]
    written = read_zarr(tmp_path / f"quarters_labels.ome.zarr/labels/{name}/0")
    np.testing.assert_array_equal(written, driver.segments.data)


@pytest.mark.parametrize("name", ["part_labels.geojson", "part_labels.csv"])
def test_labels_of_a_part_lie_where_the_part_does(driver, picture, tmp_path, name):
    driver.viewer.add_image(np.kron(picture[..., 0], np.ones((4, 4), np.uint8)), name="large")
    driver.viewer.add_shapes(np.array([(20, 40), (20, 149), (99, 149), (99, 40)]), shape_type="polygon")
    inputs = driver.panel.inputs
    inputs.part.setCurrentIndex(inputs.part.findData("shape"))
    driver.run()
    driver.dock.export(str(tmp_path / name))
    driver.wait()
    if name.endswith("csv"):
        rows = read_table(tmp_path / name).values()
        lows = [(float(row["box_min_y_px"]), float(row["box_min_x_px"])) for row in rows]
        assert np.min(lows, axis=0).tolist() == [20, 40]
        return
    features = json.loads((tmp_path / name).read_text())["features"]
    bounds = np.array([shapely.geometry.shape(each["geometry"]).bounds for each in features])
    assert (*bounds[:, :2].min(axis=0), *bounds[:, 2:].max(axis=0)) == (40, 20, 150, 100)


def test_edits_that_the_other_dock_wrote_need_not_be_kept(driver, picture, tmp_path, monkeypatch):
    monkeypatch.setenv(recovery.FOLDER_VARIABLE, str(tmp_path / "kept"))
    viewer, autosaver = driver.viewer, driver.dock.keeper.autosaver
    viewer.add_image(picture, name="quarters")
    driver.run()
    driver.segments.paint((10, 10), 77)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Export labels")
    for format, left in {"csv": 1, "npy": 0}.items():
        dock.panel.folder.setText(str(tmp_path / format))
        for name, box in dock.panel.formats.items():
            box.setChecked(name == format)
        dock.panel.export.click()
        driver.qtbot.waitUntil(lambda: dock.task is None, timeout=60_000)
        autosaver.flush()
        assert len(list(autosaver.session.glob("*.npz"))) == left, dock.panel.message.text()
