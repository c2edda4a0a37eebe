"""Masks, eigenvectors and provenance → files: exact, atomic, with their scale.

A label is never truncated or cast in silence: what a format cannot hold is a ``ValueError`` before anything is
written. Every file is written under a temporary name beside its place and moved there when complete, so that a
failure or an interruption leaves what was there before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_what_where.files.encoding import atomic_path, atomic_paths, per_axis, plain, write_imagej
from napari_what_where.files.formats.registry import (
    LABEL_FORMATS,
    check_replaceable,
    format_of,
    parse_formats,
    suffix_of,
    write_label_image,
)
from napari_what_where.files.formats.types import LabelImage, check_labels
from napari_what_where.files.outlines import keep_inside

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

__all__ = [
    "FORMATS",
    "SUFFIXES",
    "atomic_path",
    "output_paths",
    "parse_formats",
    "save_analysis",
    "write_eigenvectors",
    "write_labels",
    "write_labels_layer",
    "write_provenance",
]

SUFFIXES = {name: row.ending for name, row in LABEL_FORMATS.items()}
"""The formats of label images, and the ending of the names that files of each get."""

FORMATS = {suffix: name for name, row in LABEL_FORMATS.items() for suffix in row.suffixes}
"""The format that each suffix of a file name means."""

_CLASSED = {"coco", "coco-polygons", "geojson", "ome-zarr", "ome-tiff", "csv"}
"""Formats that say of what class a label is."""


def write_labels(
    path: str | os.PathLike[str],
    labels: Any,
    *,
    format: str | None = None,
    pixel_size: float | Sequence[float] | None = None,
    units: str | Sequence[str] | None = None,
    axes: str | None = None,
    info: str | None = None,
    **known: Any,
) -> Path:
    """Write integer ``labels`` so that they read back equal, and return the path written.

    Parameters
    ----------
    path :
        Its suffix chooses the format (.tif, .tiff, .ome.tif, .png, .json, .geojson, .ome.zarr, .zarr, .zip, .npy,
        .csv); without one, .tif is added.
    labels : (rows, columns) non-negative integers
        All but PNG also take (planes, rows, columns) and (times, planes, rows, columns).
    format :
        One of ``SUFFIXES``, where the suffix is not to choose.
    pixel_size, units :
        One for all axes or one an axis, in the order of the array.
    axes :
        What the axes are, of "TZCYX" in this order; by default YX, ZYX and TZYX.
    info :
        Text to keep with the image, in TIFF and PNG: ImageJ shows it under Image ▸ Show Info.
    known :
        More of the attributes of :class:`~napari_what_where.files.formats.types.LabelImage`: names, classes, colours,
        image, image_name, offset, image_shape, name.

    A TIFF holds uint16 up to label 65,535 and float32 up to 16,777,216; a PNG 8 bits up to 255, else 16; an indexed PNG
    up to 255, an OME-TIFF up to 4,294,967,295; the others hold any.

    Raises
    ------
    TypeError
        Labels are not integers.
    ValueError
        Negative labels, labels beyond what the format holds exactly, no pixels, a number of axes or a suffix
        that the format does not have.
    OSError
        The file cannot be written; the file of this name, if there was one, is unchanged.
    """
    given = LabelImage(check_labels(labels), axes or "", pixel_size, units, info=info, **known)
    return write_label_image(*_target(Path(path), given, format))


def write_eigenvectors(
    path: str | os.PathLike[str],
    vectors: Any,
    *,
    values: Sequence[float] | np.ndarray | None = None,
    pixel_size: float | Sequence[float] | None = None,
    units: str | None = None,
) -> Path:
    """Write (count, rows, columns) ``vectors`` as a float32 TIFF stack that ImageJ reads, and return its path.

    ``values`` (count,) become the names of the planes; ``pixel_size`` and ``units`` are those of rows and columns.
    Raises ``ValueError`` for another shape, ``OSError`` where the file cannot be written.
    """
    stack = np.asarray(vectors, dtype=np.float32)
    if stack.ndim != 3 or stack.size == 0:
        raise ValueError(f"The eigenvectors have shape {stack.shape}; expected (count, rows, columns), none of them 0.")
    names = [f"eigenvector {index + 1}" for index in range(len(stack))]
    if values is not None:
        names = [f"{name}, eigenvalue {value:.6g}" for name, value in zip(names, values, strict=True)]
    size = per_axis(pixel_size, 2, "pixel sizes")
    with atomic_path(path) as temporary:
        write_imagej(temporary, stack, axes="ZYX", pixel_size=size and (1.0, *size), units=units, names=names)
    return Path(path)


def write_provenance(path: str | os.PathLike[str], record: Mapping[str, Any]) -> Path:
    """Write ``record`` as JSON (numpy scalars and arrays as numbers, NaN and infinity as null); return its path."""
    text = json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")
    return Path(path)


def output_paths(
    folder: str | os.PathLike[str], stem: str, formats: str | Sequence[str] = "tiff", *, objects: bool = False
) -> list[Path]:
    """The files of :func:`save_analysis`: labels in each format, objects likewise, eigenvectors, provenance."""
    masks = ("labels", "objects") if objects else ("labels",)
    names = [f"{stem}_{mask}{SUFFIXES[key]}" for mask in masks for key in parse_formats(formats)]
    return [Path(folder, name) for name in (*names, f"{stem}_eigenvectors.tif", f"{stem}.json")]


def save_analysis(
    analysis: Analysis,
    folder: str | os.PathLike[str],
    stem: str,
    *,
    segments: int | Literal["auto"] = "auto",
    formats: str | Sequence[str] = "tiff",
    labels: Any = None,
    objects: Any = None,
    outline: np.ndarray | None = None,
    pixel_size: float | Sequence[float] | None = None,
    units: str | None = None,
    source: str | None = None,
    labels_name: str | None = None,
    record: Mapping[str, Any] | None = None,
    **known: Any,
) -> list[Path]:
    """Write STEM_labels.EXT in each format, STEM_eigenvectors.tif and STEM.json into ``folder``: all, or none.

    ``labels`` (rows, columns) stand in for the tree's own, for instance after editing; ``objects`` (rows, columns),
    from :func:`~napari_what_where.find_objects`, are written as STEM_objects.EXT; where ``outline``
    (rows, columns) bool is False the tree's own labels become 0; ``pixel_size`` is that of the image's rows and
    columns; ``source`` is the name of the image, for the record; ``labels_name`` is another name for the labels' file,
    of one format; ``record`` is more for the JSON; ``known`` is more of the attributes of a
    :class:`~napari_what_where.files.formats.types.LabelImage`, such as the image. Labels are of the class "kind N"
    where the analysis tells kinds. Files of the same names are replaced. Returns the paths, in the order of
    :func:`output_paths`. Raises what :func:`write_labels` raises.
    """
    own = keep_inside(analysis.tree.labels(segments), outline) if labels is None else labels
    mask = check_labels(own)
    masks = [mask] if objects is None else [mask, check_labels(objects)]
    paths = output_paths(folder, stem, formats, objects=objects is not None)
    if labels_name is not None:
        paths = [Path(folder, labels_name), *paths[1:]]
    check_replaceable(paths)
    embedding = analysis.embedding
    size = per_axis(pixel_size, 2, "pixel sizes")
    token = size and tuple(each * n / g for each, n, g in zip(size, mask.shape, embedding.grid, strict=True))
    written = {
        **({} if source is None else {"source": source}),
        **analysis.provenance,
        **(record or {}),
        "segments": {"asked": segments, "edited": labels is not None, "found": _count(mask)},
        **({} if objects is None else {"objects": {"found": _count(masks[1])}}),
        "pixel_size": size and {"rows": size[0], "columns": size[1], "units": units},
        "files": [path.name for path in paths],
    }
    keys = parse_formats(formats)
    known = {"image_name": source or stem, "pixel_size": size, "units": units, **known}
    given = [
        LabelImage(each, name=f"{stem}_{what}", **{"classes": _kinds(each, analysis, keys), **known})
        for each, what in zip(masks, ("labels", "objects"), strict=False)
    ]
    # The record is moved to its place last, when all that it vouches for is there.
    with atomic_paths(paths) as (*images, eigenvectors, provenance):
        for index, path in enumerate(images):
            write_label_image(path, given[index // len(keys)], keys[index % len(keys)])
        write_eigenvectors(eigenvectors, embedding.vectors, values=embedding.values, pixel_size=token, units=units)
        write_provenance(provenance, written)
    return paths


def _kinds(labels: np.ndarray, analysis: Analysis, formats: Sequence[str]) -> dict[int, str]:
    """Which kind each label is of, where the analysis tells and one of the formats has a place for it."""
    tree = analysis.tree
    if not _CLASSED & set(formats) or getattr(tree, "kinds", None) is None or labels.shape != tree.shape:
        return {}
    from napari_what_where.segments.objects.table import object_table

    table = object_table(labels, analysis)
    return {int(label): f"kind {kind}" for label, kind in zip(table["label"], table["kind"], strict=True)}


def write_labels_layer(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """The writer of one napari Labels layer, with the layer's scale, units and the record of how it was made.

    ``data`` and ``meta`` are napari's layer data and attributes. Returns the path written, in a list.
    """
    labels = np.asarray(data[0] if meta.get("multiscale") else data)
    scale, units = meta.get("scale"), meta.get("units")
    record = (meta.get("metadata") or {}).get("what-where")
    written = write_labels(
        path,
        labels,
        pixel_size=None if scale is None else [abs(float(size)) for size in scale],
        units=None if units is None else [str(unit) for unit in units],
        axes=_imagej_axes(meta.get("axis_labels"), labels.ndim),
        info=None if record is None else json.dumps(plain(record), ensure_ascii=False),
    )
    return [str(written)]


def _count(labels: np.ndarray) -> int:
    return int(np.count_nonzero(np.unique(labels)))


def _target(path: Path, given: LabelImage, format: str | None) -> tuple[Path, LabelImage, str]:
    """The path with a suffix, what goes there, and the format: the one given, or the suffix's."""
    if format is not None:
        (format,) = parse_formats([format])
        return (path if suffix_of(path) else path.with_name(path.name + SUFFIXES[format])), given, format
    if not path.suffix:
        return path.with_name(path.name + SUFFIXES["tiff"]), given, "tiff"
    chosen = format_of(path)
    if chosen is None:
        raise ValueError(f"The file name is {path.name}; expected a suffix of {', '.join(FORMATS)}, or none: .tif.")
    return path, given, chosen


def _imagej_axes(labels: Sequence[str] | None, ndim: int) -> str | None:
    """A layer's axis labels as ImageJ's axes where they say so ("t", "z", …), else None."""
    axes = "".join(str(label).strip().upper()[:1] for label in labels or ())
    axes = axes if axes[-2:] == "YX" else f"{axes[:-2]}YX"
    known = len(axes) == ndim and [axis for axis in "TZCYX" if axis in axes] == list(axes)
    return axes if known else None
