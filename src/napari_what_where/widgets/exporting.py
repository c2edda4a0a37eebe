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


def split_name(name: str) -> tuple[Path, str]:
    """The labels file and the stem that its companions get: "out/coffee_labels.tif" is that file and "coffee".

    A name without a suffix of a known format gets ``.tif``.
    """
    path = Path(name)
    if path.suffix.lower() not in _SUFFIX_FORMATS:
        path = path.with_name(path.name + ".tif")
    return path, path.stem.removesuffix("_labels")


def existing_others(name: str) -> list[str]:
    """Names of files that an export to ``name`` would replace and that the file dialog did not ask about."""
    path, stem = split_name(name)
    written = [path, *output_paths(path.parent, stem)[-2:]]
    return [each.name for each in written if each.exists() and each != Path(name)]


def export_labels(analysis: Analysis, source: Source, labels: np.ndarray, name: str) -> list[Path]:
    """Write labels as they are in the layer, with eigenvectors and provenance beside them; returns the paths."""
    path, stem = split_name(name)
    plane = labels.reshape([labels.shape[axis] for axis in source.axes])
    count = len(np.unique(plane[plane > 0]))
    edited = not np.array_equal(plane, analysis.tree.labels(max(1, count)))
    return save_analysis(
        analysis,
        path.parent,
        stem,
        segments=count,
        formats=_SUFFIX_FORMATS[path.suffix.lower()],
        labels=plane if edited else None,
        labels_name=path.name,
        pixel_size=source.pixel_size(),
        units=source.unit_name(),
        source=source.path or source.plane_name,
    )
