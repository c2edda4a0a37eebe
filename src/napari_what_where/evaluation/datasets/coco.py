"""COCO: Lin et al., ECCV 2014, and COCO-Stuff: Caesar, Uijlings & Ferrari, CVPR 2018."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.evaluation.datasets.files import existing, files_in, not_laid_out, read_label_image
from napari_what_where.evaluation.datasets.types import DataSet, LayoutError, Sample, Truth

EXPECTED = "annotations/instances_SPLIT.json and images in SPLIT/ or images/SPLIT/"
EXPECTED_STUFF = (
    "annotations/stuff_SPLIT.json, annotations/stuff_SPLIT_pixelmaps/NAME.png or stuffthingmaps/SPLIT/NAME.png, and "
    "images in SPLIT/ or images/SPLIT/"
)
DEFAULT_SPLIT = "val2017"
UNLABELLED = 0
PIXELMAP_VOID, STUFFTHING_VOID = 0, 255


def read_coco(folder: Path, split: str = DEFAULT_SPLIT) -> DataSet:
    """Objects, with crowds, and the classes that they paint on a background, class 0.

    Raises ``LayoutError`` where the annotations or the images are missing. Memory: the whole file of annotations.
    """
    path, images = folder / "annotations" / f"instances_{split}.json", _image_folder(folder, split)
    data = _load(folder, path, images, split, "COCO", EXPECTED)
    samples = []
    for record, entries in data.images:
        read = partial(_read_objects, entries, (record["height"], record["width"]))
        samples.append(Sample(Path(record["file_name"]).stem, images / record["file_name"], (path,), read))
    measures = ("regions", "boundaries", "classes", "instances")
    return DataSet("coco", samples, measures, measures[2:], {UNLABELLED: "background"} | data.classes)


def read_coco_stuff(folder: Path, split: str = DEFAULT_SPLIT) -> DataSet:
    """Classes of things and stuff: the pixel maps if they are there, else the annotations; unlabelled is void."""
    images, path = _image_folder(folder, split), folder / "annotations" / f"stuff_{split}.json"
    maps = existing(folder / "annotations" / f"stuff_{split}_pixelmaps", folder / "stuffthingmaps" / split)
    samples, classes = [], {}
    if maps.is_dir():
        void = STUFFTHING_VOID if maps.parent.name == "stuffthingmaps" else PIXELMAP_VOID
        by_stem = {image.stem: image for image in files_in(images, (".jpg", ".jpeg", ".png"))}
        pairs = [(by_stem[one.stem], one) for one in files_in(maps, (".png",)) if one.stem in by_stem]
        samples = [Sample(image.stem, image, (one,), partial(_read_map, one, void)) for image, one in pairs]
        if not samples:
            raise not_laid_out(folder, "COCO-Stuff", f"{EXPECTED_STUFF}, with SPLIT {split}", images)
    else:
        data = _load(folder, path, images, split, "COCO-Stuff", EXPECTED_STUFF)
        classes = data.classes
        for record, entries in data.images:
            read = partial(_read_stuff, entries, (record["height"], record["width"]))
            samples.append(Sample(Path(record["file_name"]).stem, images / record["file_name"], (path,), read))
    return DataSet("coco-stuff", samples, ("regions", "boundaries", "classes"), ("classes",), classes)


class _Annotations:
    """A COCO file of annotations, by image."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        by_image: dict[Any, list[dict[str, Any]]] = {}
        for entry in content["annotations"]:
            by_image.setdefault(entry["image_id"], []).append(entry)
        records = sorted(content["images"], key=lambda record: record["file_name"])
        self.images = [(record, by_image.get(record["id"], [])) for record in records]
        self.classes = {int(one["id"]): str(one["name"]) for one in content.get("categories", ())}


def _image_folder(folder: Path, split: str) -> Path:
    return existing(folder / split, folder / "images" / split)


def _load(folder: Path, path: Path, images: Path, split: str, name: str, expected: str) -> _Annotations:
    from napari_what_where.evaluation.instances import require_pycocotools

    missing = [place for place in (path, images) if not place.exists()]
    if missing:
        raise not_laid_out(folder, name, f"{expected}, with SPLIT {split}", missing[0])
    require_pycocotools()
    try:
        return _Annotations(json.loads(path.read_text(encoding="utf-8")))
    except (KeyError, TypeError, json.JSONDecodeError) as problem:
        raise LayoutError(f"{path} is no COCO file with images and annotations: {problem!r}.") from None


def _encoded(segmentation: Any, shape: tuple[int, int]) -> dict[str, Any]:
    """One run-length encoding of polygons, of uncompressed counts or of compressed ones."""
    from napari_what_where.evaluation.instances import require_pycocotools

    mask = require_pycocotools()
    if isinstance(segmentation, list):
        return mask.merge(mask.frPyObjects(segmentation, *shape))
    if isinstance(segmentation["counts"], list):
        return mask.frPyObjects(segmentation, *shape)
    return segmentation


def _painted(entries: list[dict[str, Any]], shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Class and region (1 …) of each pixel, 0 where there is none; smaller annotations lie on top of larger ones."""
    from napari_what_where.evaluation.instances import require_pycocotools

    mask = require_pycocotools()
    encoded = [_encoded(entry["segmentation"], shape) for entry in entries]
    classes, regions = np.full(shape, UNLABELLED), np.zeros(shape, np.int64)
    for index in sorted(range(len(entries)), key=lambda index: -float(mask.area(encoded[index]))):
        inside = mask.decode(encoded[index]).astype(bool)
        classes[inside], regions[inside] = int(entries[index]["category_id"]), index + 1
    return classes, regions


def _read_objects(entries: list[dict[str, Any]], shape: tuple[int, int]) -> Truth:
    from napari_what_where.evaluation.instances import Instance

    def instances() -> list[Instance]:
        return [Instance(_encoded(one["segmentation"], shape), bool(one.get("iscrowd", 0))) for one in entries]

    classes, regions = _painted(entries, shape)
    return Truth([regions], classes, instances)


def _read_stuff(entries: list[dict[str, Any]], shape: tuple[int, int]) -> Truth:
    classes, _ = _painted(entries, shape)
    return _stuff_truth(classes, UNLABELLED)


def _read_map(path: Path, void: int) -> Truth:
    return _stuff_truth(read_label_image(path), void)


def _stuff_truth(classes: np.ndarray, void: int) -> Truth:
    known = np.where(classes == void, -1, classes)
    return Truth([known], known)
