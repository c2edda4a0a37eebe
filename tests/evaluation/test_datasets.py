"""Each layout, in the data set's own formats, is read as what it says; a wrong folder is told what was expected."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_what_where.evaluation.datasets.registry import DATASETS, read_dataset
from napari_what_where.evaluation.datasets.types import LayoutError

from . import layouts
from .layouts import NAMES, objects


def masks_of(truth) -> list[np.ndarray]:
    from pycocotools import mask

    return [mask.decode(dict(one.mask)).astype(bool) for one in truth.instances()]


def test_bsds500_has_every_annotator(tmp_path):
    dataset = read_dataset("bsds500", layouts.write_bsds500(tmp_path))
    assert [sample.name for sample in dataset.samples] == list(NAMES)
    fine, coarse = dataset.samples[0].read().segmentations
    np.testing.assert_array_equal(fine, objects() + 1)
    np.testing.assert_array_equal(coarse, (objects() > 0) + 1)


def test_voc_has_palette_indices_and_void_borders(tmp_path):
    dataset = read_dataset("voc", layouts.write_voc(tmp_path))
    assert [sample.name for sample in dataset.samples] == list(NAMES)
    truth = dataset.samples[1].read()
    assert np.unique(truth.classes).tolist() == [-1, 0, 8, 15]
    assert dataset.classes[8] == "cat"
    np.testing.assert_array_equal(truth.classes < 0, layouts.with_border(objects()) == 255)
    np.testing.assert_array_equal(truth.void, truth.classes < 0)
    pytest.importorskip("pycocotools")
    np.testing.assert_array_equal(masks_of(truth)[0], (objects() == 1) & ~truth.void)


def test_voc_without_objects_has_classes_only(tmp_path):
    layouts.write_voc(tmp_path)
    (tmp_path / "SegmentationObject").rename(tmp_path / "elsewhere")
    dataset = read_dataset("voc", tmp_path)
    assert dataset.usual == ("classes",)
    assert dataset.samples[0].read().instances is None


@pytest.mark.parametrize("folder", ["val2017", "images/val2017"])
def test_coco_has_polygons_run_lengths_and_crowds(folder, tmp_path):
    pytest.importorskip("pycocotools")
    dataset = read_dataset("coco", layouts.write_coco(tmp_path, folder))
    truth, empty = (sample.read() for sample in dataset.samples)
    assert [one.crowd for one in truth.instances()] == [False, False, True]
    first, second, crowd = masks_of(truth)
    np.testing.assert_array_equal(first, objects() == 1)
    np.testing.assert_array_equal(second, objects() == 2)
    assert crowd.sum() == 8 * 12
    assert np.unique(truth.classes).tolist() == [0, 1, 17, 44]
    assert dataset.classes[17] == "cat"
    assert (empty.instances(), np.unique(empty.classes).tolist()) == ([], [0])


@pytest.mark.parametrize("form", ["json", "pixelmaps", "stuffthingmaps"])
def test_coco_stuff_is_read_in_each_of_its_forms(form, tmp_path):
    pytest.importorskip("pycocotools")
    dataset = read_dataset("coco-stuff", layouts.write_coco_stuff(tmp_path, form))
    assert [sample.name for sample in dataset.samples] == list(NAMES)
    classes = dataset.samples[0].read().classes
    assert (classes[:2] == -1).all()
    offset = 1 if form == "stuffthingmaps" else 0
    np.testing.assert_array_equal(classes[2:], np.array([156, 123, 154])[objects()][2:] - offset)


def test_cityscapes_has_train_classes_objects_groups_and_void(tmp_path):
    dataset = read_dataset("cityscapes", layouts.write_cityscapes(tmp_path))
    assert [sample.name for sample in dataset.samples] == [f"{name}_000000_000019" for name in NAMES]
    truth = dataset.samples[0].read()
    assert np.unique(truth.classes).tolist() == [-1, 0, 13]
    assert [dataset.classes[kind] for kind in (0, 13, 18)] == ["road", "car", "bicycle"]
    assert truth.void[-3:].all()
    assert not truth.void[:-3].any()
    pytest.importorskip("pycocotools")
    assert [one.crowd for one in truth.instances()] == [False, False, True]
    np.testing.assert_array_equal(masks_of(truth)[0], objects() == 1)
    assert masks_of(truth)[2].sum() > 30


@pytest.mark.parametrize("subfolders", [False, True])
def test_plain_folders_are_paired_by_stem(subfolders, tmp_path):
    layouts.write_folder(tmp_path, subfolders)
    layouts.save(tmp_path / ("images" if subfolders else "") / "alone.png", layouts.photograph("first"))
    dataset = read_dataset("folder", tmp_path)
    assert [sample.name for sample in dataset.samples] == list(NAMES)
    truth = dataset.samples[0].read()
    np.testing.assert_array_equal(truth.segmentations[0], objects())
    assert truth.classes is None
    pytest.importorskip("pycocotools")
    np.testing.assert_array_equal(masks_of(truth)[1], objects() == 2)


def test_masks_of_a_plain_folder_may_be_classes_with_void_in_folders_of_any_name(tmp_path):
    layouts.write_folder(tmp_path, subfolders=True)
    (tmp_path / "images").rename(tmp_path / "raw")
    (tmp_path / "masks").rename(tmp_path / "semantic")
    dataset = read_dataset("folder", tmp_path, images="raw", masks="semantic", kind="classes", void=2)
    truth = dataset.samples[0].read()
    assert dataset.usual == ("regions", "classes")
    np.testing.assert_array_equal(truth.classes, np.array([0, 1, -1])[objects()])


def test_two_masks_for_one_image_are_refused(tmp_path):
    layouts.write_folder(tmp_path)
    layouts.save(tmp_path / "first_masks.png", objects())
    with pytest.raises(LayoutError, match=r"stand for first: first_masks.png, first_masks.tif"):
        read_dataset("folder", tmp_path)


@pytest.mark.parametrize("name", DATASETS)
def test_a_wrong_folder_is_told_what_was_expected_and_what_is_there(name, tmp_path):
    (tmp_path / "holiday.txt").write_text("")
    with pytest.raises(LayoutError, match=r"is not laid out as .*: expected .*holds holiday.txt"):
        read_dataset(name, tmp_path)
    with pytest.raises(LayoutError, match="there is no such folder"):
        read_dataset(name, tmp_path / "missing")


def test_a_missing_split_is_told_which_there_are(tmp_path):
    with pytest.raises(LayoutError, match="with SPLIT test; .*images holds val/"):
        read_dataset("bsds500", layouts.write_bsds500(tmp_path), split="test")


def test_damaged_annotations_are_told_apart(tmp_path):
    pytest.importorskip("pycocotools")
    layouts.write_coco(tmp_path)
    (tmp_path / "annotations/instances_val2017.json").write_text(json.dumps({"images": []}))
    with pytest.raises(LayoutError, match="is no COCO file with images and annotations: KeyError"):
        read_dataset("coco", tmp_path)


def test_a_colour_picture_is_no_mask(tmp_path):
    layouts.write_folder(tmp_path)
    (tmp_path / "first_masks.tif").unlink()
    layouts.save(tmp_path / "first_masks.png", layouts.photograph("first"))
    with pytest.raises(ValueError, match=r"first_masks.png holds uint8 of shape \(24, 36, 3\); expected labels"):
        read_dataset("folder", tmp_path).samples[0].read()


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(ValueError, match="'imagenet'; expected one of bsds500, voc"):
        read_dataset("imagenet", tmp_path)
