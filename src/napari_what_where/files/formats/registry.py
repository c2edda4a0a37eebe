"""From the name of a format to what writes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from napari_what_where.files.encoding import atomic_path
from napari_what_where.files.formats import coco, geojson, imagej_roi, npy, ome_zarr, png, region_table, tiff
from napari_what_where.files.formats.types import LabelImage


class LabelFormat(NamedTuple):
    """A format of label images.

    ``ending``: of the names of its files, after the name of what is in them; ``suffixes``: of file names that mean it,
    in lower case, if any; ``stacks``: whether one file holds several planes; ``about``: who reads it, for a list to
    choose from; ``write``: writes a label image to a path, ``ValueError`` for what it cannot hold.
    """

    ending: str
    suffixes: tuple[str, ...]
    stacks: bool
    about: str
    write: Callable[[Path, LabelImage], None]


LABEL_FORMATS: dict[str, LabelFormat] = {
    "tiff": LabelFormat(".tif", (".tif", ".tiff"), True, "ImageJ, Fiji, CellProfiler, ilastik", tiff.write_tiff),
    "png": LabelFormat(".png", (".png",), False, "any program; grey values are labels", png.write_grey),
    "ome-tiff": LabelFormat(
        ".ome.tif", (".ome.tif", ".ome.tiff"), True, "OMERO, QuPath, Bio-Formats, Imaris", tiff.write_ome_tiff
    ),
    "png-indexed": LabelFormat("_indexed.png", (), False, "training tools (Pascal VOC, DAVIS)", png.write_indexed),
    "png-colour": LabelFormat(
        "_colour.png", (), False, "slides and papers: a picture, not for measuring", png.write_colour
    ),
    "coco": LabelFormat("_coco.json", (".json",), True, "detectron2, MMDetection, FiftyOne; exact", coco.write_runs),
    "coco-polygons": LabelFormat(
        "_coco_polygons.json", (), True, "CVAT, Label Studio, YOLO tools; outlines to edit", coco.write_polygons
    ),
    "geojson": LabelFormat(".geojson", (".geojson",), True, "QuPath: annotations with holes", geojson.write_geojson),
    "ome-zarr": LabelFormat(
        ".ome.zarr", (".ome.zarr", ".zarr"), True, "napari, MoBIE, OMERO, the cloud", ome_zarr.write_ome_zarr
    ),
    "imagej-roi": LabelFormat("_rois.zip", (".zip",), True, "ImageJ and Fiji: the ROI Manager", imagej_roi.write_rois),
    "npy": LabelFormat(".npy", (".npy",), True, "Python: numpy.load", npy.write_npy),
    "csv": LabelFormat(".csv", (".csv",), True, "spreadsheets, R, pandas: measurements", region_table.write_table),
}

_ALIASES = {suffix.lstrip("."): name for name, row in LABEL_FORMATS.items() for suffix in row.suffixes}
_ALIASES |= {"png-color": "png-colour"} | {name: name for name in LABEL_FORMATS}


def parse_formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Names of label formats, ``"tiff,png"`` or ``["tif"]``, as a tuple of keys of ``LABEL_FORMATS`` without repeats.

    Raises ``ValueError`` for a name that is not among them, or none at all.
    """
    names = formats.split(",") if isinstance(formats, str) else formats
    tidy = [name.strip().lower().lstrip(".").replace("_", "-") for name in names]
    if any(name not in _ALIASES for name in tidy) or not tidy:
        known = ", ".join(LABEL_FORMATS)
        raise ValueError(f"The formats are {', '.join(tidy) or 'none'}; expected one or more of {known}.")
    return tuple(dict.fromkeys(_ALIASES[name] for name in tidy))


def suffix_of(path: str | os.PathLike[str]) -> str:
    """The suffix of a file name that means a format, ".ome.tif" whole; "" for none."""
    name = Path(path).name.lower()
    known = (suffix for row in LABEL_FORMATS.values() for suffix in row.suffixes)
    return max((suffix for suffix in known if name.endswith(suffix) and name != suffix), key=len, default="")


def format_of(path: str | os.PathLike[str]) -> str | None:
    """The format that the suffix of a file name means; None where it means none."""
    return _ALIASES.get(suffix_of(path).lstrip("."))


def check_replaceable(paths: Iterable[str | os.PathLike[str]]) -> None:
    """Raise ``ValueError`` where one of ``paths`` is a Zarr folder that is no export of ours: it may hold an image."""
    for path in map(Path, paths):
        if path.name.lower().endswith(".zarr") and path.is_dir() and not ome_zarr.is_own(path):
            raise ValueError(f"{path} is a folder that was not exported from here; choose another name, or remove it.")


def check_stacks(formats: Sequence[str]) -> None:
    """Raise ``ValueError`` where one of ``formats`` holds one plane only."""
    flat = [name for name in formats if not LABEL_FORMATS[name].stacks]
    if flat:
        stacks = ", ".join(name for name, row in LABEL_FORMATS.items() if row.stacks)
        raise ValueError(f"{', '.join(flat)}: a PNG holds one plane; a stack is written as {stacks}.")


def write_label_image(path: str | os.PathLike[str], given: LabelImage, format: str) -> Path:
    """Write a label image whole, or nothing; the path. Raises what the format's writer raises, and ``OSError``."""
    check_replaceable([path])
    with atomic_path(path) as temporary:
        LABEL_FORMATS[format].write(temporary, given)
    return Path(path)
