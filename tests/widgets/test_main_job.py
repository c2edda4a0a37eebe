"""From opening a sample to an exported mask that reads back identical."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox

from napari_what_where.widgets.results import METADATA_KEY


def test_open_sample_run_choose_segments_export_read_back(driver, qtbot, tmp_path, monkeypatch):
    driver.viewer.open_sample("napari-what-where", "coffee")
    qtbot.mouseClick(driver.panel.run, Qt.MouseButton.LeftButton)
    assert driver.panel.cancel.isEnabled()
    assert not driver.panel.run.isEnabled()
    driver.wait()
    assert driver.names() == [
        "coffee",
        "coffee eigenvectors (what)",
        "coffee composite (what)",
        "coffee segments (what)",
    ]
    driver.panel.segments.slider.setValue(driver.panel.segments.slider.maximum() // 3)
    segments = driver.segments
    shown = len(np.unique(segments.data))
    assert shown == driver.panel.segments.value > 1
    np.testing.assert_array_equal(segments.features["index"], np.arange(1, shown + 1))
    np.testing.assert_array_equal(segments.features["area"], np.bincount(segments.data.ravel())[1:])
    record = segments.metadata[METADATA_KEY]
    assert record["options"]["backbone"] == "filters"

    segments.data_setitem(np.nonzero(segments.data == 1), shown + 5)  # a correction by hand is exported too
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "coffee_labels.tif"), ""))
    qtbot.mouseClick(driver.panel.export, Qt.MouseButton.LeftButton)
    driver.wait()
    assert driver.message.startswith("Wrote coffee_labels.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "coffee_labels.tif"), segments.data)
    assert tifffile.imread(tmp_path / "coffee_eigenvectors.tif").shape == (16, 100, 150)
    written = json.loads((tmp_path / "coffee.json").read_text())
    assert written["options"] == record["options"]
    assert written["segments"]["edited"]


def test_png_reads_back_and_files_that_are_there_are_asked_about(driver, picture, tmp_path, monkeypatch):
    driver.viewer.add_image(picture, name="quarters")
    driver.run()
    (tmp_path / "quarters.json").write_text("somebody else's")
    asked = []

    def refuse(parent, title, text):
        asked.append(text)
        return QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", refuse)
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *a, **k: (str(tmp_path / "quarters_labels.png"), ""))
    driver.panel.export.click()
    assert "quarters.json" in asked[0]
    assert (tmp_path / "quarters.json").read_text() == "somebody else's"
    monkeypatch.setattr(QMessageBox, "question", lambda *a: QMessageBox.StandardButton.Yes)
    driver.panel.export.click()
    driver.wait()
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "quarters_labels.png")), driver.segments.data)


def test_the_name_that_was_chosen_is_the_name_that_is_written(driver, picture, tmp_path):
    driver.viewer.add_image(picture)
    driver.run()
    driver.dock.export(str(tmp_path / "mask.tiff"))
    driver.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mask.json", "mask.tiff", "mask_eigenvectors.tif"]
    assert json.loads((tmp_path / "mask.json").read_text())["segments"]["edited"] is False
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tiff"), driver.segments.data)


def test_an_export_that_fails_says_so(driver, picture, tmp_path):
    driver.viewer.add_image(picture)
    driver.run()
    (tmp_path / "file").write_text("in the way of a folder")
    driver.dock.export(str(tmp_path / "file" / "labels.tif"))
    assert not driver.panel.cancel.isEnabled()
    driver.wait()
    assert driver.message.startswith("The export failed: ")
    assert "Choose another name" in driver.message


def kinds_of_layer(picture, folder):
    """How each kind of layer gets into a viewer."""
    Image.fromarray(picture).save(folder / "quarters.png")
    grey = picture[..., 0]
    float_rgba = np.dstack([picture / 255, np.linspace(0.2, 1, 96)[None].repeat(64, axis=0)]).astype(np.float32)
    return {
        "file": lambda viewer: viewer.open(str(folder / "quarters.png")),
        "file, edited since": lambda viewer: viewer.open(str(folder / "quarters.png"))[0].data.__setitem__(0, 7),
        "stack": lambda viewer: viewer.add_image(np.stack([grey, picture[..., 1]]), name="stack"),
        "float RGBA": lambda viewer: viewer.add_image(float_rgba, rgb=True),
        "multiscale": lambda viewer: viewer.add_image([grey, grey[::2, ::2]], multiscale=True),
    }


@pytest.mark.parametrize("kind", ["file", "file, edited since", "stack", "float RGBA", "multiscale"])
def test_copy_as_python_gives_the_same_labels(driver, picture, tmp_path, kind):
    kinds_of_layer(picture, tmp_path)[kind](driver.viewer)
    driver.run()
    driver.panel.segments.spin.setValue(9)
    driver.panel.copy.click()
    script = QApplication.clipboard().text()
    assert ("imread" in script) == (kind == "file")
    scope = {"viewer": driver.viewer}
    exec(script, scope)
    np.testing.assert_array_equal(scope["labels"], np.squeeze(driver.segments.data))


def test_slider_auto_and_edges_update_the_same_layer(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    layer, names = driver.segments, driver.names()
    for count in (3, 30, 7):
        driver.panel.segments.spin.setValue(count)
        assert len(np.unique(layer.data)) == count
    driver.panel.auto.click()
    assert len(np.unique(layer.data)) == driver.dock.session.stack.auto_count
    driver.panel.edges.click()
    driver.wait()
    assert layer.metadata[METADATA_KEY]["options"]["follow_edges"] is False
    driver.panel.edges.click()
    driver.run()
    assert driver.names() == names
    assert driver.segments is layer


def test_the_four_quarters_are_found(driver, picture):
    driver.viewer.add_image(picture)
    driver.run()
    driver.panel.segments.spin.setValue(4)
    for quarter in (np.s_[:32, :48], np.s_[:32, 48:], np.s_[32:, :48], np.s_[32:, 48:]):
        counts = np.bincount(driver.segments.data[quarter].ravel())
        assert counts.max() / counts.sum() > 0.97


def test_a_number_chosen_for_one_image_is_not_taken_over_to_another(driver, picture):
    driver.viewer.add_image(picture, name="first")
    driver.run()
    driver.panel.segments.spin.setValue(33)
    driver.run()
    assert driver.panel.segments.value == 33
    driver.viewer.add_image(picture[:, ::-1], name="second")
    driver.run()
    assert driver.panel.segments.value == driver.dock.session.stack.auto_count != 33


def test_only_images_that_are_not_our_own_are_offered(driver, picture):
    layer = driver.viewer.add_image(picture, name="before")
    driver.viewer.add_labels(np.zeros((5, 5), int))
    driver.run()
    box = driver.panel.image
    assert [box.itemText(i) for i in range(box.count())] == ["before"]
    layer.name = "after"
    assert [box.itemText(i) for i in range(box.count())] == ["after"]
    driver.viewer.add_image(picture, name="second")
    assert box.currentText() == "second"


def test_pathways_that_filters_lacks_are_off_and_say_why(driver):
    assert driver.panel.pathways["what"].isChecked()
    for name in ("where", "both"):
        assert not driver.panel.pathways[name].isEnabled()
        assert "attention" in driver.panel.pathways[name].toolTip()
    assert "Where needs a model with attention" in driver.panel.pathway_hint.text()


def test_the_logarithmic_slider_covers_one_to_a_thousand(qtbot):
    from napari_what_where.widgets.controls import SegmentCount

    control = SegmentCount()
    qtbot.addWidget(control)
    control.set_most(5000)
    seen = []
    control.changed.connect(seen.append)
    for position in range(control.slider.maximum() + 1):
        control.slider.setValue(position)
    assert seen[0] == 2
    assert seen[-1] == 1000
    assert all(later > earlier for earlier, later in pairwise(seen))
    assert set(range(2, 13)) <= set(seen)
    control.spin.setValue(37)
    assert seen[-1] == 37
    control.set_value(12)
    assert seen[-1] == 37
    assert control.value == 12


def test_the_slider_rests_where_changes_take_long_and_then_tells_the_last(qtbot):
    from napari_what_where.widgets.controls import SegmentCount

    control = SegmentCount()
    qtbot.addWidget(control)
    seen = []
    control.changed.connect(seen.append)
    control.changed.connect(lambda count: control.rest_after(0.15))
    for count in (5, 6, 7, 8):
        control.spin.setValue(count)
    assert seen == [5]
    qtbot.waitUntil(lambda: seen == [5, 8], timeout=2_000)
