"""Samples open, and labels are written, through napari itself."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from napari_what_where.samples import SAMPLES, load_sample

PLUGIN = "napari-what-where"


@pytest.mark.parametrize("key", SAMPLES)
def test_a_sample_opens_in_napari(make_napari_viewer, key):
    viewer = make_napari_viewer()
    (layer,) = viewer.open_sample(PLUGIN, key)
    np.testing.assert_array_equal(layer.data, load_sample(key))
    assert layer.name == key
    assert tuple(layer.axis_labels) == SAMPLES[key].axes
    assert tuple(layer.scale) == (SAMPLES[key].pixel_size or (1, 1))
    assert [str(unit) for unit in layer.units] == list(SAMPLES[key].units or ("pixel", "pixel"))


def test_a_labels_layer_is_saved_with_its_scale_and_its_large_labels(make_napari_viewer, tmp_path):
    viewer = make_napari_viewer()
    labels = np.zeros((40, 50), np.int32)
    labels[10:20, 10:20] = 70_000
    layer = viewer.add_labels(labels, scale=(0.5, 0.25), units=("micrometer", "micrometer"))
    (path,) = viewer.layers.save(str(tmp_path / "labels.tif"), plugin=PLUGIN)
    with tifffile.TiffFile(path) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), layer.data)
        assert tiff.imagej_metadata["unit"] == "um"
        assert np.divide(*tiff.pages[0].tags["XResolution"].value) == pytest.approx(4)


def test_the_dock_is_in_the_menu_of_segmentation():
    from npe2 import PluginManager

    menu = PluginManager.instance().iter_menu("napari/layers/segment")
    assert "napari-what-where.dock" in [item.command for item in menu if hasattr(item, "command")]
