"""Connected parts, windows and runs of labels: what every tool needs to know of a plane."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_what_where.segments.objects.shapes import box_of

Box = tuple[slice, slice]


class Parts(NamedTuple):
    """The 4-connected parts 1 … ``total`` of a mask, (rows, columns) int32, 0 outside."""

    numbers: np.ndarray
    total: int

    def at(self, pixel: tuple[int, int]) -> np.ndarray:
        """The part that holds a pixel of the mask, bool."""
        return self.numbers == self.numbers[pixel]

    def meeting(self, seeds: np.ndarray) -> np.ndarray:
        """All parts that hold a pixel of the mask ``seeds``, bool."""
        chosen = np.zeros(self.total + 1, bool)
        chosen[self.numbers[seeds]] = True
        chosen[0] = False
        return chosen[self.numbers]


def parts_of(mask: np.ndarray) -> Parts:
    """The 4-connected parts of a (rows, columns) bool mask, in raster order."""
    from scipy.ndimage import label

    numbers, count = label(mask)
    return Parts(numbers, int(count))


def largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected part of a mask, of equal ones the first; itself where it is one or empty."""
    parts = parts_of(mask)
    if parts.total < 2:
        return mask
    return parts.numbers == np.bincount(parts.numbers.ravel())[1:].argmax() + 1


def masked(labels: np.ndarray, label: int) -> tuple[Box, np.ndarray] | None:
    """The window around a label, and where it is in it, bool; None where it is not there."""
    mask = labels == label
    if not mask.any():
        return None
    box = box_of(mask)
    return box, mask[box]


def beside(mask: np.ndarray) -> np.ndarray:
    """The pixels beside those of a mask, 4-connected, and some of its own."""
    near = np.zeros(mask.shape, bool)
    near[1:] |= mask[:-1]
    near[:-1] |= mask[1:]
    near[:, 1:] |= mask[:, :-1]
    near[:, :-1] |= mask[:, 1:]
    return near


class Runs(NamedTuple):
    """Stretches of pixels of a row that are equal in all of some planes, in raster order.

    ``start`` (runs,): flat index of the first pixel of each; ``length`` (runs,). There are some twenty times fewer
    than pixels, so that what is summed over labels is summed over runs.
    """

    start: np.ndarray
    length: np.ndarray

    def pixels(self, chosen: np.ndarray) -> np.ndarray:
        """Flat indices of all pixels of some runs, a (runs,) bool mask; sorted."""
        start, length = self.start[chosen], self.length[chosen]
        before = np.cumsum(length) - length
        return np.repeat(start - before, length) + np.arange(length.sum())


def runs_of(*planes: np.ndarray) -> Runs:
    """The runs of (rows, columns) planes of one shape."""
    shape = planes[0].shape
    begins = np.zeros(shape, bool)
    begins[:, :1] = True
    for plane in planes:
        begins[:, 1:] |= plane[:, 1:] != plane[:, :-1]
    start = np.flatnonzero(begins)
    return Runs(start, np.diff(start, append=begins.size))


class PlaneParts(NamedTuple):
    """The connected parts 1 … n of all labels of a plane, in raster order; 0 is background.

    ``numbers`` (rows, columns) int; ``labels``, ``sizes`` (n + 1,) int64: the label and the pixels of each.
    """

    numbers: np.ndarray
    labels: np.ndarray
    sizes: np.ndarray


def plane_parts(labels: np.ndarray, *, corners: bool = False) -> PlaneParts:
    """All parts of a (rows, columns) int plane, 4-connected, or 8-connected where ``corners`` do. 30 ns a pixel."""
    from skimage.measure import label

    numbers = label(labels, background=0, connectivity=2 if corners else 1)
    sizes = np.bincount(numbers.reshape(-1), minlength=1)
    of_part = np.zeros(len(sizes), np.int64)
    of_part[numbers.reshape(-1)] = labels.reshape(-1)
    return PlaneParts(numbers, of_part, sizes)
