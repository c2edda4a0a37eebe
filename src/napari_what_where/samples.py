"""The sample images that come with the package; ``sample_data/README.md`` says where each is from."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

LayerData = tuple[np.ndarray, dict[str, Any], str]


@dataclass(frozen=True)
class Sample:
    """One sample: its file, what it shows, and, where known, the size of a pixel along each axis."""

    file: str
    title: str
    pixel_size: tuple[float, ...] | None = None
    units: tuple[str, ...] | None = None
    axes: tuple[str, ...] = ("y", "x")


SAMPLES = {
    "coffee": Sample("coffee.png", "Coffee cup"),
    "chelsea": Sample("chelsea.png", "Chelsea the cat"),
    "immunohistochemistry": Sample("immunohistochemistry.png", "Stained tissue (immunohistochemistry)"),
    "cell": Sample("cell.png", "Cell, quantitative phase", (0.107, 0.107), ("micrometer", "micrometer")),
    "coins": Sample("coins.png", "Greek coins"),
    "dividing-cells": Sample(
        "dividing-cells.tif",
        "Dividing cells over time (synthetic)",
        (5.0, 0.25, 0.25),
        ("minute", "micrometer", "micrometer"),
        ("t", "y", "x"),
    ),
}


def sample_names() -> list[str]:
    """Names that :func:`load_sample` knows."""
    return list(SAMPLES)


def load_sample(name: str) -> np.ndarray:
    """The pixels of one sample: (rows, columns[, 3]) uint8, or (times, rows, columns) uint16 of "dividing-cells".

    Raises ``ValueError`` for a name that is not among :func:`sample_names`.
    """
    if name not in SAMPLES:
        raise ValueError(f"There is no sample {name!r}; expected one of {', '.join(SAMPLES)}.")
    packaged = resources.files("napari_what_where") / "sample_data" / SAMPLES[name].file
    with resources.as_file(packaged) as file:
        if file.suffix == ".tif":
            import tifffile

            return np.asarray(tifffile.imread(file))
        from PIL import Image

        with Image.open(file) as image:
            return np.array(image)


def sample_layers(name: str) -> list[LayerData]:
    """One sample as napari layer data: pixels with their name, scale, units, axis labels and source."""
    pixels, sample = load_sample(name), SAMPLES[name]
    attributes: dict[str, Any] = {
        "name": name,
        "rgb": pixels.ndim == 3 and sample.axes == ("y", "x"),
        "axis_labels": sample.axes,
        "metadata": {"sample": name, "title": sample.title, "source": f"napari-what-where, {sample.file}"},
    }
    if sample.pixel_size is not None:
        attributes |= {"scale": sample.pixel_size, "units": sample.units}
    return [(pixels, attributes, "image")]


def coffee() -> list[LayerData]:
    """Open the sample "coffee"."""
    return sample_layers("coffee")


def chelsea() -> list[LayerData]:
    """Open the sample "chelsea"."""
    return sample_layers("chelsea")


def immunohistochemistry() -> list[LayerData]:
    """Open the sample "immunohistochemistry"."""
    return sample_layers("immunohistochemistry")


def cell() -> list[LayerData]:
    """Open the sample "cell"."""
    return sample_layers("cell")


def coins() -> list[LayerData]:
    """Open the sample "coins"."""
    return sample_layers("coins")


def dividing_cells() -> list[LayerData]:
    """Open the sample "dividing-cells"."""
    return sample_layers("dividing-cells")
