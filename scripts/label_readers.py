"""Exported labels as programs that are not ours read them, and a sheet of pictures of that."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

SIDE = 300
"""Pixels of a picture in the sheet."""
ROOM = 60
"""Half of the width of a note."""
Colour = tuple[int, int, int]
Ring = list[tuple[float, float]]


class Reading(NamedTuple):
    """What a reader gives: (rows, columns) labels; outlines, (x, y), if it gives such; notes, each at an (x, y)."""

    labels: np.ndarray
    rings: tuple[Ring, ...] = ()
    notes: tuple[tuple[float, float, str], ...] = ()
    pixels: np.ndarray | None = None
    """Colours that the file itself has, (rows, columns, 3) uint8."""


def tiff(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    import tifffile

    return Reading(tifffile.imread(path))


def ome_tiff(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    import tifffile

    with tifffile.TiffFile(path) as file:
        assert file.is_ome
        return Reading(file.series[0].asarray())


def ome_zarr(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    import tensorstore

    (name,) = json.loads((path / "labels" / ".zattrs").read_text())["labels"]
    store = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(path / "labels" / name / "0")}}
    return Reading(tensorstore.open(store, read=True).result().read().result())


def png(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    return Reading(np.asarray(Image.open(path)))


def png_indexed(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    with Image.open(path) as image:
        assert image.mode == "P"
        return Reading(np.asarray(image), pixels=np.asarray(image.convert("RGB")))


def png_colour(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    """Labels by their colours, which have to differ."""
    pixels = np.asarray(Image.open(path).convert("RGB"))
    labels = np.zeros(shape, int)
    for label, colour in colours.items():
        labels[(pixels == colour).all(axis=-1)] = label
    return Reading(labels, pixels=pixels)


def npy(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    return Reading(np.load(path))


def coco(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    from pycocotools.coco import COCO

    with redirect_stdout(io.StringIO()):
        data = COCO(str(path))
    labels, rings = np.zeros(shape, int), []
    for annotation in data.dataset["annotations"]:
        labels[data.annToMask(annotation) > 0] = annotation["label"]
        if isinstance(annotation["segmentation"], list):
            rings += [list(zip(flat[::2], flat[1::2], strict=True)) for flat in annotation["segmentation"]]
    return Reading(labels, tuple(rings))


def geojson(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    import shapely

    labels, rings = np.zeros(shape, int), []
    for feature in json.loads(path.read_text())["features"]:
        geometry = shapely.geometry.shape(feature["geometry"])
        assert geometry.is_valid
        parts = shapely.get_parts(geometry)
        outlines = [list(ring.coords) for part in parts for ring in (part.exterior, *part.interiors)]
        labels[_inside(outlines, shape)] = int(feature["properties"]["measurements"]["Label"])
        rings += outlines
    return Reading(labels, tuple(rings))


def imagej_roi(path: Path, shape: tuple[int, int], colours: Mapping[int, Colour]) -> Reading:
    import roifile

    labels, rings = np.zeros(shape, int), []
    for roi in roifile.roiread(path):
        several = roi.multi_coordinates is not None
        outlines = roi.path2coords(roi.multi_coordinates) if several else [roi.coordinates()]
        labels[_inside(outlines, shape)] = int(roi.props.removeprefix("label: "))
        rings += [[tuple(corner) for corner in ring] for ring in outlines]
    return Reading(labels, tuple(rings))


def _inside(rings: list, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres an odd number of rings surround, bool."""
    import shapely

    rows, columns = np.indices(shape)
    return (
        sum(shapely.contains_xy(shapely.Polygon(ring), columns + 0.5, rows + 0.5).astype(int) for ring in rings) % 2
        == 1
    )


READERS = {
    "tiff": ("TIFF", "tifffile", tiff),
    "ome-tiff": ("OME-TIFF", "tifffile", ome_tiff),
    "ome-zarr": ("OME-Zarr", "tensorstore", ome_zarr),
    "png": ("PNG, grey", "Pillow", png),
    "png-indexed": ("PNG, indexed", "Pillow, its palette", png_indexed),
    "npy": ("NPY", "numpy", npy),
    "imagej-roi": ("ImageJ ROIs", "roifile", imagej_roi),
    "geojson": ("GeoJSON", "shapely", geojson),
    "coco": ("COCO, masks", "pycocotools", coco),
    "coco-polygons": ("COCO, polygons", "pycocotools", coco),
    "png-colour": ("PNG, colour", "Pillow", png_colour),
}


def table(path: Path, labels: np.ndarray) -> Reading:
    """The table as Python's csv reads it; its areas and centres have to be those of the labels, in pixels."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["label"]) for row in rows] == np.unique(labels[labels > 0]).tolist()
    notes = []
    for row in rows:
        mask = labels == int(row["label"])
        area, y, x = (float(row[name]) for name in ("area_px2", "centroid_y_px", "centroid_x_px"))
        assert area == mask.sum()
        assert np.allclose((y, x), np.argwhere(mask).mean(axis=0))
        # Within the object, also where its centre is not.
        near = np.argwhere(mask)[np.abs(np.argwhere(mask) - (y, x)).sum(axis=1).argmin()]
        notes.append((float(near[1]), float(near[0]), f"{row['label']}: {area:,.0f} pixels"))
    return Reading(np.zeros_like(labels), notes=tuple(notes))


def read_all(
    files: Mapping[str, Path], labels: np.ndarray, colours: Mapping[int, Colour]
) -> list[tuple[str, Image.Image]]:
    """Every file, by its format, read and compared with the labels; a title and a picture of each reading."""
    pictures = []
    for name, (title, reader, read) in READERS.items():
        found = read(files[name], labels.shape, colours)
        assert np.array_equal(found.labels, labels), name
        pictures.append((f"{title}: {reader}", drawn(found, colours)))
    pictures.append(("CSV: Python’s csv", drawn(table(files["csv"], labels), colours)))
    return pictures


def drawn(found: Reading, colours: Mapping[int, Colour]) -> Image.Image:
    """A reading in the colours of its labels, or in its own; outlines in white."""
    if found.pixels is not None:
        pixels = found.pixels
    else:
        pixels = np.zeros((*found.labels.shape, 3), np.uint8)
        for label, colour in colours.items():
            pixels[found.labels == label] = colour
    if found.rings:
        pixels = pixels // 2
    zoom = SIDE / max(pixels.shape[:2])
    size = (round(pixels.shape[1] * zoom), round(pixels.shape[0] * zoom))
    picture = Image.fromarray(pixels).resize(size, Image.Resampling.NEAREST)
    pen = ImageDraw.Draw(picture)
    for ring in found.rings:
        pen.line([(x * zoom, y * zoom) for x, y in (*ring, ring[0])], fill=(255, 255, 255))
    for x, y, text in found.notes:
        middle = float(np.clip(x * zoom, ROOM, SIDE - ROOM))
        pen.text((middle, y * zoom), text, fill=(240, 241, 242), font_size=14, anchor="mm")
    return picture
