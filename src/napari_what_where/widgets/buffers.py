"""Large arrays used again instead of asked for anew: fresh memory takes the system longer than all of the drawing."""

from __future__ import annotations

import sys

import numpy as np

KEPT = 3
"""One is on screen, one is drawn into, one is compared with."""
_UNUSED = sys.getrefcount(object())
"""What the count of references is of something that nobody but the one who asks refers to."""


class Buffers:
    """Int32 arrays of one shape. An array that anybody still refers to, by a view too, is never handed out again."""

    def __init__(self) -> None:
        self._arrays: list[np.ndarray] = []

    def take(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of any content, which is the caller's for as long as the caller, or a view of it, refers to it."""
        self._arrays = [array for array in self._arrays if array.shape == shape]
        for number in range(len(self._arrays)):
            # The list's own reference is the one more.
            if sys.getrefcount(self._arrays[number]) == _UNUSED + 1:
                return self._arrays[number]
        array = np.empty(shape, np.int32)
        self._arrays = [*self._arrays, array][-KEPT:]
        return array

    def prepare(self, shape: tuple[int, ...]) -> None:
        """Ask for all of it now; off the GUI thread, as that may take a second."""
        for array in [self.take(shape) for _ in range(KEPT)]:
            array.fill(0)
