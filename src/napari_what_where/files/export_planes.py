"""The labels and eigenvectors of a stack's planes → files, all or none."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.files.encoding import atomic_paths, write_imagej
from napari_what_where.files.export import output_paths, write_provenance
from napari_what_where.files.formats.registry import check_replaceable, check_stacks, parse_formats, write_label_image
from napari_what_where.files.formats.types import LabelImage

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
    formats: str | Sequence[str] = "tiff",
    labels_name: str | None = None,
    pixel_size: Sequence[float] | None = None,
    units: Sequence[str] | None = None,
    record: dict | None = None,
    **known: Any,
) -> list[Path]:
    """Write STEM_labels.EXT in each format, STEM_eigenvectors.tif and STEM.json: all, or none; returns the paths.

    With ``objects`` STEM_objects.EXT, too, which follow the labels.

    Parameters
    ----------
    analyses : one a plane
    labels, objects : (planes, rows, columns) non-negative integers
    axis : "Z" or "T", what the planes run along.
    formats : of labels, those that hold stacks.
    labels_name : another name for the file of labels, of one format.
    pixel_size, units : of planes, rows and columns.
    record : more for the JSON, beside each plane's provenance.
    known : more of the attributes of a :class:`~napari_what_where.files.formats.types.LabelImage`.

    The eigenvectors become a float32 stack of (planes, count, rows, columns) on the token grid. Raises what
    :func:`~napari_what_where.files.export.write_labels` raises; files of the same names are replaced.
    """
    keys = parse_formats(formats)
    check_stacks(keys)
    paths = output_paths(folder, stem, keys, objects=objects is not None)
    if labels_name is not None:
        paths = [Path(folder, labels_name), *paths[1:]]
    check_replaceable(paths)
    known = {"image_name": stem, "axes": f"{axis}YX", "pixel_size": pixel_size, "units": units, **known}
    given = [LabelImage(labels, name=f"{stem}_labels", **known)]
    given += [] if objects is None else [LabelImage(objects, name=f"{stem}_objects", **known)]
    vectors = np.stack([analysis.embedding.vectors for analysis in analyses]).astype(np.float32)
    written = {**(record or {}), "planes": [analysis.provenance for analysis in analyses]}
    with atomic_paths(paths) as (*images, eigenvectors, provenance):
        for index, image in enumerate(images):
            write_label_image(image, given[index // len(keys)], keys[index % len(keys)])
        # ImageJ has five axes; eigenvectors take that of the channels, or of z beside time.
        order = "TZYX" if axis == "T" else "ZCYX"
        write_imagej(eigenvectors, vectors, axes=order)
        write_provenance(provenance, written | {"files": [path.name for path in paths]})
    return paths
