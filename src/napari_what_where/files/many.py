"""Several label images in several formats → one folder, all or none."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_what_where.files.encoding import atomic_paths
from napari_what_where.files.export import write_provenance
from napari_what_where.files.formats import coco
from napari_what_where.files.formats.registry import LABEL_FORMATS, check_replaceable, write_label_image
from napari_what_where.files.formats.types import LabelImage
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

JOINED = "all_labels"
"""What the file of all images together is called, in COCO's formats."""


@dataclass(frozen=True, eq=False)
class Export:
    """One label image on its way to files: ``stem`` of their names, and how it was made, if that is known.

    ``image_path``: of the file that its image is from, if it is from one.
    """

    stem: str
    given: LabelImage
    record: Mapping[str, Any] | None = None
    image_path: Path | None = None


def file_stem(name: str) -> str:
    """A name of a layer as that of a file: letters, digits, "-" and "_"."""
    return re.sub(r"_+", "_", re.sub(r"[^\w-]", "_", name)).strip("_") or "labels"


def file_stems(names: Sequence[str]) -> list[str]:
    """Those of several layers; where two would share one (case aside), STEM-2, STEM-3, …"""
    taken = {JOINED}
    stems = []
    for name in names:
        stem, number = file_stem(name), 1
        while stem.casefold() in taken:
            number += 1
            stem = f"{file_stem(name)}-{number}"
        taken.add(stem.casefold())
        stems.append(stem)
    return stems


def planned_files(
    folder: str | os.PathLike[str], stems: Sequence[str], formats: Sequence[str], recorded: Sequence[str] = ()
) -> list[Path]:
    """The files of :func:`export_all`: of each image those of its formats, its record if it is among ``recorded``, and
    last those of all images together.
    """
    endings = [LABEL_FORMATS[name].ending for name in formats]
    names = [f"{stem}{ending}" for stem in stems for ending in [*endings, *([".json"] if stem in recorded else [])]]
    joined = [f"{JOINED}{LABEL_FORMATS[name].ending}" for name in formats if _joins(name, stems)]
    return [Path(folder, name) for name in [*names, *joined]]


def export_all(
    exports: Sequence[Export],
    folder: str | os.PathLike[str],
    formats: Sequence[str],
    *,
    report: Report = ignore_progress,
) -> list[Path]:
    """Write every image in every format, STEM.json beside those whose making is known: all, or none; the paths.

    In COCO's formats several images are joined in one more file; labels of one file are of one image there, those of
    files of one name in different folders are not. ``ValueError`` for what a format cannot hold.
    """
    stems = [export.stem for export in exports]
    paths = planned_files(folder, stems, formats, [export.stem for export in exports if export.record is not None])
    check_replaceable(paths)
    joined: dict[str, list[Path]] = {}
    with atomic_paths(paths) as temporaries:
        todo = iter(temporaries)
        for number, export in enumerate(exports):
            for place, name in enumerate(formats):
                progress = Progress(f"writing {name}", number * len(formats) + place, len(exports) * len(formats))
                report(progress)
                path = next(todo)
                with checkpoints(report, progress):
                    write_label_image(path, export.given, name)
                joined.setdefault(name, []).append(path)
            if export.record is not None:
                written = {"files": [f"{export.stem}{LABEL_FORMATS[name].ending}" for name in formats]}
                write_provenance(next(todo), {**export.record, **written})
        for name in formats:
            if _joins(name, stems):
                coco.join_files(next(todo), joined[name], name=JOINED, folders=_folders(exports), apart=False)
    return paths


def _folders(exports: Sequence[Export]) -> list[str]:
    """What tells the image of each from others of its name; empty for images from no file."""
    paths = [export.image_path for export in exports if export.image_path is not None]
    told = iter(coco.telling_folders(paths))
    return ["" if export.image_path is None else next(told) for export in exports]


def _joins(format: str, stems: Sequence[str]) -> bool:
    return format.startswith("coco") and len(stems) > 1
