"""Borders between labels, decided pixel by pixel along the image's edges."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from napari_what_where.refinement.parts import grown
from napari_what_where.segments.objects.shapes import box_of


class Flooded(NamedTuple):
    """What was flooded, to be taken from where nothing has changed: (rows, columns) each.

    ``window``: bool, where floods went; ``markers``: int32, labels + 1 of the pixels that they came from, else 0;
    ``basins``: int32, the marker that reached each pixel, 0 for none.
    """

    window: np.ndarray
    markers: np.ndarray
    basins: np.ndarray


def flood_borders(
    labels: np.ndarray,
    undecided: np.ndarray,
    strokes: np.ndarray,
    strength: np.ndarray,
    fixed: np.ndarray | None = None,
    before: Flooded | None = None,
) -> tuple[np.ndarray, Flooded]:
    """Decide ``undecided`` pixels by a watershed from the decided ones around them, and from strokes.

    Parameters
    ----------
    labels : (rows, columns) int ≥ 0
        Of which those of decided pixels count, and of undecided ones that nothing reaches.
    undecided : (rows, columns) bool
    strokes : (rows, columns) int
        Labels from 1 on where something is painted, 0 elsewhere; they stand.
    strength : (rows, columns) float32
        Edge strength: floods meet on its ridges.
    fixed : (rows, columns) bool, optional
        Pixels that keep their label and that no flood crosses.
    before : Flooded, optional
        Of an earlier call with the same ``strength``. It changes nothing but the time.

    Returns
    -------
    (rows, columns) int32, and what was flooded, for the next call

    Notes
    -----
    Cost: one watershed of the undecided pixels and a ring around them, as markers are costly; after an earlier call, of
    those connected parts of them in which anything differs, as no flood goes from one part to another.
    """
    painted = strokes > 0 if fixed is None else (strokes > 0) & ~fixed
    answer = np.where(painted, strokes, labels).astype(np.int32, copy=False)
    open_pixels = undecided if fixed is None else undecided & ~fixed
    window, markers = np.zeros(labels.shape, bool), np.zeros(labels.shape, np.int32)
    if open_pixels.any():
        box = box_of(open_pixels, margin=1)
        window[box] = grown(open_pixels[box], 1)
        if fixed is not None:
            window &= ~fixed
        # The numbers of markers are labels + 1, as 0 may be a label here.
        np.add(answer, 1, out=markers, where=window & (~open_pixels | painted))
    basins = _basins(window, markers, strength, before)
    np.subtract(basins, 1, out=answer, where=basins > 0)
    return answer, Flooded(window, markers, basins)


def _basins(window: np.ndarray, markers: np.ndarray, strength: np.ndarray, before: Flooded | None) -> np.ndarray:
    """The marker that reaches each pixel of a window, (rows, columns) int32, 0 for none and outside of it."""
    from skimage.segmentation import watershed

    again, basins = window, np.zeros(window.shape, np.int32)
    if before is not None:
        again = _parts_that_differ(window, (window != before.window) | (markers != before.markers))
        np.copyto(basins, before.basins, where=window & ~again)
    if again.any():
        box = box_of(again)
        found = watershed(_in_turn(strength, markers, box), markers[box], mask=again[box])
        np.copyto(basins[box], found, where=again[box])
    return basins


def _in_turn(strength: np.ndarray, markers: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """The strength in a window, (rows, columns) float64, in which no two markers are equal.

    The library floods from equal ones in an order that depends on all others: it would not be that of a part alone.
    What is added is less than float32 tells apart.
    """
    level = strength[box].astype(np.float64)
    inside = np.nonzero(markers[box])
    place = (inside[0] + box[0].start) * float(strength.shape[1]) + inside[1] + box[1].start
    level[inside] = level[inside] * (1 + place * 2.0**-52) + place * 1e-30
    return level


def _parts_that_differ(window: np.ndarray, differing: np.ndarray) -> np.ndarray:
    """The 4-connected parts of a window in which or beside which anything differs, (rows, columns) bool.

    A part without is one of the earlier window, too: all that touched it then would differ now.
    """
    from scipy.ndimage import label

    if not differing.any():
        return np.zeros_like(window)
    numbers, count = label(window)
    met = np.bincount(numbers[grown(differing, 1)], minlength=count + 1) > 0
    met[0] = False
    return met[numbers]


def near_borders(labels: np.ndarray, margin: int) -> np.ndarray:
    """Pixels within ``margin`` of another label, (rows, columns) bool, in a square neighbourhood."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return grown(border, margin - 1)
