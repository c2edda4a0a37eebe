"""Two tiny images with ground truth, written in the real formats of each data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SHAPE = (24, 36)
NAMES = ("first", "second")
SQUARES = {1: (slice(3, 12), slice(3, 14)), 2: (slice(10, 21), slice(20, 32))}


def objects() -> np.ndarray:
    """Two squares, 1 and 2, on background 0."""
    plane = np.zeros(SHAPE, np.uint8)
    for label, place in SQUARES.items():
        plane[place] = label
    return plane


def photograph(name: str) -> np.ndarray:
    """The squares in two colours, slightly different in each image."""
    colours = np.array([[40, 50, 60], [220, 180, 40], [30, 200, 220 if name == "first" else 180]], np.uint8)
    return colours[objects()]


def save(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)
    return path


def save_palette(path: Path, indices: np.ndarray) -> None:
    """A PNG with a palette, as VOC's: the numbers are the indices, the colours are only to look at."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(indices.astype(np.uint8), mode="P")
    image.putpalette([(7 * value) % 256 for value in range(768)])
    image.save(path)


def with_border(plane: np.ndarray, width: int = 1) -> np.ndarray:
    """The plane with 255 at the edges of the squares."""
    bordered = plane.copy()
    for rows, columns in SQUARES.values():
        ring = np.zeros(SHAPE, bool)
        ring[rows, columns] = True
        ring[rows.start + width : rows.stop - width, columns.start + width : columns.stop - width] = False
        bordered[ring] = 255
    return bordered


def write_bsds500(root: Path, split: str = "val") -> Path:
    for name in NAMES:
        save(root / "data/images" / split / f"{name}.jpg", photograph(name))
        coarse = (objects() > 0).astype(np.uint16)
        annotators = np.empty((1, 2), object)
        for index, plane in enumerate((objects().astype(np.uint16), coarse)):
            annotators[0, index] = {"Segmentation": plane + 1, "Boundaries": np.zeros(SHAPE, np.uint8)}
        path = root / "data/groundTruth" / split / f"{name}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"groundTruth": annotators})
    return root


def write_voc(root: Path) -> Path:
    """A cat and a person; borders void."""
    kinds = np.array([0, 8, 15], np.uint8)[objects()]
    for name in NAMES:
        save(root / "JPEGImages" / f"{name}.jpg", photograph(name))
        save_palette(root / "SegmentationClass" / f"{name}.png", with_border(kinds))
        save_palette(root / "SegmentationObject" / f"{name}.png", with_border(objects()))
    save(root / "JPEGImages" / "unlisted.jpg", photograph("first"))
    listing = root / "ImageSets/Segmentation/val.txt"
    listing.parent.mkdir(parents=True)
    listing.write_text("\n".join(NAMES) + "\n")
    return root


def counts(mask: np.ndarray) -> dict[str, object]:
    """COCO's uncompressed run lengths, column by column."""
    flat = mask.ravel(order="F").astype(int)
    bounds = [0, *(np.flatnonzero(np.diff(flat)) + 1).tolist(), len(flat)]
    runs = [0] * int(flat[0]) + np.diff(bounds).tolist()
    return {"size": list(mask.shape), "counts": runs}


def polygon(place: tuple[slice, slice]) -> list[list[float]]:
    (top, bottom), (left, right) = ((part.start, part.stop) for part in place)
    return [[left, top, right, top, right, bottom, left, bottom]]


def write_coco(root: Path, folder: str = "val2017") -> Path:
    """A polygon, an uncompressed mask, and a crowd in the lower left corner; the second image has nothing in it."""
    from pycocotools import mask

    crowd = np.zeros(SHAPE, np.uint8, order="F")
    crowd[16:, :12] = 1
    compressed = mask.encode(crowd)
    compressed["counts"] = compressed["counts"].decode("ascii")
    segmentations = [polygon(SQUARES[1]), counts(objects() == 2), compressed]
    annotations = [
        {"id": index + 1, "image_id": 7, "category_id": kind, "segmentation": one, "iscrowd": int(kind == 44)}
        for index, (one, kind) in enumerate(zip(segmentations, (17, 1, 44), strict=True))
    ]
    images = [
        {"id": number, "file_name": f"{name}.jpg", "height": SHAPE[0], "width": SHAPE[1]}
        for number, name in zip((7, 9), NAMES, strict=True)
    ]
    for name in NAMES:
        save(root / folder / f"{name}.jpg", photograph(name))
    names = [{"id": 1, "name": "person"}, {"id": 17, "name": "cat"}, {"id": 44, "name": "bottle"}]
    content = {"images": images, "annotations": annotations, "categories": names}
    path = root / "annotations/instances_val2017.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(content))
    return root


def write_coco_stuff(root: Path, form: str) -> Path:
    """Sky, grass and sea over squares and ground, the uppermost rows unlabelled; as ``json`` or one of the maps."""
    numbers = np.array([156, 123, 154])[objects()]
    numbers[:2] = 0
    for name in NAMES:
        save(root / "val2017" / f"{name}.jpg", photograph(name))
        if form == "pixelmaps":
            save(root / "annotations/stuff_val2017_pixelmaps" / f"{name}.png", numbers.astype(np.uint8))
        if form == "stuffthingmaps":
            save(root / "stuffthingmaps/val2017" / f"{name}.png", np.where(numbers, numbers - 1, 255).astype(np.uint8))
    if form == "json":
        size = {"height": SHAPE[0], "width": SHAPE[1]}
        images = [{"id": number, "file_name": f"{name}.jpg"} | size for number, name in enumerate(NAMES)]
        annotations = [
            {"id": 10 * image["id"] + kind, "image_id": image["id"], "category_id": kind, "iscrowd": 0,
             "segmentation": counts(numbers == kind)}
            for image in images for kind in (123, 154, 156)
        ]  # fmt: skip
        path = root / "annotations/stuff_val2017.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    return root


def write_cityscapes(root: Path) -> Path:
    """Two cars on a road, a group of cars, and the ego vehicle, which is void; each image in a city of its own."""
    labels = np.array([7, 26, 26], np.uint8)[objects()]
    numbers = np.array([7, 26000, 26001], np.uint16)[objects()]
    labels[-3:], numbers[-3:] = 1, 1
    labels[3:8, 20:30], numbers[3:8, 20:30] = 26, 26
    for name in NAMES:
        stem = f"{name}_000000_000019"
        save(root / "leftImg8bit/val" / name / f"{stem}_leftImg8bit.png", photograph(name))
        save(root / "gtFine/val" / name / f"{stem}_gtFine_labelIds.png", labels)
        save(root / "gtFine/val" / name / f"{stem}_gtFine_instanceIds.png", numbers)
    return root


def write_folder(root: Path, subfolders: bool = False) -> Path:
    import tifffile

    for name in NAMES:
        save(root / ("images" if subfolders else "") / f"{name}.png", photograph(name))
        mask = root / "masks" / f"{name}.tif" if subfolders else root / f"{name}_masks.tif"
        mask.parent.mkdir(exist_ok=True)
        tifffile.imwrite(mask, objects().astype(np.uint16))
    return root
