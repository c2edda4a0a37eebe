"""Labels as runs of pixels down the columns, as COCO counts and packs them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Mask(NamedTuple):
    """One label of a plane: how many pixels, its box (x, y, width, height), and lengths of runs, from background on."""

    label: int
    area: int
    box: tuple[int, int, int, int]
    counts: np.ndarray


def masks_of(
    plane: np.ndarray, *, offset: tuple[int, int] = (0, 0), shape: tuple[int, int] | None = None
) -> list[Mask]:
    """Every label of a (rows, columns) plane but 0, ascending, in an image of ``shape`` where it lies at ``offset``.

    One pass over the plane, whatever the number of labels.
    """
    rows = len(plane)
    height, width = shape or plane.shape
    flat = plane.ravel(order="F")
    # A run ends where the label changes, and at the foot of every column: columns of the image may be longer.
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    starts = np.union1d(changes, np.arange(0, flat.size, rows))
    lengths = np.diff(np.append(starts, flat.size))
    kept = flat[starts] > 0
    starts, lengths = starts[kept], lengths[kept]
    labels = flat[starts]
    x, y = starts // rows + offset[1], starts % rows + offset[0]
    order = np.argsort(labels, kind="stable")
    bounds = np.flatnonzero(np.diff(labels[order])) + 1
    return [
        _mask(int(labels[group[0]]), x[group], y[group], lengths[group], (height, width))
        for group in np.split(order, bounds)
        if len(group)
    ]


def _mask(label: int, x: np.ndarray, y: np.ndarray, lengths: np.ndarray, shape: tuple[int, int]) -> Mask:
    height, width = shape
    first = x.astype(np.int64) * height + y
    last = first + lengths
    # A run at the foot of a column goes on at the head of the next.
    alone = np.append(True, first[1:] != last[:-1])
    first, last = first[alone], last[np.append(alone[1:], True)]
    ends = np.stack([first, last], axis=1).ravel()
    counts = np.diff(np.concatenate([[0], ends, [height * width]]))
    box = (int(x.min()), int(y.min()), int(x.max() - x.min() + 1), int((y + lengths).max() - y.min()))
    return Mask(label, int(lengths.sum()), box, counts if counts[-1] else counts[:-1])


def pack(counts: np.ndarray) -> str:
    """Lengths of runs as COCO's compressed text.

    From the fourth on, each is the difference to the one before the last; of every number five bits a letter, the
    lowest first, with a sixth that says whether more follow, from the letter "0" on (``rleToString`` of the COCO API,
    Lin et al. 2014).
    """
    values = counts.astype(np.int64)
    values[3:] -= counts[1:-2]
    text = bytearray()
    for value in values.tolist():
        while True:
            letter, value = value & 0x1F, value >> 5
            more = value != (-1 if letter & 0x10 else 0)
            text.append(48 + (letter | 0x20 if more else letter))
            if not more:
                break
    return text.decode("ascii")
