"""Which files a folder offers, and what the results of each are called."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from napari_what_where.files.export import output_paths
from napari_what_where.files.reading import READABLE_SUFFIXES

_OWN_RESULTS = re.compile(
    r".*_(labels|objects|eigenvectors)(_indexed|_colour)?(\.ome)?\.(tif|tiff|png|npy)", re.IGNORECASE
)


def find_images(folder: str | os.PathLike[str]) -> list[Path]:
    """The image files in a folder, by their suffix, in natural order (2 before 10); not below it.

    Without hidden files and results of ours: NAME_labels, NAME_objects and NAME_eigenvectors as TIFF, PNG or NPY.
    Raises ``OSError`` for what is no folder that can be read.
    """
    found = [
        path
        for path in Path(folder).iterdir()
        if path.suffix.lower() in READABLE_SUFFIXES
        and not path.name.startswith(".")
        and not _OWN_RESULTS.fullmatch(path.name)
        and path.is_file()
    ]
    return sorted(found, key=lambda path: (_natural(path.name), path.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """Digits compare as numbers, before letters."""
    parts = re.findall(r"[0-9]+|[^0-9]+", name.casefold())
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part) for part in parts]


def plan_stems(
    images: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    formats: str | Sequence[str],
    *,
    objects: bool = False,
    others: Sequence[str | os.PathLike[str]] = (),
    reserved: Sequence[str] = (),
) -> list[tuple[Path, str]]:
    """Each image with the stem of its results: its own, or STEM-2, STEM-3, … where that is taken.

    A stem is taken where one of its results has the name of an earlier image's (names that differ in case alone are
    one, as on some disks), is ``reserved``, or would replace one of the images, or of ``others``, which get none.
    """
    inputs = {os.path.realpath(image) for image in (*images, *others)}
    taken = {name.casefold() for name in reserved}
    plan = []
    for image in map(Path, images):
        stem, number = image.stem, 1
        while True:
            paths = output_paths(out, stem, formats, objects=objects)
            names = {path.name.casefold() for path in paths}
            if not names & taken and not any(os.path.realpath(path) in inputs for path in paths):
                break
            number += 1
            stem = f"{image.stem}-{number}"
        taken |= names
        plan.append((image, stem))
    return plan
