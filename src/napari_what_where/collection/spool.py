"""The activations of every image of a collection, on disk, so that the model sees each image once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_what_where.memory import readable_bytes
from napari_what_where.store.arrays import Damaged
from napari_what_where.store.draft import Draft, remove_abandoned
from napari_what_where.store.entry import Entry, layer_bytes, read_entry

if TYPE_CHECKING:
    from napari_what_where.activations.types import TokenActivations

UNLIMITED = 2**62
SPARE = 500_000_000
"""Bytes of the disk that stay free."""


class Spool:
    """A folder with an entry for each image of a collection, told by number and signature.

    An entry is there as a whole or not at all, whenever the process was killed. What is damaged counts as not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)

    def find(self, number: int, signature: str) -> Entry | None:
        """The entry of an image, if it is that of this signature."""
        with suppress(OSError, Damaged):
            entry = read_entry(self._place(number))
            return entry if entry.signature == signature else None
        return None

    def read(self, number: int, signature: str) -> list[TokenActivations] | None:
        """All network layers of an image, as they were kept; None where they are not there, or damaged."""
        entry = self.find(number, signature)
        if entry is None:
            return None
        with suppress(OSError, ValueError, KeyError):
            return [entry.read(layer) for layer in range(len(entry.layers))]
        return None

    def write(
        self,
        number: int,
        signature: str,
        shape: tuple[int, ...],
        visit: Callable[[Callable[[TokenActivations], None]], None],
        *,
        pathway: str,
        model: str,
    ) -> list[TokenActivations]:
        """Keep what ``visit`` hands over of an image, as far as the pathway needs it; returns the same.

        Raises what ``visit`` raises, and ``OSError``, such as for a full disk; then nothing of the image is there.
        """
        shutil.rmtree(self._place(number), ignore_errors=True)
        about = {"signature": signature, "model": model, "image_shape": list(shape)}
        draft = Draft(self._place(number), about, limit_bytes=UNLIMITED)
        layers: list[TokenActivations] = []

        def take(layer: TokenActivations) -> None:
            needed = _needed(layer, pathway)
            self._check_room(layer_bytes(needed))
            draft.add(needed)
            layers.append(needed)

        try:
            visit(take)
        except BaseException:
            draft.abandon()
            raise
        draft.finish(lambda size: None)
        return layers

    def clear(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check_room(self, size: int) -> None:
        free = shutil.disk_usage(self.folder).free
        if free < size + SPARE:
            raise OSError(
                f"The disk of {self.folder} has {readable_bytes(free)} left, too little for what the model computes of "
                "all images. Free some, name another folder, or choose a lower resolution or fewer network layers."
            )

    def _place(self, number: int) -> Path:
        return self.folder / f"{number:06d}.activations"


def _needed(layer: TokenActivations, pathway: str) -> TokenActivations:
    """Without what the pathway does not use."""
    if layer.stands_in or (pathway == "what" and layer.value is not None):
        return replace(layer, query=None, key=None)
    if pathway == "where" and layer.query is not None:
        return replace(layer, value=None)
    return layer
