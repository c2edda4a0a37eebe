"""CSV of region properties, a row for each label, in physical units where the size of a pixel is known."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.files.formats.types import LabelImage
from napari_what_where.files.formats.units import unit_symbol
from napari_what_where.progress import checkpoint

FLAT = (
    "area",
    "perimeter",
    "equivalent_diameter",
    "major_axis",
    "minor_axis",
    "eccentricity",
    "solidity",
    "orientation",
)
SOLID = ("volume", "equivalent_diameter")
_SKIMAGE = {
    "volume": "area",
    "equivalent_diameter": "equivalent_diameter_area",
    "major_axis": "axis_major_length",
    "minor_axis": "axis_minor_length",
}
_POWERS = {"area": 2, "volume": 3, "eccentricity": 0, "solidity": 0, "orientation": 0}
"""Of length; others are lengths themselves."""


def write_table(path: Path, given: LabelImage) -> None:
    """UTF-8, commas, a header with the unit of every column, such as ``area_um2``; pixels (px) where none is known.

    Z stacks are measured as volumes; each time, and each channel, by itself, which further columns say. Positions are
    those of centres of pixels, counted from the image's first; boxes end one pixel after the last. Intensities are
    means of the image, if there is one. The perimeter needs pixels as high as wide.
    """
    columns: dict[str, list[Any]] = {}
    for row in _rows(given):
        for name, value in row.items():
            columns.setdefault(name, []).append(value)
    header = list(columns) or list(next(_rows(_one_label(given))))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(zip(*columns.values(), strict=True))


def _one_label(given: LabelImage) -> LabelImage:
    """One pixel of a label, for the header of a table without rows."""
    corner = (slice(None, 1),) * given.labels.ndim
    image = None if given.image is None else given.image[corner]
    return replace(given, labels=np.ones_like(given.labels[corner]), image=image)


def _rows(given: LabelImage) -> Iterator[dict[str, Any]]:
    space = [axis for axis in given.axes if axis in "ZYX"]
    others = [axis for axis in given.axes if axis not in "ZYX"]
    first = [given.axes.index(axis) for axis in (*others, *space)]
    labels = given.labels.transpose(first)
    image = None
    if given.image is not None:
        # Half floats overflow where they are summed, and truth values are not averaged.
        image = given.image.astype(np.float32) if given.image.dtype in (np.float16, np.bool_) else given.image
        image = image.transpose([*first, *range(labels.ndim, image.ndim)])
    unit, sizes = _measure(given, space)
    for place in np.ndindex(labels.shape[: len(others)]):
        where = {_OTHERS[axis]: number for axis, number in zip(others, place, strict=True)}
        for row in _measured(given, labels[place], None if image is None else image[place], space, sizes, unit):
            yield {"label": row.pop("label"), **where, **row}


_OTHERS = {"T": "time", "C": "channel"}
_PLACES = {"Z": "z", "Y": "y", "X": "x"}


def _measure(given: LabelImage, space: list[str]) -> tuple[str, list[float]]:
    """The unit that is written, and the size of a pixel in it: pixels, unless all axes have one unit of length."""
    units = {unit_symbol(given.unit(axis), ascii_only=True) for axis in space}
    sizes = [given.size(axis) for axis in space]
    (unit, *more) = units
    if more or unit is None or any(size is None for size in sizes):
        return "px", [1.0] * len(space)
    return unit, [float(size) for size in sizes if size is not None]


def _measured(
    given: LabelImage, labels: np.ndarray, image: np.ndarray | None, space: list[str], sizes: list[float], unit: str
) -> Iterator[dict[str, Any]]:
    from skimage.measure import regionprops

    # Numbered without gaps: what is measured has a list as long as the largest number.
    values, numbered = np.unique(np.append(labels.ravel(), labels.dtype.type(0)), return_inverse=True)
    numbered = numbered[:-1].reshape(labels.shape)
    for region in regionprops(numbered, intensity_image=image, spacing=tuple(sizes)):
        checkpoint()
        label = int(values[region.label])
        row: dict[str, Any] = {"label": label}
        row |= {"name": given.names.get(label, "")} if given.names else {}
        row |= {"class": given.classes.get(label, "")} if given.classes else {}
        row |= _shape(region, sizes, unit)
        row |= _position(region, given.offset, space, sizes, unit)
        if image is not None:
            means = np.atleast_1d(region.intensity_mean)
            names = (
                ["mean_intensity"]
                if image.ndim == labels.ndim
                else [f"mean_intensity_{n + 1}" for n in range(len(means))]
            )
            row |= {name: float(mean) for name, mean in zip(names, means, strict=True)}
        yield row


def _shape(region: Any, sizes: list[float], unit: str) -> dict[str, float]:
    names = FLAT if len(sizes) == 2 else SOLID
    even = len(set(sizes)) == 1
    return {
        _header(name, unit): float(region[_SKIMAGE.get(name, name)]) for name in names if even or name != "perimeter"
    }


def _header(name: str, unit: str) -> str:
    if name == "orientation":
        return "orientation_rad"
    power = _POWERS.get(name, 1)
    return name if power == 0 else f"{name}_{unit}{power if power > 1 else ''}"


def _position(
    region: Any, offset: tuple[int, int], space: list[str], sizes: list[float], unit: str
) -> Mapping[str, float]:
    moved = [0] * (len(space) - 2) + list(offset)
    count, row = len(space), {}
    for axis, size, first, centre in zip(space, sizes, moved, region.centroid, strict=True):
        row[f"centroid_{_PLACES[axis]}_{unit}"] = float(centre) + first * size
    for end, places in (("min", region.bbox[:count]), ("max", region.bbox[count:])):
        for axis, size, first, place in zip(space, sizes, moved, places, strict=True):
            row[f"box_{end}_{_PLACES[axis]}_{unit}"] = float((place + first) * size)
    return row
