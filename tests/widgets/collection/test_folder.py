"""A folder of files: lazy stacks to look at, resumed and found again, one image at a time to edit."""

from __future__ import annotations

import shutil

import numpy as np
import tifffile
from PIL import Image

from napari_what_where.widgets.collection.pool import WORKING, suggested_working
from tests.widgets.collection.conftest import SIDE, halves


def test_images_of_two_sizes_are_leafed_through(driver, photographs):
    driver.choose_folder(photographs)
    driver.qtbot.waitUntil(lambda: driver.panel.inputs.listing.text() == "4 images", timeout=30_000)
    driver.run()
    pictures, labels = driver.layer("photographs"), driver.layer("kinds")
    assert driver.names() == ["photographs", "photographs eigenvectors (what)", "photographs kinds (what)"]
    pictures = driver.viewer.layers["photographs"]
    assert pictures.rgb
    assert pictures.data.shape == (4, SIDE + 6, SIDE + 14, 3)
    for layer in driver.viewer.layers:
        assert type(layer.data).__module__.startswith("dask")
    np.testing.assert_array_equal(np.asarray(pictures.data[1][:SIDE, : SIDE + 8]), halves(1, colour=True))
    shown = np.asarray(labels.data[1])
    assert (shown[SIDE:] == 0).all()
    assert (shown[:SIDE, : SIDE + 8] > 0).all()
    assert not labels.editable
    left = [np.bincount(np.asarray(labels.data[number])[:SIDE, :6].ravel()).argmax() for number in range(4)]
    assert len(set(left)) == 1
    assert f"Kept in {photographs / WORKING}" in driver.message
    axis = driver.viewer.dims.ndim - 3
    driver.viewer.dims.set_current_step(axis, 2)
    assert driver.panel.current.text() == "3 of 4: p2.png"
    driver.panel.edit.click()
    copy = driver.layer("p2.png")
    assert copy.data.shape == (1, SIDE + 6, SIDE + 14)
    np.testing.assert_array_equal(copy.data[0], np.asarray(labels.data[2]))
    copy.data_setitem((np.array([0]), np.array([1]), np.array([1])), 7)
    driver.panel.clusters.setValue(3)
    driver.run()
    assert copy.data[0, 1, 1] == 7
    assert driver.layer("photographs kinds") is labels
    assert int(np.asarray(labels.data).max()) == 3


def test_a_finished_run_is_found_again_in_another_window(driver, photographs, monkeypatch):
    driver.choose_folder(photographs)
    driver.run()
    labels = np.asarray(driver.layer("kinds").data)
    driver.viewer.layers.clear()
    from napari_what_where.activations.filters import FiltersBackbone

    monkeypatch.setattr(FiltersBackbone, "visit", lambda *args, **options: 1 / 0)
    driver.run()
    assert "Found again in" in driver.message
    np.testing.assert_array_equal(np.asarray(driver.layer("kinds").data), labels)


def test_a_folder_that_was_moved_is_found_again(driver, photographs, monkeypatch):
    driver.choose_folder(photographs)
    driver.run()
    moved = photographs.rename(photographs.parent / "elsewhere")
    from napari_what_where.activations.filters import FiltersBackbone

    monkeypatch.setattr(FiltersBackbone, "visit", lambda *args, **options: 1 / 0)
    driver.choose_folder(moved)
    driver.run()
    assert "Found again in" in driver.message


def test_layers_keep_what_they_show_when_other_images_are_analysed(driver, photographs, tmp_path):
    """One more file in the folder, and another folder whose results are kept in the same place."""
    driver.choose_folder(photographs)
    driver.run()
    first = driver.layer("kinds")
    before = np.asarray(first.data).copy()
    Image.fromarray(halves(9, colour=True)[::-1]).save(photographs / "a first one.png")
    driver.run()
    assert driver.layer("kinds") is not first
    assert len(driver.layer("kinds").data) == 5
    other = tmp_path / "other"
    other.mkdir()
    for number in range(4):
        Image.fromarray(halves(number + 1, colour=True)[:, ::-1]).save(other / f"p{number}.png")
    driver.choose_folder(other)
    driver.panel.inputs.kept.setText(str(photographs / WORKING))
    driver.run()
    assert driver.layer("kinds").data.shape[0] == 4
    np.testing.assert_array_equal(np.asarray(first.data), before)


def test_photographs_in_floats_are_shown_as_they_are(driver, tmp_path):
    for number in range(3):
        tifffile.imwrite(tmp_path / f"{number}.tif", halves(number, colour=True) / np.float32(255), photometric="rgb")
    driver.choose_folder(tmp_path)
    driver.run()
    picture = driver.viewer.layers[tmp_path.name]
    assert picture.rgb
    np.testing.assert_array_equal(np.asarray(picture.data[2]), halves(2, colour=True))


def test_files_of_two_depths_are_told(driver, tmp_path):
    for number in range(4):
        pixels = halves(number)
        tifffile.imwrite(tmp_path / f"{number}.tif", pixels if number < 2 else pixels.astype(np.uint16) * 256)
    driver.choose_folder(tmp_path)
    driver.run()
    assert "16 bits" in driver.message.split("2 kinds")[0]
    assert "2 kinds in 4 images" in driver.message


def test_a_cancelled_run_goes_on_where_it_was(driver, photographs, monkeypatch):
    from napari_what_where.activations.filters import FiltersBackbone

    seen, visit = [], FiltersBackbone.visit

    def counted(self, image, *args, **options):
        seen.append(image.shape)
        if len(seen) == 3:
            driver.dock.task.cancel()
        return visit(self, image, *args, **options)

    monkeypatch.setattr(FiltersBackbone, "visit", counted)
    driver.choose_folder(photographs)
    driver.run()
    assert "Cancelled; no layer was changed. Run goes on from here." in driver.message
    assert driver.names() == []
    driver.run()
    assert len(seen) <= 4 + 1  # those in flight were computed twice
    assert driver.message.startswith("2 kinds in 4 images")


def test_files_that_are_no_images_of_the_kind_are_listed(driver, photographs):
    (photographs / "p1.png").write_bytes(b"no image at all")
    tifffile.imwrite(photographs / "stack.tif", np.zeros((3, 20, 20), np.uint8), photometric="minisblack")
    tifffile.imwrite(photographs / "grey.tif", halves(0))
    driver.choose_folder(photographs)
    driver.run()
    assert "2 kinds in 3 images, 3 left out" in driver.message
    told = driver.panel.failures.text()
    for name, reason in (("p1.png", "no image"), ("stack.tif", "is a stack"), ("grey.tif", "8-bit colour")):
        assert any(line.startswith(name) and reason in line for line in told.splitlines())
    blank = [path.name for path in sorted(photographs.iterdir()) if path.is_file()].index("p1.png")
    driver.viewer.dims.set_current_step(driver.viewer.dims.ndim - 3, blank)
    driver.panel.edit.click()
    assert "left out" in driver.message


def test_grey_files_with_pixel_sizes_lie_where_they_should(driver, tmp_path):
    for number in range(3):
        tifffile.imwrite(
            tmp_path / f"{number}.tif", halves(number).astype(np.uint16), imagej=True, resolution=(2, 4),
            metadata={"unit": "um"},
        )  # fmt: skip
    driver.choose_folder(tmp_path)
    driver.run()
    picture, vectors = driver.viewer.layers[tmp_path.name], driver.layer("eigenvectors")
    np.testing.assert_allclose(picture.scale, (1, 0.25, 0.5))
    np.testing.assert_allclose(vectors.extent.world[:, -1], driver.layer("kinds").extent.world[:, -1])
    assert str(picture.units[-1]) == "micrometer"


def test_multichannel_files_are_a_layer_a_channel(driver, tmp_path):
    for number in range(3):
        pixels = np.stack([halves(number), halves(number + 1)]).astype(np.uint16)
        tifffile.imwrite(tmp_path / f"{number}.tif", pixels, metadata={"axes": "CYX"}, ome=True)
    driver.choose_folder(tmp_path)
    driver.run()
    second = driver.viewer.layers[f"{tmp_path.name} channel 1"]
    np.testing.assert_array_equal(np.asarray(second.data[2]), halves(3))


def test_wrong_folders_are_refused_in_words(driver, tmp_path):
    driver.panel.inputs.choose("folder")
    driver.run()
    assert "Choose a folder" in driver.message
    driver.panel.inputs.folder.setText(str(tmp_path))
    driver.run()
    assert "no images" in driver.message
    driver.panel.inputs.folder.setText(str(tmp_path / "nowhere"))
    driver.run()
    assert "nowhere" in driver.message
    assert driver.names() == []


def test_what_is_kept_lies_elsewhere_where_it_cannot_be_beside(tmp_path, monkeypatch):
    from napari_what_where.widgets.collection import pool

    assert suggested_working(tmp_path) == tmp_path / WORKING
    monkeypatch.setattr(pool, "_writable", lambda folder: False)
    assert tmp_path not in suggested_working(tmp_path).parents


def test_files_that_go_after_the_run_show_nothing(driver, photographs):
    driver.choose_folder(photographs)
    driver.run()
    shutil.rmtree(photographs)
    for number in range(4):
        driver.viewer.dims.set_current_step(driver.viewer.dims.ndim - 3, number)
    assert not np.asarray(driver.viewer.layers["photographs"].data[0]).any()


def test_a_folder_of_one_photograph(driver, tmp_path):
    Image.fromarray(halves(0, colour=True)).save(tmp_path / "only.png")
    driver.choose_folder(tmp_path)
    driver.run()
    assert driver.message.startswith("2 kinds in 1 image.")
