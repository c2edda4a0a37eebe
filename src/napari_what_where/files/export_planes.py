"""The labels and eigenvectors of a stack's planes → files, all or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.files.encoding import atomic_paths, write_imagej
from napari_what_where.files.export import output_paths, write_labels, write_provenance

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis


def save_planes(
    analyses: Sequence[Analysis],
    folder: str | os.PathLike[str],
    stem: str,
    labels: np.ndarray,
    *,
    objects: np.ndarray | None = None,
    axis: str = "Z",
    labels_name: str | None = None,
    pixel_size: Sequence[float] | None = None,
    units: Sequence[str] | None = None,
    record: dict | None = None,
) -> list[Path]:
    """Write STEM_labels.tif, STEM_eigenvectors.tif and STEM.json into ``folder``: all, or none; returns the paths.

    With ``objects`` STEM_objects.tif, too, the second of the paths.

    Parameters
    ----------
    analyses : one a plane
    labels, objects : (planes, rows, columns) non-negative integers
    axis : "Z" or "T", what the planes run along.
    labels_name : another name for the file of labels.
    pixel_size, units : of planes, rows and columns.
    record : more for the JSON, beside each plane's provenance.

    The eigenvectors become a float32 stack of (planes, count, rows, columns) on the token grid. Raises what
    :func:`~napari_what_where.files.export.write_labels` raises; files of the same names are replaced.
    """
    paths = output_paths(folder, stem, objects=objects is not None)
    if labels_name is not None:
        paths = [Path(folder, labels_name), *paths[1:]]
    masks = [labels] if objects is None else [labels, objects]
    vectors = np.stack([analysis.embedding.vectors for analysis in analyses]).astype(np.float32)
    written = {**(record or {}), "planes": [analysis.provenance for analysis in analyses]}
    with atomic_paths(paths) as (*images, eigenvectors, provenance):
        for image, mask in zip(images, masks, strict=True):
            write_labels(image, mask, pixel_size=pixel_size, units=units, axes=f"{axis}YX")
        # ImageJ has five axes; eigenvectors take that of the channels, or of z beside time.
        order = "TZYX" if axis == "T" else "ZCYX"
        write_imagej(eigenvectors, vectors, axes=order)
        write_provenance(provenance, written | {"files": [path.name for path in paths]})
    return paths
