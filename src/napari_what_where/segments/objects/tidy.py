"""Labels as objects: connected, within bounds, numbered in raster order."""

from __future__ import annotations

import numpy as np

from napari_what_where.progress import checkpoint
from napari_what_where.segments.objects.shapes import Bounds


def tidy(labels: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Of every label its largest 4-connected part, without those out of bounds, numbered in raster order.

    (rows, columns) int, 0 = background → int32. Cost: about 40 µs an object, in its bounding box.
    """
    from scipy.ndimage import find_objects

    kept = []
    for number, box in enumerate(find_objects(labels), start=1):
        if number % 256 == 0:
            checkpoint()
        if box is None:
            continue
        part = _largest_part(labels[box] == number)
        if np.count_nonzero(part) >= bounds.least and _outline_share(part, box, labels.shape) <= bounds.outline:
            row = int(part.any(axis=1).argmax())
            kept.append(((box[0].start + row, box[1].start + int(part[row].argmax())), box, part))
    tidied = np.zeros(labels.shape, np.int32)
    # Two labels never share a pixel, so the first pixels differ and nothing else is compared.
    for number, (_, box, part) in enumerate(sorted(kept, key=lambda each: each[0]), start=1):
        tidied[box][part] = number
    return tidied


def _largest_part(mask: np.ndarray) -> np.ndarray:
    """The largest 4-connected part of a mask; of equal ones the first."""
    from scipy.ndimage import label

    parts, count = label(mask)
    return mask if count < 2 else parts == np.bincount(parts.ravel())[1:].argmax() + 1


def _outline_share(part: np.ndarray, box: tuple[slice, slice], shape: tuple[int, ...]) -> float:
    """Share of the pixels along the sides of a plane of ``shape`` that are in a mask within ``box``."""
    sides = 0
    for lines, side, length in ((part, box[0], shape[0]), (part.T, box[1], shape[1])):
        sides += int(np.count_nonzero(lines[0])) if side.start == 0 else 0
        sides += int(np.count_nonzero(lines[-1])) if side.stop == length else 0
    return sides / (2 * (shape[0] + shape[1]))
