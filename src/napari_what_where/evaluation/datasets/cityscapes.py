"""Cityscapes: Cordts et al., CVPR 2016. Streets, with 19 classes that count and objects of eight of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from napari_what_where.evaluation.datasets.files import instances_of, not_laid_out, read_label_image
from napari_what_where.evaluation.datasets.types import DataSet, Sample, Truth

EXPECTED = (
    "leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png with gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png and "
    "NAME_gtFine_instanceIds.png"
)
DEFAULT_SPLIT = "val"

# The labels that are evaluated, by their identifiers, in the order of the official train identifiers 0 … 18.
TRAIN_LABELS = {
    7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
    20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car", 27: "truck",
    28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
}  # fmt: skip
THINGS = (24, 25, 26, 27, 28, 31, 32, 33)


def read_cityscapes(folder: Path, split: str = DEFAULT_SPLIT) -> DataSet:
    """The images of all cities of a split; ``LayoutError`` where there are none."""
    images = folder / "leftImg8bit" / split
    paths = sorted(images.glob("*/*_leftImg8bit.png"))
    if not paths or not (folder / "gtFine" / split).is_dir():
        at = folder / "gtFine" / split if paths else images
        raise not_laid_out(folder, "Cityscapes", f"{EXPECTED}, with SPLIT {split}", at)
    samples = []
    for path in paths:
        name = path.stem.removesuffix("_leftImg8bit")
        truth = folder / "gtFine" / split / path.parent.name
        maps = tuple(truth / f"{name}_gtFine_{kind}.png" for kind in ("labelIds", "instanceIds"))
        samples.append(Sample(name, path, maps, partial(_read, *maps)))
    measures = ("regions", "boundaries", "classes", "instances")
    return DataSet("cityscapes", samples, measures, measures[2:], dict(enumerate(TRAIN_LABELS.values())))


def _read(labels: Path, objects: Path) -> Truth:
    """Train identifiers and objects; what the official evaluation ignores is void.

    An instance identifier is 1000 · label + number for an object; a thing with its bare label is a group of
    objects, which the evaluation treats as a crowd.
    """
    kinds, things = read_label_image(labels), read_label_image(objects)
    lookup = np.full(256, -1)
    lookup[list(TRAIN_LABELS)] = np.arange(len(TRAIN_LABELS))
    classes = lookup[np.where((kinds < 0) | (kinds > 255), 0, kinds)]
    single = np.where(np.isin(things // 1000, THINGS), things, 0)
    groups = np.where(np.isin(things, THINGS), things, 0)
    regions = np.where(classes < 0, -1, np.unique(things, return_inverse=True)[1].reshape(things.shape))
    return Truth([regions], classes, instances_of(single, groups), void=classes < 0)
