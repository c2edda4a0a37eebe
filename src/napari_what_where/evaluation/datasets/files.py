"""Reading the files of data sets, and saying what is wrong with a folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.evaluation.datasets.types import LayoutError

if TYPE_CHECKING:
    from napari_what_where.evaluation.instances import Instance

LABEL_SUFFIXES = (".tif", ".tiff", ".png", ".npy", ".bmp", ".gif")
IMAGE_SUFFIXES = (*LABEL_SUFFIXES, ".jpg", ".jpeg", ".webp")


def read_label_image(path: Path) -> np.ndarray:
    """A label image as (rows, columns) int64, numbers as they are stored (of a palette image: the indices).

    TIFF, PNG, NPY, BMP or GIF; float files that hold whole numbers are taken, as ImageJ writes them. Raises
    ``OSError`` where there is no such file, ``ValueError`` for anything but one plane of whole numbers.
    """
    from PIL import Image

    from napari_what_where.files.reading import read_image

    palette = False
    if path.suffix.lower() in (".png", ".gif", ".bmp") and path.exists():
        with Image.open(path) as image:
            palette = image.mode == "P"
            pixels = np.asarray(image) if palette else None
    if not palette:
        pixels = read_image(path).pixels
    assert pixels is not None
    whole = pixels.dtype.kind in "uib" or (pixels.dtype.kind == "f" and (pixels == np.round(pixels)).all())
    if pixels.ndim != 2 or not whole:
        raise ValueError(
            f"{path.name} holds {pixels.dtype} of shape {pixels.shape}; expected labels: whole numbers of shape "
            "(rows, columns)."
        )
    return pixels.astype(np.int64)


def existing(*candidates: Path) -> Path:
    """The first of these that exists, else the first."""
    return next((path for path in candidates if path.exists()), candidates[0])


def files_in(folder: Path, suffixes: Iterable[str]) -> list[Path]:
    """The files of a folder with one of the suffixes, in any case, sorted by name; none where there is no folder."""
    wanted = tuple(suffixes)
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in wanted and not path.name.startswith("."))


def not_laid_out(folder: Path, name: str, expected: str, at: Path | None = None) -> LayoutError:
    """The error for a folder that holds no such data set: what was expected, and what is there instead.

    ``at``: the place inside the folder that was looked at last; the nearest one that exists is described.
    """
    place = at or folder
    while not place.is_dir() and place not in (folder, place.parent):
        place = place.parent
    if not place.is_dir():
        found = "there is no such folder" if not place.exists() else "it is a file"
        return LayoutError(f"{folder} is not laid out as {name}: expected {expected}; {found}.")
    entries = sorted(path.name + ("/" if path.is_dir() else "") for path in place.iterdir())
    found = ", ".join(entries[:8]) + (f" and {len(entries) - 8} more" if len(entries) > 8 else "")
    return LayoutError(f"{folder} is not laid out as {name}: expected {expected}; {place} holds {found or 'nothing'}.")


def instances_of(objects: np.ndarray, crowd: np.ndarray | None = None) -> Callable[[], list[Instance]]:
    """A function that gives the positive labels of ``objects`` as instances, and those of ``crowd`` as crowds."""

    def read() -> list[Instance]:
        from napari_what_where.evaluation.instances import Instance, encode_labels

        things = [Instance(mask) for mask in encode_labels(objects).values()]
        crowds = [] if crowd is None else [Instance(mask, crowd=True) for mask in encode_labels(crowd).values()]
        return things + crowds

    return read
