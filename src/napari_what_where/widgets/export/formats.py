"""The formats of labels as boxes to tick."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtWidgets import QCheckBox

from napari_what_where.files.formats.registry import LABEL_FORMATS

GROUPS = {
    "Label images": ("tiff", "ome-tiff", "ome-zarr", "png", "png-indexed", "npy"),
    "Outlines and masks": ("imagej-roi", "geojson", "coco", "coco-polygons"),
    "Tables and pictures": ("csv", "png-colour"),
}
TITLES = {
    "tiff": "TIFF", "ome-tiff": "OME-TIFF", "ome-zarr": "OME-Zarr", "png": "PNG, grey", "png-indexed": "PNG, indexed",
    "npy": "NPY", "imagej-roi": "ImageJ ROIs", "geojson": "GeoJSON", "coco": "COCO, masks",
    "coco-polygons": "COCO, polygons", "csv": "CSV", "png-colour": "PNG, colour",
}  # fmt: skip
ONE_PLANE = "A PNG holds one plane; this is a stack"
NO_FORMAT = "Tick one or more formats."


def boxes_of_formats() -> dict[str, QCheckBox]:
    """A box for each format, by its name, in the order of the groups; TIFF is ticked."""
    boxes = {name: QCheckBox(TITLES[name]) for names in GROUPS.values() for name in names}
    boxes["tiff"].setChecked(True)
    offer_formats(boxes, stacks=False)
    return boxes


def ticked_formats(boxes: Mapping[str, QCheckBox]) -> list[str]:
    """The names of the formats that are ticked and possible."""
    return [name for name in LABEL_FORMATS if boxes[name].isChecked() and boxes[name].isEnabled()]


def offer_formats(boxes: Mapping[str, QCheckBox], *, stacks: bool) -> None:
    """Disable those that hold no stack, if there is one; each says whom it is for, or why it is not to be had."""
    for name, box in boxes.items():
        row = LABEL_FORMATS[name]
        possible = row.stacks or not stacks
        box.setEnabled(possible)
        box.setToolTip(f"For {row.about} — {row.ending}" if possible else ONE_PLANE)
