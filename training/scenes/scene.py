"""What a scene is: an image with the truth about it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scene:
    """An image whose objects are known.

    Attributes
    ----------
    image : (rows, columns, 3) uint8
        Red, green and blue; three times the same in grey scenes.
    labels : (rows, columns) int32
        Number of the object that each pixel shows, 1…n, each seen somewhere; 0 where there is none. An object that
        another one cuts in two keeps one number.
    classes : (n + 1,) int32
        Class of each object by its number, those of 0 being ``background``. Classes mean the same in all scenes of
        one world.
    """

    image: np.ndarray
    labels: np.ndarray
    classes: np.ndarray

    @property
    def class_map(self) -> np.ndarray:
        """(rows, columns) int32: class of the object that each pixel shows."""
        return self.classes[self.labels]


def numbered_as_seen(labels: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and classes without the objects that nothing is seen of, the rest numbered without gaps."""
    seen = np.bincount(labels.ravel(), minlength=len(classes)) > 0
    seen[0] = True
    numbers = np.cumsum(seen) - 1
    return numbers[labels].astype(np.int32), classes[seen].astype(np.int32)
