"""Steps of napari's own undo history: pixels that change and nothing else, and no more bytes than there is room for."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

MOST_BYTES = 256 * 2**20
"""The undo and redo histories of a layer hold at most so much: the oldest steps go first."""
PACKED_FROM = MOST_BYTES // 4
"""Steps of more bytes are compressed: labels shrink to a small fraction, and it takes a moment that is not noticed
beside the edit itself."""


class Packed:
    """An array, compressed; numpy unpacks it wherever an array is expected, as in napari's undo."""

    def __init__(self, array: np.ndarray) -> None:
        self.dtype, self.shape = array.dtype, array.shape
        packed = np.packbits(array) if array.dtype == np.bool_ else np.ascontiguousarray(array)
        self._bytes = zlib.compress(packed.reshape(-1).view(np.uint8).data, 1)

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return len(self._bytes)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raw = np.frombuffer(bytearray(zlib.decompress(self._bytes)), np.uint8)
        count = int(np.prod(self.shape))
        array = np.unpackbits(raw, count=count).view(np.bool_) if self.dtype == np.bool_ else raw.view(self.dtype)
        array = array.reshape(self.shape)
        return array if dtype is None else array.astype(dtype)


def atom(key: tuple[slice, ...], mask: np.ndarray, old: np.ndarray, new: np.ndarray) -> Any:
    """What napari keeps of one change, within a box of the data.

    ``mask``: bool of the box's shape; ``old``, ``new``: (changed pixels,) labels, in the order of the mask. In napari's
    own form for paint from 0.9 on, before that by the indices of the pixels.
    """
    values = new[:1].item() if len(new) and (new == new[0]).all() else new
    try:
        from napari.layers.labels.labels import _MaskedPaintAtom
    except ImportError:
        small = [index.astype(np.int32) + side.start for index, side in zip(np.nonzero(mask), key, strict=True)]
        return tuple(small), old, values
    if mask.nbytes + old.nbytes + getattr(values, "nbytes", 0) > PACKED_FROM:
        packed = values if isinstance(values, int) else Packed(values)
        return _MaskedPaintAtom(key, Packed(mask), Packed(old), packed)
    return _MaskedPaintAtom(key, mask, old, values)


def step_bytes(step: Iterable[Any]) -> int:
    """What one step of a history takes."""
    return sum(_bytes(part) for each in step for part in each)


def history_bytes(layer: Labels) -> int:
    """What the undo and redo histories of a layer take."""
    return sum(step_bytes(step) for queue in (layer._undo_history, layer._redo_history) for step in queue)


def bound_history(layer: Labels, most: int = MOST_BYTES) -> int:
    """Forget the oldest steps until the histories fit; returns how many were forgotten.

    Also the last one goes if it is too large by itself. Cost: a look at every stroke in the history.
    """
    undo, redo = layer._undo_history, layer._redo_history
    total, forgotten = history_bytes(layer), 0
    while total > most and (undo or redo):
        step = (undo or redo).popleft()
        total -= step_bytes(step)
        forgotten += 1
    return forgotten


def _bytes(part: Any) -> int:
    if isinstance(part, tuple):
        return sum(_bytes(each) for each in part)
    return int(getattr(part, "nbytes", 0))
