"""Files hold exactly what they were given, or nothing is written."""

from __future__ import annotations

import errno
import json
import os
from types import SimpleNamespace

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
import tifffile
from hypothesis import given
from PIL import Image

from napari_what_where.embedding.types import Embedding
from napari_what_where.files import export

INTEGERS = st.sampled_from([np.uint8, np.uint16, np.uint32, np.uint64, np.int16, np.int32, np.int64])
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=12)


def labels_up_to(largest: int):
    def of_type(dtype):
        top = min(largest, int(np.iinfo(dtype).max))
        return arrays.arrays(dtype, SHAPES, elements=st.integers(0, top))

    return INTEGERS.flatmap(of_type)


def names_in(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@given(labels=labels_up_to(2**24))
def test_tiff_reads_back_equal(tmp_path_factory, labels):
    path = export.write_labels(tmp_path_factory.mktemp("tiff") / "labels.tif", labels)
    back = tifffile.imread(path).reshape(labels.shape)
    np.testing.assert_array_equal(back, labels)
    assert back.dtype == (np.uint16 if labels.max() <= 65_535 else np.float32)


@given(labels=labels_up_to(2**16 - 1))
def test_png_reads_back_equal(tmp_path_factory, labels):
    path = export.write_labels(tmp_path_factory.mktemp("png") / "labels.png", labels)
    with Image.open(path) as image:
        np.testing.assert_array_equal(np.asarray(image), labels)


def test_png_reads_back_equal_with_imageio_and_scikit_image(tmp_path):
    import imageio.v3 as imageio
    import skimage.io

    labels = np.array([[0, 255], [256, 65_535]])
    path = export.write_labels(tmp_path / "labels.png", labels)
    np.testing.assert_array_equal(imageio.imread(path), labels)
    np.testing.assert_array_equal(skimage.io.imread(path), labels)


@pytest.mark.parametrize(
    ("name", "label", "dtype"),
    [
        ("a.tif", 65_535, np.uint16),
        ("a.tif", 65_536, np.float32),
        ("a.tiff", 2**24, np.float32),
        ("a.png", 255, np.uint8),
        ("a.png", 256, np.uint16),
        ("a.png", 65_535, np.uint16),
    ],
)
def test_a_format_holds_labels_up_to_its_limit(tmp_path, name, label, dtype):
    labels = np.array([[0, 1], [label - 1, label]])
    path = export.write_labels(tmp_path / name, labels)
    back = tifffile.imread(path) if path.suffix != ".png" else np.asarray(Image.open(path))
    assert back.dtype == dtype
    np.testing.assert_array_equal(back, labels)


@pytest.mark.parametrize(
    ("name", "labels", "error", "says"),
    [
        ("a.png", [[65_536]], ValueError, "65,536.*up to 65,535.*TIFF"),
        ("a.tif", [[2**24 + 1]], ValueError, "16,777,217.*up to 16,777,216.*relabel_sequential"),
        ("a.tif", [[2**40]], ValueError, "exactly up to"),
        ("a.tif", [[-1, 3]], ValueError, "smallest label is -1"),
        ("a.tif", [[1.0, 2.0]], TypeError, "float64.*astype"),
        ("a.tif", [[True, False]], TypeError, "bool"),
        ("a.tif", np.zeros((0, 4), int), ValueError, "no pixels"),
        ("a.png", np.ones((2, 3, 4), int), ValueError, "PNG holds"),
        ("a.tif", np.ones(4, int), ValueError, "2 to 4 axes"),
        ("a.tif", np.ones((1, 1, 1, 1, 1), int), ValueError, "2 to 4 axes"),
        ("a.jpg", [[1]], ValueError, r"a\.jpg.*\.tif"),
    ],
)
def test_what_cannot_be_held_is_refused_and_the_old_file_stays(tmp_path, name, labels, error, says):
    (tmp_path / name).write_text("earlier work")
    with pytest.raises(error, match=says):
        export.write_labels(tmp_path / name, np.asarray(labels))
    assert names_in(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "earlier work"


def test_the_suffix_chooses_the_format_and_tif_is_added(tmp_path):
    labels = np.eye(3, dtype=int)
    assert export.write_labels(tmp_path / "a", labels).name == "a.tif"
    assert export.write_labels(tmp_path / "b.v2", labels, format="tiff").name == "b.v2.tif"
    assert export.write_labels(tmp_path / "c", labels, format="png").name == "c.png"
    assert export.write_labels(tmp_path / "D.TIF", labels).name == "D.TIF"
    assert names_in(tmp_path) == ["D.TIF", "a.tif", "b.v2.tif", "c.png"]


def test_imagej_reads_the_scale(tmp_path):
    path = export.write_labels(tmp_path / "a.tif", np.eye(4, dtype=int), pixel_size=(0.5, 0.25), units="micrometer")
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_imagej
        assert tiff.imagej_metadata["unit"] == "um"
        per_unit = {name: np.divide(*tiff.pages[0].tags[name].value) for name in ("XResolution", "YResolution")}
    assert per_unit == pytest.approx({"XResolution": 4, "YResolution": 2})


def test_imagej_reads_the_spacing_of_a_stack_and_the_interval_of_a_series(tmp_path):
    volume = export.write_labels(tmp_path / "z.tif", np.ones((3, 4, 5), int), pixel_size=(2, 1, 1), units="nm")
    series = export.write_labels(
        tmp_path / "t.tif", np.ones((3, 4, 5), int), pixel_size=(5, 1, 1), units=("minute", "um", "um"), axes="TYX"
    )
    with tifffile.TiffFile(volume) as tiff:
        assert (tiff.imagej_metadata["slices"], tiff.imagej_metadata["spacing"]) == (3, 2)
    with tifffile.TiffFile(series) as tiff:
        assert (tiff.imagej_metadata["frames"], tiff.imagej_metadata["finterval"]) == (3, 300)


@pytest.mark.parametrize("pixel_size", [(1, 2, 3), 0, -1, float("nan")])
def test_impossible_pixel_sizes_are_refused(tmp_path, pixel_size):
    with pytest.raises(ValueError, match="pixel sizes"):
        export.write_labels(tmp_path / "a.tif", np.eye(4, dtype=int), pixel_size=pixel_size)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_write_leaves_what_was_there(tmp_path, stop):
    target = tmp_path / "result.tif"
    target.write_text("earlier work")

    def write_half() -> None:
        with export.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise stop

    with pytest.raises(stop):
        write_half()
    assert names_in(tmp_path) == ["result.tif"]
    assert target.read_text() == "earlier work"


def test_a_write_creates_folders_and_keeps_links(tmp_path):
    with export.atomic_path(tmp_path / "new" / "deeper" / "a.txt") as temporary:
        temporary.write_text("whole")
    assert (tmp_path / "new/deeper/a.txt").read_text() == "whole"
    link = tmp_path / "link.txt"
    link.symlink_to(tmp_path / "new/deeper/a.txt")
    with export.atomic_path(link) as temporary:
        temporary.write_text("again")
    assert link.is_symlink()
    assert (tmp_path / "new/deeper/a.txt").read_text() == "again"


def test_errors_of_the_disk_come_through(tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(OSError, match="file"):
        export.write_labels(tmp_path / "file" / "a.tif", np.eye(3, dtype=int))
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        export.write_labels(tmp_path / "a.tif", np.eye(3, dtype=int))
    assert names_in(tmp_path) == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_permission_error(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(PermissionError):
            export.write_labels(tmp_path / "a.tif", np.eye(3, dtype=int))
    finally:
        tmp_path.chmod(0o700)


def test_eigenvectors_read_back_equal_with_their_values_as_names(tmp_path, rng):
    vectors = rng.normal(size=(5, 6, 7)).astype(np.float32)
    path = export.write_eigenvectors(tmp_path / "v.tif", vectors, values=[0.9, 0.8, 0.7, 0.6, 0.5])
    with tifffile.TiffFile(path) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), vectors)
        assert tiff.imagej_metadata["Labels"][1] == "eigenvector 2, eigenvalue 0.8"
    with pytest.raises(ValueError, match="count, rows, columns"):
        export.write_eigenvectors(tmp_path / "w.tif", vectors[0])


def test_provenance_is_plain_json(tmp_path):
    record = {"count": np.int64(3), "values": np.array([1.0, np.nan]), "where": tmp_path, "size": (1, 2), "µ": None}
    path = export.write_provenance(tmp_path / "a.json", record)
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "count": 3,
        "values": [1.0, None],
        "where": str(tmp_path),
        "size": [1, 2],
        "µ": None,
    }


@pytest.mark.parametrize(
    ("given", "keys"), [("tiff", ("tiff",)), ("TIF, png", ("tiff", "png")), ([".png", "png"], ("png",))]
)
def test_format_names(given, keys):
    assert export.parse_formats(given) == keys


@pytest.mark.parametrize("given", ["jpeg", "", [], "tiff,,png"])
def test_unknown_format_names(given):
    with pytest.raises(ValueError, match="expected one or more of tiff, png"):
        export.parse_formats(given)


def make_analysis(labels: np.ndarray):
    values, vectors = np.array([0.9, 0.5]), np.ones((2, 2, 3), np.float32)
    embedding = Embedding(values, vectors, np.zeros(2), 0, True, values, vectors)
    tree = SimpleNamespace(labels=lambda segments: labels)
    return SimpleNamespace(embedding=embedding, tree=tree, provenance={"options": {"count": 2}})


def test_an_analysis_becomes_its_files(tmp_path):
    labels = np.arange(1, 25, dtype=np.int32).reshape(4, 6)
    paths = export.save_analysis(
        make_analysis(labels), tmp_path, "a.b", formats="tiff,png", pixel_size=0.5, units="micrometer", source="a.b.png"
    )
    assert [path.name for path in paths] == ["a.b_labels.tif", "a.b_labels.png", "a.b_eigenvectors.tif", "a.b.json"]
    assert paths == export.output_paths(tmp_path, "a.b", "tiff,png")
    np.testing.assert_array_equal(tifffile.imread(paths[0]), labels)
    np.testing.assert_array_equal(np.asarray(Image.open(paths[1])), labels)
    with tifffile.TiffFile(paths[2]) as tiff:  # tokens of two pixels
        assert np.divide(*tiff.pages[0].tags["XResolution"].value) == pytest.approx(1)
    record = json.loads(paths[3].read_text())
    assert record["options"] == {"count": 2}
    assert record["segments"] == {"asked": "auto", "edited": False, "found": 24}
    assert record["source"] == "a.b.png"


def test_objects_are_written_beside_the_labels_in_each_format(tmp_path):
    labels = np.arange(1, 7, dtype=np.int32).reshape(2, 3)
    objects = np.array([[0, 0, 1], [2, 0, 1]], np.int32)
    paths = export.save_analysis(make_analysis(labels), tmp_path, "cat", formats="png,tiff", objects=objects)
    assert paths == export.output_paths(tmp_path, "cat", "png,tiff", objects=True)
    assert names_in(tmp_path) == sorted(path.name for path in paths)
    for name, expected in (("labels", labels), ("objects", objects)):
        np.testing.assert_array_equal(tifffile.imread(tmp_path / f"cat_{name}.tif"), expected)
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / f"cat_{name}.png")), expected)
    record = json.loads((tmp_path / "cat.json").read_text())
    assert record["objects"] == {"found": 2}
    assert "cat_objects.tif" in record["files"]


def test_impossible_objects_are_refused_before_anything_is_written(tmp_path):
    labels = np.ones((2, 3), np.int32)
    with pytest.raises(ValueError, match="smallest label is -1"):
        export.save_analysis(make_analysis(labels), tmp_path, "cat", objects=labels - 2)
    assert names_in(tmp_path) == []


def test_an_analysis_is_saved_whole_or_not_at_all(tmp_path, monkeypatch):
    analysis = make_analysis(np.ones((4, 6), np.int32))
    old = export.save_analysis(analysis, tmp_path, "a")
    before = {path: path.read_bytes() for path in old}

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(export, "write_provenance", interrupted)
    with pytest.raises(KeyboardInterrupt):
        export.save_analysis(analysis, tmp_path, "a", labels=np.full((4, 6), 7))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_layer_writer_keeps_scale_units_and_record(tmp_path):
    labels = np.zeros((3, 8, 9), np.int64)
    labels[1, 2, 3] = 70_000
    meta = {
        "scale": np.array([5.0, 0.25, 0.25]),
        "units": ("minute", "micrometer", "micrometer"),
        "axis_labels": ("t", "y", "x"),
        "metadata": {"what-where": {"pathway": "what"}},
        "multiscale": False,
    }
    (path,) = export.write_labels_layer(str(tmp_path / "a.tif"), labels, meta)
    with tifffile.TiffFile(path) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), labels)
        described = tiff.imagej_metadata
    assert (described["frames"], described["finterval"], described["unit"]) == (3, 300, "um")
    assert json.loads(described["Info"]) == {"pathway": "what"}


def test_the_layer_writer_needs_no_attributes(tmp_path):
    (path,) = export.write_labels_layer(str(tmp_path / "a.png"), [[0, 1], [2, 3]], {})
    np.testing.assert_array_equal(np.asarray(Image.open(path)), [[0, 1], [2, 3]])
