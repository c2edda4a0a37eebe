"""OME-Zarr 0.4: labels as a pyramid, under ``labels/NAME`` of the image that they are of."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.files.encoding import software
from napari_what_where.files.formats.types import LabelImage
from napari_what_where.files.formats.units import is_time, unit_name
from napari_what_where.progress import checkpoint

VERSION = "0.4"
CHUNK = 512
"""Rows and columns of a chunk; a level of no more on either side is the last."""


def write_ome_zarr(path: Path, given: LabelImage) -> None:
    """A folder: a group that is the image, with the labels in it. Labels are uint8 to uint64 as the largest needs.

    Without an image the group shows the labels in its place, from the same chunks. The format is 0.4, on version 2 of
    Zarr, which every reader there is knows.
    """
    name = re.sub(r"[^\w.-]+", "_", given.name).strip("._") or "labels"
    where = f"labels/{name}"
    # By its name: numpy has several types of 64 bits, of which zarr knows one.
    stored = given.labels.astype(np.min_scalar_type(int(given.labels.max())).name)
    levels = _write_levels(path / where, stored, channels=False)
    _write_group(path / "labels", {"labels": [name]})
    own = {"multiscales": [_multiscale(given, name, levels)], "image-label": _image_label(given)}
    _write_group(path / where, own)
    if given.image is None:
        shown = _multiscale(given, name, levels, prefix=f"{where}/")
    else:
        channels = given.image.ndim > given.labels.ndim
        levels = _write_levels(path, np.asarray(given.image), channels=channels)
        shown = _multiscale(given, given.image_name or name, levels, channels=channels)
    _write_group(path, {"multiscales": [shown], "_creator": _creator()})


def is_own(path: Path) -> bool:
    """Whether a folder is one that :func:`write_ome_zarr` has written."""
    try:
        creator = json.loads((path / ".zattrs").read_text(encoding="utf-8"))["_creator"]
        return bool(creator["name"] == _creator()["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _creator() -> dict[str, str]:
    name, version = software().split(" ")
    return {"name": name, "version": version}


def _write_levels(group: Path, array: np.ndarray, *, channels: bool) -> int:
    """Arrays 0, 1, … of half the rows and columns each, every other pixel kept; how many. Channels go first."""
    if channels:
        array = np.moveaxis(array, -1, -3)
    level = 0
    while True:
        _write_array(group / str(level), array)
        level += 1
        if max(array.shape[-2:]) <= CHUNK:
            return level
        array = array[..., ::2, ::2]


def _write_array(path: Path, array: np.ndarray) -> None:
    """A Zarr array of chunks in nested folders. Version 2 of the format is what zarr 2 and 3 both read and write."""
    import numcodecs
    import zarr

    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = (*(1 for _ in array.shape[:-2]), *(min(CHUNK, size) for size in array.shape[-2:]))
    packing = numcodecs.Blosc(cname="zstd", clevel=5, shuffle=numcodecs.Blosc.SHUFFLE)
    shared = {"shape": array.shape, "chunks": chunks, "dtype": array.dtype, "fill_value": 0}
    if int(zarr.__version__.partition(".")[0]) < 3:
        made = zarr.open_array(str(path), mode="w", compressor=packing, dimension_separator="/", **shared)
    else:
        separator = {"name": "v2", "separator": "/"}
        made = zarr.create_array(
            str(path), compressors=packing, filters=None, zarr_format=2, chunk_key_encoding=separator, **shared
        )
    for place in np.ndindex(array.shape[:-2]):
        for top in range(0, array.shape[-2], CHUNK):
            checkpoint()
            made[(*place, slice(top, top + CHUNK))] = array[(*place, slice(top, top + CHUNK))]


def _write_group(path: Path, attributes: Mapping[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text(json.dumps({"zarr_format": 2}), encoding="utf-8")
    (path / ".zattrs").write_text(json.dumps(attributes, ensure_ascii=False, indent=1), encoding="utf-8")


def _multiscale(
    given: LabelImage, name: str, levels: int, *, prefix: str = "", channels: bool = False
) -> dict[str, Any]:
    letters = f"{given.axes[:-2]}{'C' if channels else ''}YX"
    data_sets = []
    for level in range(levels):
        # Every other pixel is kept, so that the centre of the first one stays where it is.
        scale = [(given.size(axis) or 1.0) * (2**level if axis in "YX" else 1) for axis in letters]
        first = [
            given.offset["YX".index(axis)] * (given.size(axis) or 1.0) if axis in "YX" else 0.0 for axis in letters
        ]
        moves: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
        moves += [{"type": "translation", "translation": first}] if any(first) else []
        data_sets.append({"path": f"{prefix}{level}", "coordinateTransformations": moves})
    axes = [_axis(given, letter) for letter in letters]
    return {"version": VERSION, "name": name, "axes": axes, "datasets": data_sets, "type": "stride"}


def _axis(given: LabelImage, letter: str) -> dict[str, str]:
    kind = {"T": "time", "C": "channel"}.get(letter, "space")
    unit = unit_name(given.unit(letter))
    known = unit is not None and kind != "channel" and is_time(unit) == (kind == "time")
    return {"name": letter.lower(), "type": kind, **({"unit": str(unit)} if known else {})}


def _image_label(given: LabelImage) -> dict[str, Any]:
    colours = [{"label-value": label, "rgba": [*given.colour(label), 255]} for label in given.values]
    properties = []
    for label in given.values:
        known = {"name": given.names.get(label), "class": given.classes.get(label)}
        properties.append({"label-value": label} | {key: text for key, text in known.items() if text})
    described: dict[str, Any] = {"version": VERSION, "source": {"image": "../../"}}
    # Empty lists are not valid: a label image without labels has neither.
    return described | ({"colors": colours, "properties": properties} if colours else {})
