"""TIFF as ImageJ reads it, and OME-TIFF: exact labels, stacks included, with their scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.files.encoding import label_dtype, software, system_errors, write_imagej
from napari_what_where.files.formats.types import LabelImage
from napari_what_where.files.formats.units import is_time, unit_symbol

LARGEST_OME = 2**32 - 1


def write_tiff(path: Path, given: LabelImage) -> None:
    """Uncompressed, uint16 up to label 65,535, float32 up to 16,777,216. ``ValueError`` beyond."""
    stored = given.labels.astype(label_dtype(given.labels, "tiff"))
    write_imagej(path, stored, axes=given.axes, pixel_size=given.pixel_size, units=given.units, info=given.info)


def write_ome_tiff(path: Path, given: LabelImage) -> None:
    """Deflated, uint8, uint16 or uint32 as the largest label needs, else ``ValueError``; names and classes as a map."""
    import tifffile

    with system_errors(path):
        tifffile.imwrite(
            path,
            given.labels.astype(ome_dtype(given.labels)),
            ome=True,
            photometric="minisblack",  # three columns are no colours
            compression="zlib",
            software=software(),
            metadata={"axes": given.axes, "Name": given.name, **_described(given), **_scale(given)},
        )


def ome_dtype(labels: np.ndarray) -> np.dtype:
    """The smallest type of OME-TIFF that holds every label exactly. ``ValueError`` where none does."""
    largest = int(labels.max())
    if largest > LARGEST_OME:
        raise ValueError(
            f"The largest label is {largest:,}; an OME-TIFF holds labels up to {LARGEST_OME:,}. Renumber them first, "
            "for example with skimage.segmentation.relabel_sequential, or write npy."
        )
    return np.min_scalar_type(largest)


def _described(given: LabelImage) -> dict[str, Any]:
    known = {label: [text for text in _texts(given, label) if text] for label in given.values}
    entries = {str(label): ", ".join(texts) for label, texts in known.items() if texts}
    described: dict[str, Any] = {} if given.info is None else {"Description": given.info}
    return described | ({"MapAnnotation": entries} if entries else {})


def _texts(given: LabelImage, label: int) -> tuple[str, str]:
    return given.names.get(label, ""), given.classes.get(label, "")


def _scale(given: LabelImage) -> dict[str, Any]:
    scale: dict[str, Any] = {}
    for axis in "XYZ":
        size, unit = given.size(axis), given.unit(axis)
        if size is not None:
            scale[f"PhysicalSize{axis}"] = size
            scale[f"PhysicalSize{axis}Unit"] = unit_symbol(unit) or "pixel"
    if given.size("T") is not None and is_time(given.unit("T")):
        scale |= {"TimeIncrement": given.size("T"), "TimeIncrementUnit": unit_symbol(given.unit("T"))}
    return scale
