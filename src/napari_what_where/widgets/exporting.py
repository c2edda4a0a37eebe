"""One of our Labels layers → files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.export import output_paths, save_analysis
from napari_what_where.widgets.source import Source

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

_SUFFIX_FORMATS = {".tif": "tiff", ".tiff": "tiff", ".png": "png"}


def suggested_name(source: Source) -> str:
    """A file name to start from: beside the image where it is a file."""
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in source.plane_name).strip("_")
    folder = Path(source.path).parent if source.path else Path()
    return str(folder / f"{stem}_labels.tif")


def split_name(name: str) -> tuple[Path, str, str]:
    """Folder, stem and format of a chosen labels file: "out/coffee_labels.tif" is out, coffee, tiff."""
    path = Path(name)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIX_FORMATS:
        path, suffix = path.with_name(path.name + ".tif"), ".tif"
    return path.parent, path.stem.removesuffix("_labels"), _SUFFIX_FORMATS[suffix]


def existing_others(name: str) -> list[str]:
    """Names of files that an export to ``name`` would replace and that the file dialog did not ask about."""
    folder, stem, format = split_name(name)
    chosen = Path(name)
    return [path.name for path in output_paths(folder, stem, format) if path.exists() and path != chosen]


def export_labels(analysis: Analysis, source: Source, labels: np.ndarray, name: str) -> list[Path]:
    """Write labels (as they are in the layer), eigenvectors and provenance; returns the paths."""
    folder, stem, format = split_name(name)
    return save_analysis(
        analysis,
        folder,
        stem,
        segments=len(np.unique(labels[labels > 0])),
        formats=format,
        labels=labels.reshape([labels.shape[axis] for axis in source.axes]),
        pixel_size=source.pixel_size(),
        units=source.unit_name(),
        source=source.path or source.plane_name,
    )
