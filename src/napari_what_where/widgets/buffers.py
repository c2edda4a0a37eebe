"""Large arrays used again instead of asked for anew: fresh memory takes the system longer than all of the drawing."""

from __future__ import annotations

import sys

import numpy as np

KEPT = 3
"""One is on screen, one is drawn into, one is compared with."""
_UNUSED = sys.getrefcount(object())
"""What the count of references is of something that nobody but the one who asks refers to."""
MOST_IN_16_BITS = 2**15 - 1
"""Up to this label a layer is uint16, with as many numbers free for the user's own."""


def label_type(highest: int) -> np.dtype:
    """Of the labels of a layer, 0 … ``highest``: uint16 where that leaves the user room, else int32.

    napari draws uint16 labels as they are. Those of 32 bits it converts, at each change, into fresh memory, which
    takes longer than all of the rest, and sometimes several times as long.
    """
    return np.dtype(np.uint16 if highest <= MOST_IN_16_BITS else np.int32)


class Buffers:
    """Arrays of one shape and type. An array that anybody still refers to, by a view too, is never handed out again."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array of any content, which is the caller's for as long as the caller, or a view of it, refers to it."""
        self._arrays = [array for array in self._arrays if (array.shape, array.dtype) == (shape, dtype)]
        for number in range(len(self._arrays)):
            # The list's own reference is the one more.
            if sys.getrefcount(self._arrays[number]) == _UNUSED + 1:
                return self._arrays[number]
        array = np.empty(shape, dtype)
        self._arrays = [*self._arrays, array][-KEPT:]
        return array

    def prepare(self, shape: tuple[int, ...], dtype: np.dtype) -> None:
        """Ask for all of it now; off the GUI thread, as that may take a second."""
        for array in [self.take(shape, dtype) for _ in range(KEPT)]:
            array.fill(0)
