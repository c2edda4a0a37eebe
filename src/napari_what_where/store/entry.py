"""An entry of the store: the activations of one image, read one network layer at a time."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from napari_what_where.activations.types import TokenActivations
from napari_what_where.store.arrays import Damaged, read_array, write_array

RECORD = "entry.json"
"""What an entry holds; its time of change is when the entry was last used."""
ROLES = ("query", "key", "value")
MORE = ("obstacle", "weight", "stands_in")
"""Fields of activations that are kept beside their name, grid and arrays."""


@dataclass(frozen=True)
class Entry:
    """A complete entry.

    Attributes
    ----------
    path : Path
        Its folder: one zarr array for each query, key and value, in LAYER/ROLE.
    signature : str
        SHA-256 of all that decides the activations.
    model : str
        Name of the backbone.
    image_shape : tuple of int
        (rows, columns[, channels]) of the image, in pixels.
    made_at, used_at : datetime
        With their time zones.
    size_bytes : int
        Of its arrays.
    layers : tuple of dict
        Of each network layer, in the order in which they were captured: name, grid, ``MORE`` and arrays.
    """

    path: Path
    signature: str
    model: str
    image_shape: tuple[int, ...]
    made_at: datetime
    used_at: datetime
    size_bytes: int
    layers: tuple[dict[str, Any], ...]

    def read(self, number: int) -> TokenActivations:
        """The activations of a network layer, on the CPU, as they were captured.

        Raises what :func:`~napari_what_where.store.arrays.read_array` raises for damaged and missing files.
        """
        layer = self.layers[number]
        tensors = {role: read_array(self.path / str(number) / role, array) for role, array in layer["arrays"].items()}
        more = {name: layer[name] for name in MORE if name in layer}
        return TokenActivations(layer["name"], tuple(layer["grid"]), **more, **tensors)

    def touch(self) -> None:
        """Note that it has just been used; where nothing can be written, it is not noted."""
        with suppress(OSError):
            os.utime(self.path / RECORD)


def read_entry(path: Path) -> Entry:
    """The entry in a folder.

    Raises
    ------
    FileNotFoundError
        There is none.
    Damaged
        Its record is not what was written.
    OSError
        It cannot be read.
    """
    file = path / RECORD
    used_at = datetime.fromtimestamp(file.stat().st_mtime, UTC)
    try:
        checked = json.loads(file.read_bytes())
        record = checked["record"]
        if checked["crc32"] != _checksum(record):
            raise Damaged(f"{file} does not have the checksum with which it was written.")
        return Entry(
            path,
            record["signature"],
            record["model"],
            tuple(record["image_shape"]),
            datetime.fromisoformat(record["made_at"]),
            used_at,
            record["bytes"],
            tuple(record["layers"]),
        )
    except (ValueError, KeyError, TypeError) as problem:
        raise problem if isinstance(problem, Damaged) else Damaged(f"{file} is damaged ({problem}).") from problem


def write_layer(path: Path, number: int, layer: TokenActivations) -> dict[str, Any]:
    """Write the activations of a network layer into an entry's folder; returns what the record says of it."""
    held = {role: getattr(layer, role) for role in ROLES if getattr(layer, role) is not None}
    arrays = {role: write_array(path / str(number) / role, tensor) for role, tensor in held.items()}
    more = {name: getattr(layer, name) for name in MORE}
    return {"name": layer.name, "grid": list(layer.grid), **more, "arrays": arrays}


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write the record of an entry into its folder: the last that is written."""
    text = json.dumps({"crc32": _checksum(record), "record": record})
    (path / RECORD).write_text(text, encoding="utf-8")


def layer_bytes(layer: TokenActivations) -> int:
    """What the arrays of a network layer take."""
    return sum(getattr(layer, role).nbytes for role in ROLES if getattr(layer, role) is not None)


def _checksum(record: Any) -> int:
    return zlib.crc32(json.dumps(record, sort_keys=True).encode())
