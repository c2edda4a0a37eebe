"""A report → its page and, beside it, its pictures."""

from __future__ import annotations

import heapq
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from napari_what_where.collection.report.colours import label_colours
from napari_what_where.collection.report.page import Crop, Row, page
from napari_what_where.collection.report.pictures import (
    blank,
    crop,
    displayed,
    painted,
    sampled,
    save_picture,
    save_strip,
    thumbnail,
    vector_strip,
)
from napari_what_where.collection.report.types import Picture, Report, ReportImage
from napari_what_where.collection.report.typical import EXAMPLES, Example, innermost, overview, typical_regions
from napari_what_where.failures import explain
from napari_what_where.files.encoding import atomic_paths, discard, leftovers
from napari_what_where.progress import Cancelled, Progress, ignore_progress
from napari_what_where.progress import Report as Tell

_SATURATED = 2.5
"""Values of so many root mean squares have the strongest colour."""
_MARKED = 0.03
"""A cluster's number is written on it where it covers this part of the image."""


def write_report(path: str | os.PathLike[str], report: Report, *, tell: Tell = ignore_progress) -> Path:
    """Write the page, and a folder of its pictures beside it: NAME.html and NAME_files. Both, or none.

    Parameters
    ----------
    path : of the page
    report : what it says. Its images are read two times, one after the other, and each is let go of.
    tell : function of a Progress
        The stage is "report"; what it raises ends the work, and leaves what was there before.

    Returns
    -------
    The path. Raises ``OSError`` where it cannot be written. What cannot be read is left blank, with the reason.

    Notes
    -----
    Cost: some 0.1 s an image of 500 × 500 pixels. Memory: one image, and the crops: some 100 kB a region.
    """
    target = Path(path)
    folder = target.with_name(f"{target.stem}_files")
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in (*leftovers(target), *leftovers(folder)):
        discard(leftover)
    colours = label_colours(report.clusters)
    with atomic_paths([folder, target]) as (pictures, temporary):
        pictures.mkdir()
        shares, rows, crops = _draw(report, pictures, folder.name, colours, tell)
        with temporary.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(page(report, rows, shares, crops, colours))
    return target


def _draw(
    report: Report, folder: Path, name: str, colours: np.ndarray, tell: Tell
) -> tuple[np.ndarray, list[Row], list[list[Crop]]]:
    """Draw all pictures into a folder that will have this name."""
    count = len(report.images)
    if count == 0:
        return np.zeros((0, report.clusters)), [], [[] for _ in range(report.clusters)]
    seen = overview(_told(report, tell, 0), report.clusters)
    typical: list[list[tuple[Example, Picture]]] = [[] for _ in range(report.clusters)]
    rows = []
    for index, image in enumerate(_told(report, tell, count)):
        picture, problem = _picture_of(image)
        row = _draw_row(image, index, picture, _SATURATED * seen.spreads, folder, name, colours)
        rows.append(row._replace(problem=problem))
        for cluster, example in typical_regions(image, index, seen.centres) if not problem else ():
            kept = typical[cluster - 1]
            if len(kept) < EXAMPLES or example < kept[-1][0]:
                kept.append((example, crop(picture, image.labels, cluster, example.box)))
                kept[:] = heapq.nsmallest(EXAMPLES, kept, key=lambda each: each[0])
    return seen.shares, rows, [_save_crops(kept, index, rows, folder, name) for index, kept in enumerate(typical)]


def _picture_of(image: ReportImage) -> tuple[Picture, str]:
    """The picture of an image; an empty one, and in a line why, where it cannot be read any more."""
    try:
        return displayed(image.read()), ""
    except (Cancelled, MemoryError):
        raise
    except Exception as error:  # whatever is bad about it by now
        return blank((image.labels.shape[0], image.labels.shape[1])), explain(error)


def _told(report: Report, tell: Tell, done: int) -> Iterator[ReportImage]:
    """All images, one by one."""
    total = 2 * len(report.images)
    for index in range(len(report.images)):
        tell(Progress("report", done + index, total))
        yield report.images[index]


def _draw_row(
    image: ReportImage,
    index: int,
    picture: Picture,
    limits: np.ndarray,
    folder: Path,
    name: str,
    colours: np.ndarray,
) -> Row:
    shown = thumbnail(picture)
    segments = painted(shown, image.labels, colours)
    strip, vectors = vector_strip(image.vectors, limits)
    number = f"{index + 1:05d}"
    names = [f"{number}_image.jpg", f"{number}_kinds.jpg", f"{number}_eigenvectors.png"]
    save_picture(folder / names[0], shown)
    save_picture(folder / names[1], segments)
    save_strip(folder / names[2], strip)
    return Row(
        image.name,
        (image.labels.shape[0], image.labels.shape[1]),
        [f"{name}/{each}" for each in names],
        [(each.shape[1], each.shape[0]) for each in (shown, segments, strip)],
        vectors,
        _marks(image, len(colours)),
        image.files,
    )


def _marks(image: ReportImage, clusters: int) -> list[tuple[int, float, float]]:
    """Where the number of each cluster is written: in the middle of its largest part."""
    from scipy import ndimage

    labels = sampled(image.labels, image.vectors.shape[1:])
    marks = []
    for cluster in range(1, clusters + 1):
        here = labels == cluster
        if here.mean() >= _MARKED:
            parts, _ = ndimage.label(here)
            row, column = innermost(parts == np.argmax(np.bincount(parts.ravel())[1:]) + 1)
            marks.append((cluster, (row + 0.5) / labels.shape[0], (column + 0.5) / labels.shape[1]))
    return marks


def _save_crops(
    kept: Sequence[tuple[Example, Picture]], index: int, rows: Sequence[Row], folder: Path, name: str
) -> list[Crop]:
    crops = []
    for rank, (example, picture) in enumerate(kept):
        file = f"kind{index + 1:03d}_{rank + 1}.jpg"
        save_picture(folder / file, picture)
        crops.append(Crop(f"{name}/{file}", rows[example.image].name))
    return crops
