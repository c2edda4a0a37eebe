"""Borders between labels, decided pixel by pixel along the image's edges."""

from __future__ import annotations

import numpy as np


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
    Cost: one watershed of the undecided pixels and a ring around them, as markers are costly.
    """
    from skimage.segmentation import watershed

    open_pixels = undecided if fixed is None else undecided & ~fixed
    window = grown(open_pixels, 1) if fixed is None else grown(open_pixels, 1) & ~fixed
    # The numbers of markers are labels + 1, as 0 may be a label here.
    markers = np.where(open_pixels, 0, labels + 1)
    painted = strokes > 0 if fixed is None else (strokes > 0) & ~fixed
    markers[painted] = strokes[painted] + 1
    flooded = watershed(strength, markers.astype(np.int32), mask=window)
    answer = np.where(window & (flooded > 0), flooded - 1, labels)
    answer[painted] = strokes[painted]
    return answer.astype(np.int32)


def near_borders(labels: np.ndarray, margin: int) -> np.ndarray:
    """Pixels within ``margin`` of another label, (rows, columns) bool, in a square neighbourhood."""
    border = np.zeros(labels.shape, bool)
    down, right = labels[1:] != labels[:-1], labels[:, 1:] != labels[:, :-1]
    border[1:] |= down
    border[:-1] |= down
    border[:, 1:] |= right
    border[:, :-1] |= right
    return grown(border, margin - 1)


def grown(mask: np.ndarray, reach: int) -> np.ndarray:
    """A mask with all within ``reach`` pixels of it, in a square neighbourhood."""
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask.view(np.uint8), 2 * reach + 1).view(bool)
