"""``what-where segment --format``: every format end to end, for many images, stacks and parts of images."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_what_where import cli
from napari_what_where.files.export import output_paths
from napari_what_where.files.formats.registry import LABEL_FORMATS
from tests.files.test_formats import read_coco, read_table, read_zarr
from tests.images import scene


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    """Two small images that differ."""
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    for path, turned in zip(paths, (False, True), strict=True):
        Image.fromarray(scene()[:, ::-1] if turned else scene()).save(path)
    return paths


def segment(*arguments: object) -> int:
    return cli.main(["segment", "--count", "4", "--segments", "5", *map(str, arguments)])


def test_every_format_in_one_run_each_as_the_labels_are(pictures, tmp_path):
    out, names = tmp_path / "out", ",".join(LABEL_FORMATS)
    assert segment(*pictures, "--objects", "--out", out, "--format", names) == 0
    written = {path.name for stem in "ab" for path in output_paths(out, stem, names, objects=True)}
    joined = {f"{mask}_{kind}.json" for mask in ("labels", "objects") for kind in ("coco", "coco_polygons")}
    assert {path.name for path in out.iterdir()} == written | joined
    for stem, mask in (("a", "labels"), ("b", "labels"), ("a", "objects")):
        labels = tifffile.imread(out / f"{stem}_{mask}.tif")
        np.testing.assert_array_equal(read_coco(out / f"{stem}_{mask}_coco.json", labels.shape)[0][0], labels)
        np.testing.assert_array_equal(read_zarr(out / f"{stem}_{mask}.ome.zarr/labels/{stem}_{mask}/0"), labels)
        np.testing.assert_array_equal(
            read_zarr(out / f"{stem}_{mask}.ome.zarr/0"), np.array(Image.open(f"{tmp_path}/{stem}.png"))
        )
        table = read_table(out / f"{stem}_{mask}.csv")
        assert {label: float(row["area_px2"]) for label, row in table.items()} == {
            int(label): (labels == label).sum() for label in np.unique(labels[labels > 0])
        }
        assert all(row["class"].startswith("kind ") for row in table.values())
        assert all("mean_intensity" in row for row in table.values())
    together, data = read_coco(out / "labels_coco_polygons.json", (24, 32))
    for plane, stem in zip(together, "ab", strict=True):
        np.testing.assert_array_equal(plane, tifffile.imread(out / f"{stem}_labels.tif"))
    assert [image["file_name"] for image in data["images"]] == ["a.png", "b.png"]


def test_resumed_nothing_is_done_again_and_all_images_are_joined(pictures, tmp_path, capsys):
    out, options = tmp_path / "out", ("--format", "coco,csv,ome-zarr", "--resume")
    assert segment(pictures[0], "--out", out, *options) == 0
    assert not (out / "labels_coco.json").exists()  # of one image it would say the same again
    capsys.readouterr()
    assert segment(*pictures, "--out", out, *options) == 0
    said = capsys.readouterr().out.splitlines()
    assert ["done before" in line for line in said] == [True, False]
    assert len(json.loads((out / "labels_coco.json").read_text())["images"]) == 2
    assert segment(*pictures, "--out", out, *options) == 0
    assert capsys.readouterr().out.count("done before") == 2
    (out / "a_labels.ome.zarr").rename(out / "gone")
    assert segment(*pictures, "--out", out, *options) == 0
    assert capsys.readouterr().out.count("done before") == 1


def test_replaced_results_leave_nothing_behind(pictures, tmp_path):
    out = tmp_path / "out"
    for count in (5, 3):
        assert segment(pictures[0], "--out", out, "--format", "ome-zarr,coco", "--segments", count) == 0
    assert {path.name for path in out.iterdir()} == {path.name for path in output_paths(out, "a", "ome-zarr,coco")}
    assert read_zarr(out / "a_labels.ome.zarr/labels/a_labels/0").max() == 3


def test_a_stack_in_formats_that_hold_one(tmp_path):
    tifffile.imwrite(tmp_path / "z.tif", np.stack([scene(), scene()[::-1]]), imagej=True, metadata={"axes": "ZYX"})
    names = ",".join(name for name, row in LABEL_FORMATS.items() if row.stacks)
    assert segment(tmp_path / "z.tif", "--planes", 0, "--objects", "--out", tmp_path / "out", "--format", names) == 0
    for mask in ("labels", "objects"):
        labels = tifffile.imread(tmp_path / f"out/z_{mask}.tif")
        np.testing.assert_array_equal(read_coco(tmp_path / f"out/z_{mask}_coco.json", labels.shape[1:])[0], labels)
        np.testing.assert_array_equal(np.load(tmp_path / f"out/z_{mask}.npy"), labels)
        with (tmp_path / f"out/z_{mask}.csv").open(newline="") as file:
            assert sum(float(row["volume_px3"]) for row in csv.DictReader(file)) == (labels > 0).sum()


@pytest.mark.parametrize("name", [name for name, row in LABEL_FORMATS.items() if not row.stacks])
def test_a_stack_in_a_format_that_holds_none_is_wrong_usage(capsys, name):
    with pytest.raises(SystemExit) as ended:
        segment("z.tif", "--planes", 0, "--out", "x", "--format", f"tiff,{name}")
    assert ended.value.code == 2
    assert f"{name}: a PNG holds one plane" in capsys.readouterr().err
    assert not Path("x").exists()


def test_outlines_of_a_part_lie_where_it_does_in_the_image(pictures, tmp_path):
    out = tmp_path / "out"
    within = "--within=4,8;4,25;20,25;20,8"
    assert segment(pictures[0], within, "--out", out, "--format", "coco,tiff,geojson,csv") == 0
    labels, full = tifffile.imread(out / "a_labels.tif"), np.zeros((24, 32), int)
    full[4:21, 8:26] = labels
    np.testing.assert_array_equal(read_coco(out / "a_labels_coco.json", full.shape)[0][0], full)
    boxes = read_table(out / "a_labels.csv").values()
    assert min(float(row["box_min_x_px"]) for row in boxes) == 8


def test_a_folder_of_someone_else_is_one_complaint(pictures, tmp_path, capsys):
    theirs = tmp_path / "out/a_labels.ome.zarr"
    theirs.mkdir(parents=True)
    assert segment(*pictures, "--out", tmp_path / "out", "--format", "ome-zarr") == 1
    (complaint,) = capsys.readouterr().err.splitlines()
    assert "was not exported from here" in complaint
    assert (tmp_path / "out/b_labels.ome.zarr/.zattrs").exists()
    assert list(theirs.iterdir()) == []
