"""COCO JSON: each label an annotation, as runs of pixels or as polygons; several images in one file."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.files.encoding import software
from napari_what_where.files.formats.rings import Part, cut_open
from napari_what_where.files.formats.runs import masks_of, pack
from napari_what_where.files.formats.types import LabelImage, plane_suffix
from napari_what_where.progress import checkpoint

NO_CLASS = "object"
"""The category of what has no class."""


def write_runs(path: Path, given: LabelImage) -> None:
    """Each label as compressed runs: exact, holes and parts included."""
    _write(path, describe(given, polygons=False))


def write_polygons(path: Path, given: LabelImage) -> None:
    """Each label as polygons along the edges of its pixels: exact, too; what has holes is cut into parts without."""
    _write(path, describe(given, polygons=True))


def write_data_set(path: Path, given: Sequence[LabelImage], *, polygons: bool = False, name: str = "labels") -> None:
    """Several label images in one file, see :func:`merge`."""
    _write(path, merge([describe(each, polygons=polygons) for each in given], name=name))


def join_files(
    path: Path, files: Sequence[Path], *, name: str, folders: Sequence[str] | None = None, apart: bool | None = None
) -> None:
    """Several files that were written here as one, see :func:`merge`.

    ``folders``: one a file: where its images lie, put before their names. Each file is then of images of its own,
    unless ``apart`` says that those of one folder and name are one.
    """
    data_sets = [json.loads(file.read_text(encoding="utf-8")) for file in files]
    for data, folder in zip(data_sets, folders or [""] * len(files), strict=True):
        for image in data["images"]:
            image["file_name"] = f"{folder}/{image['file_name']}" if folder else image["file_name"]
    _write(path, merge(data_sets, name=name, apart=folders is not None if apart is None else apart))


def telling_folders(paths: Sequence[Path]) -> list[str]:
    """For each file the folder that tells it from others of its name, from the one that holds them all; else empty."""
    whole = [path.absolute() for path in paths]
    names = Counter(path.name for path in set(whole))
    alike = [path.parent for path in whole if names[path.name] > 1]
    try:
        above = Path(os.path.commonpath(alike)) if alike else Path()
    except ValueError:  # on different drives
        return [path.parent.as_posix() if names[path.name] > 1 else "" for path in whole]
    folders = [path.parent.relative_to(above).as_posix() if names[path.name] > 1 else "" for path in whole]
    return ["" if folder == "." else folder for folder in folders]


def describe(given: LabelImage, *, polygons: bool) -> dict[str, Any]:
    """The data set of one label image, whose planes are its images; annotations keep ``label`` and ``name``."""
    categories = sorted({given.classes.get(label) or NO_CLASS for label in given.values})
    number = {name: index for index, name in enumerate(categories, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    height, width = given.plane_shape
    for index, (place, plane) in enumerate(given.planes()):
        name = _plane_name(given.image_name or given.name, plane_suffix(place, given.lengths()))
        images.append({"id": index + 1, "file_name": name, "height": height, "width": width})
        outlines = _outlines(given.parts[index], plane, given.offset) if polygons else {}
        for mask in masks_of(plane, offset=given.offset, shape=given.plane_shape):
            checkpoint()
            runs = None if polygons else {"size": [height, width], "counts": pack(mask.counts)}
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": index + 1,
                    "category_id": number[given.classes.get(mask.label) or NO_CLASS],
                    "segmentation": outlines[mask.label] if runs is None else runs,
                    "area": mask.area,
                    "bbox": list(mask.box),
                    "iscrowd": 0,
                    "label": mask.label,
                    **({"name": given.names[mask.label]} if given.names.get(mask.label) else {}),
                }
            )
    return _data_set(given.name, images, annotations, categories)


def merge(data_sets: Sequence[Mapping[str, Any]], *, name: str, apart: bool = False) -> dict[str, Any]:
    """Several data sets as one: images of one file name and size are one image, categories of one name are one.

    ``apart``: images of different data sets are different images, whatever their names.
    """
    names = sorted({category["name"] for data in data_sets for category in data["categories"]})
    number = {each: index for index, each in enumerate(names, start=1)}
    images: dict[tuple, dict[str, Any]] = {}
    annotations: list[dict[str, Any]] = []
    for index, data in enumerate(data_sets):
        own = {category["id"]: number[category["name"]] for category in data["categories"]}
        place = {}
        for image in data["images"]:
            key = index if apart else None, image["file_name"], image["height"], image["width"]
            place[image["id"]] = images.setdefault(key, {**image, "id": len(images) + 1})["id"]
        for each in data["annotations"]:
            renumbered = {"image_id": place[each["image_id"]], "category_id": own[each["category_id"]]}
            annotations.append({**each, **renumbered, "id": len(annotations) + 1})
    return _data_set(name, list(images.values()), annotations, names)


def _data_set(
    name: str, images: list[dict[str, Any]], annotations: list[dict[str, Any]], categories: Sequence[str]
) -> dict[str, Any]:
    kinds = [{"id": index, "name": each, "supercategory": ""} for index, each in enumerate(categories, start=1)]
    return {
        "info": {"description": name, "contributor": software()},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": kinds,
    }


def _outlines(parts: Sequence[Part], plane: np.ndarray, offset: tuple[int, int]) -> dict[int, list[list[int]]]:
    found: dict[int, list[list[int]]] = {}
    for part in parts:
        checkpoint()
        found.setdefault(part.label, []).extend(ring.ravel().tolist() for ring in cut_open(part, plane, offset=offset))
    return found


def _plane_name(name: str, suffix: str) -> str:
    path = Path(name)
    return path.name if not suffix else f"{path.stem}{suffix}{path.suffix}"


def _write(path: Path, data: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(data, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
