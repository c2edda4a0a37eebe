"""PASCAL VOC: Everingham, Van Gool, Williams, Winn & Zisserman, IJCV 2010. Classes and objects, void at borders."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np

from napari_what_where.evaluation.datasets.files import instances_of, not_laid_out, read_label_image
from napari_what_where.evaluation.datasets.types import DataSet, Sample, Truth

EXPECTED = "JPEGImages/ID.jpg, SegmentationClass/ID.png, SegmentationObject/ID.png and ImageSets/Segmentation/SPLIT.txt"
DEFAULT_SPLIT = "val"
VOID = 255
CLASSES = {
    0: "background", 1: "aeroplane", 2: "bicycle", 3: "bird", 4: "boat", 5: "bottle", 6: "bus", 7: "car", 8: "cat",
    9: "chair", 10: "cow", 11: "diningtable", 12: "dog", 13: "horse", 14: "motorbike", 15: "person",
    16: "pottedplant", 17: "sheep", 18: "sofa", 19: "train", 20: "tvmonitor",
}  # fmt: skip


def read_voc(folder: Path, split: str = DEFAULT_SPLIT) -> DataSet:
    """The images that the split's list names (VOC2007 and later alike); ``LayoutError`` where there is no such list.

    Without a folder SegmentationObject, as in lists that were augmented with other masks, there are only classes.
    """
    listing = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
    needed = (folder / "JPEGImages", folder / "SegmentationClass", listing)
    missing = [path for path in needed if not path.exists()]
    names = [] if missing else listing.read_text(encoding="utf-8").split()
    if not names:
        raise not_laid_out(folder, "PASCAL VOC", f"{EXPECTED}, with SPLIT {split}", (missing or [listing])[0])
    with_objects = (folder / "SegmentationObject").is_dir()
    samples = []
    for name in names:
        maps = [folder / "SegmentationClass" / f"{name}.png"]
        if with_objects:
            maps.append(folder / "SegmentationObject" / f"{name}.png")
        samples.append(Sample(name, folder / "JPEGImages" / f"{name}.jpg", tuple(maps), partial(_read, *maps)))
    usual = ("classes", "instances") if with_objects else ("classes",)
    # No boundaries: the void lies just where they would be.
    return DataSet("voc", samples, ("regions", *usual), usual, CLASSES)


def _read(classes: Path, objects: Path | None = None) -> Truth:
    kinds = read_label_image(classes)
    kinds = np.where(kinds == VOID, -1, kinds)
    if objects is None:
        return Truth([kinds], kinds)
    things = read_label_image(objects)
    things = np.where(things == VOID, -1, things)
    return Truth([things], kinds, instances_of(things), void=things < 0)
