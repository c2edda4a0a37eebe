"""Plain folders: images, and masks of the same names."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np

from napari_what_where.evaluation.datasets.files import (
    IMAGE_SUFFIXES,
    LABEL_SUFFIXES,
    files_in,
    instances_of,
    not_laid_out,
    read_label_image,
)
from napari_what_where.evaluation.datasets.types import DataSet, LayoutError, Sample, Truth

EXPECTED = (
    "images/NAME.EXT with masks/NAME.EXT (other folders by --images and --masks), or NAME.EXT with NAME_masks.EXT"
)
SUFFIX = "_masks"
KINDS = ("instances", "classes")


def read_folder(
    folder: Path, images: str | None = None, masks: str | None = None, kind: str = "instances", void: int | None = None
) -> DataSet:
    """Pair images with masks by their stems, with or without ``_masks`` at the end of the mask's.

    ``images``, ``masks``: names of subfolders, by default ``images`` and ``masks`` if there are any, else the folder
    itself; ``kind``: what a mask's numbers are, ``"instances"`` with 0 for background, or ``"classes"``; ``void``:
    the number of pixels that do not count. Images without a mask are left out.

    Raises ``LayoutError`` where there is no pair, or two files claim one stem; ``ValueError`` for another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"Masks are {kind!r}; expected one of {', '.join(KINDS)}.")
    image_folder, mask_folder = (
        folder / (given or usual) if given or (folder / usual).is_dir() else folder
        for given, usual in ((images, "images"), (masks, "masks"))
    )
    marked = image_folder == mask_folder
    masked = _by_stem([p for p in files_in(mask_folder, LABEL_SUFFIXES) if not marked or p.stem.endswith(SUFFIX)])
    paths = [p for p in files_in(image_folder, IMAGE_SUFFIXES) if not marked or not p.stem.endswith(SUFFIX)]
    pairs = {stem: (path, masked[stem]) for stem, path in _by_stem(paths).items() if stem in masked}
    if not pairs:
        raise not_laid_out(folder, "images with masks", EXPECTED, mask_folder if paths else image_folder)
    read = partial(_read, kind=kind, void=void)
    samples = [Sample(stem, path, (mask,), partial(read, mask)) for stem, (path, mask) in pairs.items()]
    measures = ("regions", "boundaries", kind)
    return DataSet("folder", samples, measures, ("regions", kind), options={"kind": kind, "void": void})


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    stems = [path.stem.removesuffix(SUFFIX) for path in paths]
    twice = [stem for stem, count in Counter(stems).items() if count > 1]
    if twice:
        clashes = ", ".join(path.name for path, stem in zip(paths, stems, strict=True) if stem == twice[0])
        raise LayoutError(f"Two files stand for {twice[0]}: {clashes}. Keep one of them.")
    return dict(zip(stems, paths, strict=True))


def _read(path: Path, kind: str, void: int | None) -> Truth:
    labels = read_label_image(path)
    hidden = np.zeros(labels.shape, bool) if void is None else labels == void
    if labels[~hidden].min(initial=0) < 0:
        raise ValueError(f"{path.name} holds negative labels; expected numbers from 0 on. Name the void by --void.")
    labels = np.where(hidden, -1, labels)
    if kind == "classes":
        return Truth([labels], labels)
    return Truth([labels], instances=instances_of(labels), void=hidden)
