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

from napari_what_where.files.encoding import (
    atomic_path,
    atomic_paths,
    label_dtype,
    per_axis,
    plain,
    write_imagej,
    write_png,
)
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

SUFFIXES = {"tiff": ".tif", "png": ".png"}
"""The formats of label images, and the suffix that each is written with."""

FORMATS = {".tif": "tiff", ".tiff": "tiff", ".png": "png"}
"""The format that each suffix of a file name means."""


def parse_formats(formats: str | Sequence[str]) -> tuple[str, ...]:
    """Names of label formats, ``"tiff,png"`` or ``["tif"]``, as a tuple of keys of ``SUFFIXES`` without repeats.

    Raises ``ValueError`` for a name that is not among them, or none at all.
    """
    names = formats.split(",") if isinstance(formats, str) else formats
    tidy = [name.strip().lower().lstrip(".") for name in names]
    unknown = [name for name in tidy if f".{name}" not in FORMATS]
    if unknown or not tidy:
        raise ValueError(f"The formats are {', '.join(tidy) or 'none'}; expected one or more of {', '.join(SUFFIXES)}.")
    return tuple(dict.fromkeys(FORMATS[f".{name}"] for name in tidy))


def write_labels(
    path: str | os.PathLike[str],
    labels: Any,
    *,
    format: str | None = None,
    pixel_size: float | Sequence[float] | None = None,
    units: str | Sequence[str] | None = None,
    axes: str | None = None,
    info: str | None = None,
) -> Path:
    """Write integer ``labels`` so that they read back equal, and return the path written.

    Parameters
    ----------
    path :
        Its suffix chooses the format (.tif, .tiff, .png); without one, .tif is added.
    labels : (rows, columns) non-negative integers
        TIFF also takes (planes, rows, columns) and (times, planes, rows, columns).
    format :
        "tiff" or "png", where the suffix is not to choose.
    pixel_size, units :
        One for all axes or one an axis, in the order of the array; a TIFF carries them the way ImageJ reads them.
    axes :
        What the axes of a TIFF are, of "TZCYX" in this order; by default YX, ZYX and TZYX.
    info :
        Text to keep with the image: ImageJ shows it under Image ▸ Show Info.

    A TIFF holds uint16 up to label 65,535 and float32 up to 16,777,216; a PNG 8 bits up to 255, else 16.

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
    array = _check_labels(labels)
    target, chosen = _target(Path(path), format)
    stored = array.astype(label_dtype(array, chosen))
    with atomic_path(target) as temporary:
        if chosen == "tiff":
            size = per_axis(pixel_size, array.ndim, "pixel sizes")
            write_imagej(temporary, stored, axes=axes, pixel_size=size, units=units, info=info)
        else:
            scale = {} if pixel_size is None else {"Pixel size": f"{pixel_size} {units or 'pixel'}"}
            write_png(temporary, stored, text=scale | ({} if info is None else {"Description": info}))
    return target


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
) -> list[Path]:
    """Write STEM_labels.EXT in each format, STEM_eigenvectors.tif and STEM.json into ``folder``: all, or none.

    ``labels`` (rows, columns) stand in for the tree's own, for instance after editing; ``objects`` (rows, columns),
    from :func:`~napari_what_where.find_objects`, are written as STEM_objects.EXT; where ``outline``
    (rows, columns) bool is False the tree's own labels become 0; ``pixel_size`` is that of the image's rows and
    columns; ``source`` is the name of the image, for the record; ``labels_name`` is another name for the labels' file,
    of one format; ``record`` is more for the JSON. Files of the same names are replaced. Returns the paths, in the
    order of :func:`output_paths`. Raises what :func:`write_labels` raises.
    """
    own = keep_inside(analysis.tree.labels(segments), outline) if labels is None else labels
    mask = _check_labels(own)
    masks = [mask] if objects is None else [mask, _check_labels(objects)]
    paths = output_paths(folder, stem, formats, objects=objects is not None)
    if labels_name is not None:
        paths = [Path(folder, labels_name), *paths[1:]]
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
    # The record is moved to its place last, when all that it vouches for is there.
    with atomic_paths(paths) as (*images, eigenvectors, provenance):
        for index, path in enumerate(images):
            write_labels(path, masks[index * len(masks) // len(images)], pixel_size=size, units=units)
        write_eigenvectors(eigenvectors, embedding.vectors, values=embedding.values, pixel_size=token, units=units)
        write_provenance(provenance, written)
    return paths


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


def _check_labels(labels: Any) -> np.ndarray:
    array = np.asarray(labels)
    wanted = "expected non-negative integer labels of shape (rows, columns)"
    if array.dtype.kind not in "ui":
        raise TypeError(f"The labels are of dtype {array.dtype}; {wanted}. Convert them first: labels.astype(int).")
    if array.size == 0:
        raise ValueError(f"The labels have shape {array.shape} and no pixels; {wanted}.")
    if array.min() < 0:
        raise ValueError(f"The smallest label is {array.min()}; {wanted}. Number them from 0 (background) on.")
    return array


def _target(path: Path, format: str | None) -> tuple[Path, str]:
    """The path with a suffix, and the format: the one given, or the suffix's."""
    if format is not None:
        (format,) = parse_formats([format])
        return (path if path.suffix.lower() in FORMATS else path.with_name(path.name + SUFFIXES[format])), format
    if not path.suffix:
        return path.with_name(path.name + SUFFIXES["tiff"]), "tiff"
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"The file name is {path.name}; expected a suffix of {', '.join(FORMATS)}, or none: .tif.")
    return path, FORMATS[path.suffix.lower()]


def _imagej_axes(labels: Sequence[str] | None, ndim: int) -> str | None:
    """A layer's axis labels as ImageJ's axes where they say so ("t", "z", …), else None."""
    axes = "".join(str(label).strip().upper()[:1] for label in labels or ())
    axes = axes if axes[-2:] == "YX" else f"{axes[:-2]}YX"
    known = len(axes) == ndim and [axis for axis in "TZCYX" if axis in axes] == list(axes)
    return axes if known else None
