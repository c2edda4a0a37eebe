"""Each format holds what it was given, as an independent reader finds it."""

from __future__ import annotations

import ast
import csv
import io
import json
import struct
import warnings
import zipfile
from pathlib import Path

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import imagecodecs
import numpy as np
import ome_types
import pytest
import roifile
import shapely
from hypothesis import given, settings
from PIL import Image
from read_roi import read_roi_zip

from napari_what_where.files import export
from napari_what_where.files.formats import coco
from napari_what_where.files.formats.registry import LABEL_FORMATS, check_stacks, format_of
from napari_what_where.files.formats.types import LabelImage

STACKS = [name for name, row in LABEL_FORMATS.items() if row.stacks]
IDS = st.sampled_from([0, 0, 1, 2, 7, 250])
PLANES = arrays.arrays(np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=IDS)
VOLUMES = arrays.arrays(np.int32, arrays.array_shapes(min_dims=3, max_dims=3, max_side=5), elements=IDS)
few = settings(max_examples=25)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("formats")


def write(folder: Path, labels: np.ndarray, format: str, **known) -> Path:
    return export.write_labels(folder / f"a_{format}", labels, format=format, **known)


def ring_of_cells() -> np.ndarray:
    """A ring with two holes, one of which touches its outline in a corner, a cell within, a part apart, one pixel."""
    labels = np.zeros((9, 14), np.int32)
    labels[1:8, 1:9] = 3
    labels[2:4, 2:4] = 0
    labels[5:7, 5:8] = 0
    labels[5, 6] = 40
    labels[7, 8] = labels[6, 8] = labels[7, 7] = 0
    labels[6, 7] = 3
    labels[2:5, 11:13] = 3
    labels[8, 13] = 1000
    return labels


# --------------------------------------------------------------------------------------------------------------- images


@few
@given(labels=PLANES | VOLUMES)
def test_ome_tiff_is_valid_and_reads_back_with_pillow(folder, labels):
    path = write(folder, labels, "ome-tiff", pixel_size=0.5, units="micrometer")
    with Image.open(path) as image:
        planes = []
        for index in range(image.n_frames):
            image.seek(index)
            planes.append(np.array(image))
    np.testing.assert_array_equal(np.stack(planes).reshape(labels.shape), labels)
    pixels = ome_types.from_tiff(path, validate=True).images[0].pixels
    assert (pixels.size_z, pixels.size_y, pixels.size_x) == (labels.shape if labels.ndim == 3 else (1, *labels.shape))


def test_ome_tiff_says_scale_names_and_classes(folder):
    known = {"names": {3: "ring"}, "classes": {3: "kind 1", 40: "kind 2"}, "name": "cells"}
    labels = np.stack([ring_of_cells()] * 2)
    path = write(folder, labels, "ome-tiff", pixel_size=(2, 0.5, 0.25), units=("um",) * 3, **known)
    ome = ome_types.from_tiff(path)
    image = ome.images[0]
    assert image.name == "cells"
    assert image.pixels.type.value == "uint16"
    sizes = (image.pixels.physical_size_z, image.pixels.physical_size_y, image.pixels.physical_size_x)
    assert sizes == (2, 0.5, 0.25)
    assert image.pixels.physical_size_x_unit.value == "µm"
    assert dict(ome.structured_annotations[0].value) == {"3": "ring, kind 1", "40": "kind 2"}
    assert export.write_labels(folder / "b", labels * 2**20, format="ome-tiff").name == "b.ome.tif"


@few
@given(labels=PLANES)
def test_an_indexed_png_has_labels_as_indices_and_their_colours(folder, labels):
    path = write(folder, labels, "png-indexed", colours={1: (9, 8, 7)})
    with Image.open(path) as image:
        assert image.mode == "P"
        np.testing.assert_array_equal(np.asarray(image), labels)
    shown = imagecodecs.png_decode(path.read_bytes())[..., :3]
    assert (shown[labels == 1] == (9, 8, 7)).all()
    assert (shown[labels == 0] == 0).all()


@few
@given(labels=PLANES)
def test_a_grey_png_reads_back_with_libpng(folder, labels):
    np.testing.assert_array_equal(imagecodecs.png_decode(write(folder, labels, "png").read_bytes()), labels)


@few
@given(labels=PLANES)
def test_a_colour_png_shows_each_label_in_its_colour(folder, labels):
    colours = {1: (255, 0, 0), 2: (0, 255, 0), 7: (0, 0, 255), 250: (1, 2, 3)}
    shown = imagecodecs.png_decode(write(folder, labels, "png-colour", colours=colours).read_bytes())
    expected = np.array([{0: (0, 0, 0), **colours}[label] for label in labels.ravel().tolist()])
    np.testing.assert_array_equal(shown, expected.reshape(*labels.shape, 3))


@few
@given(labels=PLANES | VOLUMES)
def test_npy_is_the_array_itself(folder, labels):
    data = write(folder, labels, "npy").read_bytes()
    assert data[:8] == b"\x93NUMPY\x01\x00"  # its format's own description, read by hand
    (length,) = struct.unpack("<H", data[8:10])
    header = ast.literal_eval(data[10 : 10 + length].decode())
    back = np.frombuffer(data[10 + length :], header["descr"]).reshape(header["shape"])
    assert back.dtype == labels.dtype
    np.testing.assert_array_equal(back, labels)


# ------------------------------------------------------------------------------------------------------------- OME-Zarr


def read_zarr(path: Path) -> np.ndarray:
    import tensorstore

    store = {"driver": "file", "path": str(path)}
    return tensorstore.open({"driver": "zarr", "kvstore": store}, read=True).result().read().result()


@few
@given(labels=PLANES | VOLUMES)
def test_ome_zarr_reads_back_with_tensorstore(folder, labels):
    path = write(folder, labels, "ome-zarr", name="cells")
    group = json.loads((path / "labels" / ".zattrs").read_text())
    assert group == {"labels": ["cells"]}
    described = json.loads((path / "labels" / "cells" / ".zattrs").read_text())
    (scales,) = described["multiscales"]
    assert scales["version"] == described["image-label"]["version"] == "0.4"
    np.testing.assert_array_equal(read_zarr(path / "labels" / "cells" / scales["datasets"][0]["path"]), labels)
    shown = json.loads((path / ".zattrs").read_text())["multiscales"][0]["datasets"][0]["path"]
    np.testing.assert_array_equal(read_zarr(path / shown), labels)
    known = [each["label-value"] for each in described["image-label"].get("colors", [])]
    assert known == [label for label in np.unique(labels).tolist() if label]


def test_ome_zarr_has_a_pyramid_with_its_scale_beside_the_image(folder, rng):
    labels = rng.integers(0, 9, (3, 20, 1100))
    image = rng.random((3, 20, 1100, 2)).astype(np.float32)
    known = {"name": "cells", "image": image, "names": {4: "nucleus"}, "offset": (5, 0)}
    path = write(
        folder, labels, "ome-zarr", pixel_size=(2, 0.5, 0.5), units=("second", "um", "um"), axes="TYX", **known
    )
    assert [len(read_zarr(path / "labels/cells" / level)[0, 0]) for level in "012"] == [1100, 550, 275]
    np.testing.assert_array_equal(read_zarr(path / "0"), np.moveaxis(image, -1, 1))
    (shown,) = json.loads((path / ".zattrs").read_text())["multiscales"]
    assert [axis["name"] for axis in shown["axes"]] == ["t", "c", "y", "x"]
    described = json.loads((path / "labels/cells/.zattrs").read_text())
    (scales,) = described["multiscales"]
    assert scales["axes"] == [
        {"name": "t", "type": "time", "unit": "second"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    assert scales["datasets"][1]["coordinateTransformations"] == [
        {"type": "scale", "scale": [2, 1, 1]},
        {"type": "translation", "translation": [0, 2.5, 0]},
    ]
    assert described["image-label"]["properties"][3] == {"label-value": 4, "name": "nucleus"}


def test_ome_zarr_reads_back_with_its_own_package(folder):
    pytest.importorskip("ome_zarr", reason="its older pydantic does not go with the others' here")
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Reader

    labels = ring_of_cells()
    nodes = list(Reader(parse_url(str(write(folder, labels, "ome-zarr"))))())
    np.testing.assert_array_equal(np.asarray(nodes[-1].data[0]), labels)


def test_a_zarr_folder_of_others_is_never_replaced(folder):
    labels = ring_of_cells()
    path = write(folder, labels, "ome-zarr")
    assert write(folder, labels + 1, "ome-zarr") == path  # our own is
    np.testing.assert_array_equal(read_zarr(path / "labels/labels/0"), labels + 1)
    theirs = folder / "theirs.ome.zarr"
    theirs.mkdir()
    (theirs / ".zattrs").write_text("{}")
    with pytest.raises(ValueError, match="not exported from here"):
        export.write_labels(theirs, labels)
    assert [each.name for each in theirs.iterdir()] == [".zattrs"]


# ----------------------------------------------------------------------------------------------------------------- COCO


def read_coco(path: Path, shape: tuple[int, int]) -> tuple[np.ndarray, dict]:
    """Labels of every image as pycocotools has them, and its data set."""
    from contextlib import redirect_stdout

    from pycocotools.coco import COCO

    with redirect_stdout(io.StringIO()):
        data = COCO(str(path))
    labels = np.zeros((len(data.imgs), *shape), np.int64)
    for annotation in data.loadAnns(data.getAnnIds()):
        mask = data.annToMask(annotation).astype(bool)
        rows, columns = np.nonzero(mask)
        assert annotation["area"] == mask.sum()
        x, y, width, height = annotation["bbox"]
        assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert annotation["category_id"] in data.cats
        plane = labels[annotation["image_id"] - 1]
        assert not plane[mask].any()
        plane[mask] = annotation["label"]
    return labels, data.dataset


@pytest.mark.parametrize("format", ["coco", "coco-polygons"])
@few
@given(labels=PLANES | VOLUMES)
def test_coco_masks_are_the_labels_to_the_pixel(folder, format, labels):
    back, _ = read_coco(write(folder, labels, format), labels.shape[-2:])
    np.testing.assert_array_equal(back.reshape(labels.shape), labels)


@few
@given(labels=PLANES)
def test_coco_runs_are_those_of_pycocotools(folder, labels):
    import pycocotools.mask

    for each in json.loads(write(folder, labels, "coco").read_text())["annotations"]:
        mask = np.asfortranarray(labels == each["label"]).astype(np.uint8)
        assert each["segmentation"]["counts"] == pycocotools.mask.encode(mask)["counts"].decode()


@pytest.mark.parametrize("format", ["coco", "coco-polygons"])
def test_coco_lies_where_the_window_does_and_has_categories(folder, format):
    labels, full = ring_of_cells(), np.zeros((20, 30), np.int64)
    full[4:13, 9:23] = labels
    known = {"classes": {3: "ring", 40: "cell"}, "names": {40: "the one"}, "image_name": "dir/dish.png"}
    path = write(folder, labels, format, offset=(4, 9), image_shape=(20, 30), **known)
    back, data = read_coco(path, full.shape)
    np.testing.assert_array_equal(back[0], full)
    assert data["images"] == [{"id": 1, "file_name": "dish.png", "height": 20, "width": 30}]
    assert [each["name"] for each in data["categories"]] == ["cell", "object", "ring"]
    assert {each["label"]: (each["category_id"], each.get("name")) for each in data["annotations"]} == {
        3: (3, None),
        40: (1, "the one"),
        1000: (2, None),
    }


def test_several_images_are_one_coco_file(folder):
    first, second = ring_of_cells(), np.flip(ring_of_cells())
    images = [LabelImage(first, image_name="a.png"), LabelImage(second, image_name="b.png", classes={3: "ring"})]
    coco.write_data_set(folder / "all.json", images)
    back, data = read_coco(folder / "all.json", first.shape)
    np.testing.assert_array_equal(back, [first, second])
    assert [(each["id"], each["file_name"]) for each in data["images"]] == [(1, "a.png"), (2, "b.png")]
    assert len({each["id"] for each in data["annotations"]}) == len(data["annotations"]) == 6
    assert {each["name"] for each in data["categories"]} == {"object", "ring"}
    same = coco.merge([coco.describe(images[0], polygons=False)] * 2, name="x")
    assert len(same["images"]) == 1
    apart = coco.merge([coco.describe(images[0], polygons=False)] * 2, name="x", apart=True)
    assert len(apart["images"]) == 2


def test_folders_tell_images_of_one_name_apart():
    paths = [Path("x/a/img.png"), Path("x/b/img.png"), Path("x/img.png"), Path("y/other.png"), Path("x/b/img.png")]
    assert coco.telling_folders(paths) == ["a", "b", "", "", "b"]


# ------------------------------------------------------------------------------------------------------ QuPath, ImageJ


def filled(shape: tuple[int, int], geometry) -> np.ndarray:
    """The pixels whose centres lie in a geometry."""
    rows, columns = np.indices(shape)
    return shapely.contains_xy(geometry, columns + 0.5, rows + 0.5)


@few
@given(labels=PLANES)
def test_geojson_reads_back_with_shapely(folder, labels):
    back = np.zeros_like(labels)
    for feature in json.loads(write(folder, labels, "geojson").read_text())["features"]:
        shape = shapely.geometry.shape(feature["geometry"])
        assert shape.is_valid
        label = int(feature["properties"]["measurements"]["Label"])
        assert shape.area == (labels == label).sum() == feature["properties"]["measurements"]["Area px^2"]
        back[filled(labels.shape, shape)] = label
    np.testing.assert_array_equal(back, labels)


def test_geojson_is_what_qupath_expects(folder):
    labels = np.stack([ring_of_cells()] * 2)
    known = {"names": {3: "ring"}, "classes": {3: "Tumor"}, "colours": {3: (1, 2, 3)}, "offset": (100, 50)}
    path = write(folder, labels, "geojson", pixel_size=(1, 0.5, 0.5), units=("um",) * 3, **known)
    collection = json.loads(path.read_text())
    assert collection["type"] == "FeatureCollection"
    ring = next(each for each in collection["features"] if each["properties"]["name"] == "ring")
    assert ring["geometry"]["type"] == "MultiPolygon"
    assert ring["geometry"]["plane"] == {"c": -1, "z": 0, "t": 0}
    assert ring["properties"]["objectType"] == "annotation"
    assert ring["properties"]["classification"] == {"name": "Tumor", "color": [1, 2, 3]}
    assert ring["properties"]["measurements"]["Area µm^2"] == (labels[0] == 3).sum() / 4
    assert shapely.geometry.shape(ring["geometry"]).bounds == (51, 101, 63, 108)
    assert [each["geometry"]["plane"]["z"] for each in collection["features"]] == [0, 0, 0, 1, 1, 1]
    assert "classification" not in collection["features"][1]["properties"]


def outline_of(roi: roifile.ImagejRoi):
    """As ImageJ fills it: what an odd number of its rings surround."""
    rings = [roi.coordinates()] if roi.multi_coordinates is None else roi.path2coords(roi.multi_coordinates)
    return [shapely.Polygon(ring) for ring in rings]


@few
@given(labels=PLANES | VOLUMES)
def test_imagej_rois_read_back(folder, labels):
    path = write(folder, labels, "imagej-roi")
    back = np.zeros_like(labels)
    stack = back if labels.ndim == 3 else back[None]
    for roi in roifile.roiread(path) if zipfile.ZipFile(path).namelist() else []:
        label = int(roi.props.removeprefix("label: "))
        assert int(roi.name) == label
        inside = sum(filled(stack.shape[1:], ring).astype(int) for ring in outline_of(roi)) % 2
        stack[max(roi.position - 1, 0)][inside == 1] = label
    np.testing.assert_array_equal(back, labels)


@few
@given(labels=PLANES)
def test_imagej_rois_of_one_part_read_back_with_another_reader(folder, labels):
    """Which knows polygons, not composites."""
    path = write(folder, labels, "imagej-roi")
    if not zipfile.ZipFile(path).namelist():
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = read_roi_zip(str(path))
    assert len(found) == len(set(labels.ravel().tolist()) - {0})
    for name, roi in found.items():
        if roi["type"] == "traced":
            ring = shapely.Polygon(list(zip(roi["x"], roi["y"], strict=True)))
            np.testing.assert_array_equal(filled(labels.shape, ring), labels == int(name))


def test_imagej_rois_have_names_colours_and_places(folder):
    labels = np.stack([[ring_of_cells()] * 3] * 2)
    path = write(folder, labels, "imagej-roi", names={40: "cell"}, colours={40: (1, 2, 3)})
    rois = roifile.roiread(path)
    places = {(roi.t_position, roi.z_position) for roi in rois}
    assert places == {(time, depth) for time in (1, 2) for depth in (1, 2, 3)}
    cell = next(roi for roi in rois if roi.name == "0040 cell")
    assert cell.stroke_color == bytes([255, 1, 2, 3])
    assert len(zipfile.ZipFile(path).namelist()) == len(set(zipfile.ZipFile(path).namelist())) == 18


# ------------------------------------------------------------------------------------------------------------------ CSV


def read_table(path: Path) -> dict[int, dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["label"]): row for row in csv.DictReader(file)}


@few
@given(labels=PLANES)
def test_the_table_has_a_row_for_every_label_with_its_area_and_place(folder, labels):
    image = np.arange(labels.size, dtype=float).reshape(labels.shape)
    path = write(folder, labels, "csv", pixel_size=0.5, units="micrometer", image=image)
    table = read_table(path)
    assert list(table) == [label for label in np.unique(labels).tolist() if label]
    for label, row in table.items():
        rows, columns = np.nonzero(labels == label)
        assert float(row["area_um2"]) == pytest.approx(len(rows) / 4)
        centre = float(row["centroid_y_um"]), float(row["centroid_x_um"])
        assert centre == pytest.approx((rows.mean() / 2, columns.mean() / 2))
        assert float(row["box_min_x_um"]) == columns.min() / 2
        assert float(row["box_max_y_um"]) == (rows.max() + 1) / 2
        assert float(row["mean_intensity"]) == pytest.approx(image[labels == label].mean())


def test_a_disc_is_measured_in_its_unit(folder):
    rows, columns = np.indices((60, 60))
    labels = (np.hypot(rows - 30, columns - 30) < 20) * 2**40
    row = read_table(write(folder, labels, "csv", pixel_size=0.1, units="µm", names={2**40: "Zelle, groß"}))[2**40]
    assert row["name"] == "Zelle, groß"
    assert float(row["equivalent_diameter_um"]) == pytest.approx(4, rel=0.01)
    assert float(row["major_axis_um"]) == pytest.approx(4, rel=0.01)
    assert float(row["perimeter_um"]) == pytest.approx(np.pi * 4, rel=0.03)
    assert float(row["solidity"]) > 0.95
    assert float(row["eccentricity"]) < 0.05


def test_volumes_are_measured_as_such_and_times_apart(folder):
    labels = np.ones((3, 4, 5), np.int64)
    volume = read_table(write(folder, labels, "csv", pixel_size=(2, 1, 1), units="nm"))
    assert float(volume[1]["volume_nm3"]) == 120
    series = write(folder, labels, "csv", axes="TYX", pixel_size=(2, 1, 1), units=("second", "nm", "nm"))
    with series.open(newline="") as file:
        assert [(row["label"], row["time"], row["area_nm2"]) for row in csv.DictReader(file)] == [
            ("1", str(time), "20.0") for time in range(3)
        ]


def test_units_that_are_none_or_differ_are_pixels_and_flat_pixels_have_no_perimeter(folder):
    labels = ring_of_cells()
    assert "area_px2" in read_table(write(folder, labels, "csv"))[3]
    assert "area_px2" in read_table(write(folder, labels, "csv", pixel_size=2, units=("um", "mm")))[3]
    row = read_table(write(folder, labels, "csv", pixel_size=(1, 2), units="um", offset=(10, 0)))[1000]
    assert "perimeter_um" not in row
    assert (row["area_um2"], row["centroid_y_um"]) == ("2.0", "18.0")


# ------------------------------------------------------------------------------------------------------- all of them


@pytest.mark.parametrize("format", LABEL_FORMATS)
def test_no_labels_at_all_are_a_valid_file(folder, format):
    path = write(folder, np.zeros((3, 4), np.uint8), format)
    if format == "csv":
        assert path.read_text().startswith("label,area_px2,")
        assert len(path.read_text().splitlines()) == 1
    elif format.startswith("coco"):
        assert json.loads(path.read_text())["annotations"] == []
    elif format == "geojson":
        assert json.loads(path.read_text())["features"] == []
    elif format == "imagej-roi":
        assert zipfile.ZipFile(path).namelist() == []


@pytest.mark.parametrize(
    ("format", "largest"),
    {"tiff": 2**24, "png": 2**16 - 1, "png-indexed": 255, "ome-tiff": 2**32 - 1}.items(),
)
def test_what_a_format_cannot_hold_is_refused_in_words(tmp_path, format, largest):
    write(tmp_path, np.array([[largest]]), format)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=f"largest label is {largest + 1:,}.*{largest:,}"):
        write(tmp_path, np.array([[largest + 1]]), format)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("format", sorted(set(LABEL_FORMATS) - {"tiff", "png", "png-indexed", "ome-tiff"}))
def test_the_others_hold_any_label(tmp_path, format):
    write(tmp_path, np.array([[2**40, 0], [3, 2**63 - 1]]), format)


@pytest.mark.parametrize("format", LABEL_FORMATS)
@pytest.mark.parametrize(
    ("labels", "error"), [([[-1]], ValueError), ([[1.0]], TypeError), (np.zeros((0, 3), int), ValueError)]
)
def test_what_are_no_labels_is_refused(tmp_path, format, labels, error):
    with pytest.raises(error, match="expected non-negative integer labels"):
        write(tmp_path, np.asarray(labels), format)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", LABEL_FORMATS)
def test_stacks_are_written_or_refused_in_words(tmp_path, format):
    labels = np.stack([ring_of_cells() % 50] * 2)
    if format in STACKS:
        check_stacks([format])
        assert write(tmp_path, labels, format).exists()
        return
    with pytest.raises(ValueError, match="a PNG holds"):
        write(tmp_path, labels, format)
    with pytest.raises(ValueError, match=rf"{format}: a PNG holds one plane; a stack is written as tiff, ome-tiff"):
        check_stacks(["tiff", format])


def test_an_image_of_another_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"image has shape \(3, 4\), the labels \(9, 14\)"):
        write(tmp_path, ring_of_cells(), "csv", image=np.zeros((3, 4)))


def test_no_two_formats_share_a_name(tmp_path):
    paths = export.output_paths(tmp_path, "a", list(LABEL_FORMATS), objects=True)
    assert len(set(paths)) == len(paths) == 2 * len(LABEL_FORMATS) + 2


NAMES = {
    "a.ome.tif": "ome-tiff",
    "a.OME.TIFF": "ome-tiff",
    "a.tif": "tiff",
    "a.zarr": "ome-zarr",
    "a.zip": "imagej-roi",
}
NAMES |= {"a.json": "coco", "a_colour.png": "png", "a.jpg": None, "a": None, ".png": None}


@pytest.mark.parametrize(("name", "format"), NAMES.items())
def test_a_suffix_says_the_format(name, format):
    assert format_of(name) == format
