"""Borders between labels, decided pixel by pixel along the image's edges."""

from __future__ import annotations

import numpy as np

from napari_what_where.refinement.parts import grown
from napari_what_where.segments.objects.shapes import box_of


def flood_borders(
    labels: np.ndarray,
    undecided: np.ndarray,
    strokes: np.ndarray,
    strength: np.ndarray,
    fixed: np.ndarray | None = None,
) -> np.ndarray:
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

    Returns
    -------
    (rows, columns) int32

    Notes
    -----
    Cost: one watershed of the undecided pixels and a ring around them, as markers are costly, in the window that they
    are in.
    """
    from skimage.segmentation import watershed

    answer = labels.astype(np.int32)
    painted = strokes > 0 if fixed is None else (strokes > 0) & ~fixed
    answer[painted] = strokes[painted]
    open_pixels = undecided if fixed is None else undecided & ~fixed
    if not open_pixels.any():
        return answer
    box = box_of(open_pixels, margin=1)
    window = grown(open_pixels[box], 1)
    if fixed is not None:
        window &= ~fixed[box]
    # The numbers of markers are labels + 1, as 0 may be a label here.
    seeds = window & (~open_pixels[box] | painted[box])
    markers = np.where(seeds, answer[box] + 1, 0)
    flooded = watershed(strength[box], markers, mask=window)
    reached = window & (flooded > 0)
    answer[box][reached] = flooded[reached] - 1
    return answer


def near_borders(labels: np.ndarray, margin: int) -> np.ndarray:
    """Pixels within ``margin`` of another label, (rows, columns) bool, in a square neighbourhood."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return grown(border, margin - 1)
