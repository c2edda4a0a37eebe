"""The files that a collection becomes: of each image, and of all of them together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection.report.colours import label_colours
from napari_what_where.files.encoding import atomic_path, atomic_paths, discard, leftovers, plain
from napari_what_where.files.export import SUFFIXES, write_eigenvectors, write_provenance
from napari_what_where.files.formats.coco import join_files, telling_folders
from napari_what_where.files.formats.registry import check_replaceable, write_label_image
from napari_what_where.files.formats.types import Colour, LabelImage
from napari_what_where.files.results import describe_scale
from napari_what_where.files.stacks import FileStack

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis

RECORD, PAGE, CONTENT, PROJECTION = "collection.json", "report.html", "report_files", "projection.pt"
"""What is written of all images together: how it was made, the page and its pictures, what applies to other images."""
_OF_THE_RUN = ("made_at", "seconds")
_OF_ALL_IMAGES = ("images", "failures", "layers", "remarks")


@dataclass(frozen=True, eq=False)
class ImageFiles:
    """An image and what becomes of it.

    ``about``: what is recorded of it; ``paths``: of its labels in each of ``formats``, its eigenvectors, its record.
    """

    stack: FileStack
    name: str
    about: Mapping[str, Any]
    paths: Sequence[Path]
    formats: Sequence[str]


def save_image(files: ImageFiles, number: int, analysis: CollectionAnalysis) -> list[float]:
    """Write labels, eigenvectors and the record of one image of a collection: all, or none, unless they are there.

    Returns the part of the image that each cluster covers. Raises what
    :func:`~napari_what_where.files.export.write_labels` raises.
    """
    labels = analysis.labels[number]
    shares = (np.bincount(labels.ravel(), minlength=analysis.clusters + 1)[1:] / labels.size).tolist()
    record = {
        "source": files.name,
        **{key: value for key, value in analysis.provenance.items() if key not in _OF_ALL_IMAGES},
        "image": files.about["image"],
        "collection": {
            "record": RECORD,
            "images": len(analysis) - len(analysis.failures),
            "identity": identity(analysis),
        },
        "clusters": {"found": analysis.clusters, "shares": shares},
        "pixel_size": describe_scale(files.stack),
        "files": [path.name for path in files.paths],
    }
    if not _written(files.paths, plain(record)):
        check_replaceable(files.paths)
        for leftover in (each for path in files.paths for each in leftovers(path)):
            discard(leftover)
        given = _label_image(files, labels, analysis.clusters)
        vectors = analysis.embeddings[number].vectors
        size = files.stack.pixel_size
        token = size and tuple(each * n / g for each, n, g in zip(size, labels.shape, vectors.shape[1:], strict=True))
        # The record is moved to its place last, when all that it vouches for is there.
        with atomic_paths(files.paths) as (*images, eigenvectors, provenance):
            for path, key in zip(images, files.formats, strict=True):
                write_label_image(path, given, key)
            units = files.stack.units
            write_eigenvectors(eigenvectors, vectors, values=analysis.values, pixel_size=token, units=units)
            write_provenance(provenance, record)
    return shares


def _label_image(files: ImageFiles, labels: np.ndarray, clusters: int) -> LabelImage:
    stack = files.stack
    colours: dict[int, Colour] = {
        index + 1: (int(red), int(green), int(blue)) for index, (red, green, blue) in enumerate(label_colours(clusters))
    }
    return LabelImage(
        labels,
        pixel_size=stack.pixel_size,
        units=stack.units,
        classes={number: f"kind {number}" for number in colours},
        colours=colours,
        image=stack.planes[0] if {"csv", "ome-zarr"} & set(files.formats) else None,
        image_name=files.name,
        name=f"{files.about['stem']}_labels",
    )


def _written(paths: Sequence[Path], record: Mapping[str, Any]) -> bool:
    """Whether all of the files are there, and the record says the same but for times."""
    try:
        found = json.loads(paths[-1].read_text(encoding="utf-8"))
        return all(path.exists() for path in paths) and timeless(found) == timeless(record)
    except (OSError, ValueError, AttributeError):
        return False


def timeless(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record without what differs from run to run."""
    return {key: value for key, value in record.items() if key not in _OF_THE_RUN}


def identity(analysis: CollectionAnalysis) -> str:
    """SHA-256 of all that decided the answer: images, model, options, versions."""
    text = json.dumps(plain(timeless(analysis.provenance)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def joined_names(formats: Sequence[str]) -> dict[str, int]:
    """The files that hold the annotations of all images, with the place of each image's own among its files."""
    return {f"labels{SUFFIXES[name]}": index for index, name in enumerate(formats) if name.startswith("coco")}


def join_annotations(out: Path, formats: Sequence[str], results: Sequence[tuple[Path, Sequence[Path]]]) -> None:
    """Write those files, of (image, its files) that have results; folders tell images of one name apart."""
    found = [(path, written) for path, written in results if written]
    folders = telling_folders([path for path, _ in found])
    for name, index in joined_names(formats).items():
        if len(found) > 1:
            with atomic_path(out / name) as temporary:
                own = [written[index] for _, written in found]
                join_files(temporary, own, name=name.partition(".")[0], folders=folders)
