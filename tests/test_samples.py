"""The samples are there, are what their README says, and the synthetic one is what its script makes."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_what_where import samples

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", samples.sample_names())
def test_a_sample_loads_with_its_attributes(name):
    ((pixels, attributes, kind),) = samples.sample_layers(name)
    np.testing.assert_array_equal(pixels, samples.load_sample(name))
    spatial = pixels.ndim - attributes["rgb"]
    assert kind == "image"
    assert pixels.std() > 0
    assert len(attributes["axis_labels"]) == spatial
    assert len(attributes.get("scale", (1,) * spatial)) == spatial
    assert attributes["metadata"]["sample"] == name


def test_an_unknown_sample_is_refused():
    with pytest.raises(ValueError, match="no sample 'tea'; expected one of coffee"):
        samples.load_sample("tea")


def test_every_file_is_a_sample_and_stands_in_the_readme():
    folder = ROOT / "src/napari_what_where/sample_data"
    files = {path.name for path in folder.iterdir()} - {"README.md"}
    assert files == {sample.file for sample in samples.SAMPLES.values()}
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert all(f"`{file}`" in readme for file in files)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3e6


def test_the_time_series_is_what_its_script_makes():
    script = ROOT / "scripts/make_sample_stack.py"
    spec = importlib.util.spec_from_file_location("make_sample_stack", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made, shipped = module.make_stack(), samples.load_sample("dividing-cells")
    assert shipped.shape == (6, 192, 192)
    assert shipped.dtype == np.uint16
    np.testing.assert_allclose(made.astype(int), shipped.astype(int), atol=1)  # rounding differs between machines


def test_the_time_series_says_its_scale_as_the_layer_does():
    sample = samples.SAMPLES["dividing-cells"]
    with tifffile.TiffFile(ROOT / "src/napari_what_where/sample_data" / sample.file) as tiff:
        assert tiff.series[0].axes == "TYX"
        assert tiff.imagej_metadata["finterval"] == 60 * sample.pixel_size[0]
        pixels, per_unit = tiff.pages[0].tags["XResolution"].value
    assert per_unit / pixels == pytest.approx(sample.pixel_size[2])
