"""What is known of a layer whose edits are saved, and one look at it, for a worker thread."""

from __future__ import annotations

import uuid
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.files import recovery
from napari_what_where.widgets.results import shear_matrix

if TYPE_CHECKING:
    from napari.layers import Labels

QUIET_SECONDS = 1.5
"""Edits are saved when none has followed for so long …"""
LATEST_SECONDS = 4.0
"""… and at the latest so long after the first that is not saved."""
COPIED_BYTES = 256 * 2**20
"""Labels up to this size are copied before they are compressed, so that a save holds one moment; larger ones are
read as they are, are saved again if they changed meanwhile, and are not looked at unasked."""


@dataclass(eq=False)
class Watched:
    """One layer, and how what it holds compares with what is on disk."""

    layer: Labels
    connections: list[tuple[Any, Callable[..., None]]] = field(default_factory=list)
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    entry: recovery.Entry | None = None
    known: int | None = None
    """Checksum of what needs no saving: what was saved last, or what was there before any edit."""
    accepted: bool = True
    """What the layer holds when it is looked at next needs no saving."""
    sure: bool = False
    """Whether it changed for certain; else it may have."""
    first: float | None = None
    last: float = 0.0
    changes: int = 0
    gone: bool = False

    def due(self) -> float | None:
        """When it is to be looked at; None if nothing happened."""
        return None if self.first is None else min(self.last + QUIET_SECONDS, self.first + LATEST_SECONDS)


@dataclass(frozen=True)
class Look:
    """All that the worker thread needs to see whether there is something to save, and to save it."""

    watched: Watched
    data: Any
    name: str
    attributes: dict[str, Any]
    sure: bool
    accept: bool
    changes: int

    def run(self, session: Path) -> tuple[int, recovery.Entry | None]:
        """The checksum of what is there, and what was saved, if anything had to be."""
        labels = np.asarray(self.data)
        if labels.dtype == np.bool_:
            labels = labels.view(np.uint8)
        if labels.nbytes <= COPIED_BYTES:
            labels = labels.copy(order="C")
        checksum = zlib.crc32(np.ascontiguousarray(labels).reshape(-1).view(np.uint8).data)
        if self.accept or (checksum == self.watched.known and not self.sure):
            return checksum, None
        entry = recovery.save(session, self.watched.key, labels, name=self.name, layer=self.attributes)
        return checksum, entry

    def outcome(self, session: Path) -> tuple[int, recovery.Entry | None] | Exception:
        """As :meth:`run`, or what it raised."""
        try:
            return self.run(session)
        except Exception as error:  # a thread has nobody to raise to
            return error


def layer_attributes(layer: Labels) -> dict[str, Any]:
    """What a layer needs, beside its labels and name, to be made again where it is."""
    return {
        "scale": np.asarray(layer.scale),
        "translate": np.asarray(layer.translate),
        "rotate": np.asarray(layer.rotate),
        "shear": shear_matrix(layer),
        "affine": np.asarray(layer.affine.affine_matrix),
        "units": [str(unit) for unit in layer.units],
        "axis_labels": list(layer.axis_labels),
        "metadata": dict(layer.metadata),
    }
