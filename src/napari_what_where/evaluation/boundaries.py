"""Boundaries against annotators' boundaries: precision, recall and F as in the Berkeley benchmark.

Martin, Fowlkes & Malik, TPAMI 2004; as used by Arbelaez, Maire, Fowlkes & Malik, TPAMI 2011, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

TOLERANCE = 0.0075
"""Farthest that matched boundary pixels may lie apart, as a share of the image's diagonal."""


class Counts(NamedTuple):
    """Boundary pixels, summed over whatever is pooled.

    ``matched_ours`` of ``ours`` match a pixel of any annotator; ``matched_theirs`` of ``theirs``, summed over the
    annotators, match one of ours.
    """

    matched_ours: int
    ours: int
    matched_theirs: int
    theirs: int

    @property
    def precision(self) -> float:
        """Share of our boundary that some annotator drew; 0 where we drew none."""
        return self.matched_ours / max(self.ours, 1)

    @property
    def recall(self) -> float:
        """Share of the annotators' boundaries that we found; 0 where they drew none."""
        return self.matched_theirs / max(self.theirs, 1)

    @property
    def f_measure(self) -> float:
        """Harmonic mean of precision and recall; 1 where there is no boundary and none was found."""
        if not self.ours and not self.theirs:
            return 1.0
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0


def boundary_map(labels: np.ndarray) -> np.ndarray:
    """One-pixel-wide boundaries of a (rows, columns) label image: (rows, columns) bool.

    A pixel is on the boundary if it and its neighbours to the right, below and diagonally below are not one region,
    thinned until nothing changes: the benchmark's ``seg2bdry(…, 'imageSize')`` and ``bwmorph(…, 'thin', Inf)``.
    Negative labels are void, and boundaries with them do not count. Cost: some 10 ms for 321 × 481.
    """
    from skimage.morphology import thin

    rows, columns = labels.shape
    padded = np.pad(labels, ((0, 1), (0, 1)), mode="edge")
    corners = [padded[i : i + rows, j : j + columns] for i in (0, 1) for j in (0, 1)]
    differ = (corners[1] != corners[0]) | (corners[2] != corners[0]) | (corners[3] != corners[0])
    for corner in corners:
        differ &= corner >= 0
    return thin(differ)


def compare(ours: np.ndarray, theirs: Sequence[np.ndarray], tolerance: float = TOLERANCE) -> Counts:
    """Count the matches of our boundary map with each annotator's, (rows, columns) bool each.

    Cost: grows with boundary pixels times the pixels within the tolerance; some 10 ms an annotator for 321 × 481.
    """
    radius = tolerance * float(np.hypot(*ours.shape))
    found = np.zeros(ours.shape, bool)
    matched = 0
    for truth in theirs:
        pixels = match(truth, ours, radius)
        found.ravel()[pixels] = True
        matched += len(pixels)
    # Precision counts a pixel once, whichever annotator drew it; recall counts every annotator's (Martin 2004).
    return Counts(int(found.sum()), int(ours.sum()), matched, int(sum(truth.sum() for truth in theirs)))


def match(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Match pixels of two (rows, columns) bool maps one to one, as many as can be, none farther apart than ``radius``.

    Returns the flat indices of the matched pixels of ``second``. The benchmark solves an assignment in which a pixel
    left over costs a hundred times the radius, so it, too, matches as many as can be. Here that is a maximum flow of
    unit capacities (Dinic's algorithm), with the nearest pairs offered first.
    """
    from scipy.sparse.csgraph import maximum_flow

    near = _neighbours(first, second, radius)
    sources, sinks, pairs = len(near), int(second.sum()), int((near >= 0).sum())
    if not pairs:
        return np.zeros(0, np.int64)
    flow = maximum_flow(_network(near, sinks), 0, sources + sinks + 1).flow
    into = flow.indices[flow.indptr[sources + sinks + 1] : flow.indptr[sources + sinks + 2]]
    # The last row holds the reversed flow out of every pixel of ``second``: −1 where it is matched.
    used = flow.data[flow.indptr[sources + sinks + 1] : flow.indptr[sources + sinks + 2]] < 0
    return np.flatnonzero(second)[into[used] - sources - 1]


def _neighbours(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """For each pixel of ``first`` those of ``second`` within the radius, by their number, nearest first.

    (pixels, places within the radius) int32, −1 where a place is no pixel of ``second``.
    """
    reach = int(radius)
    steps = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    length = np.hypot(*steps)
    order = np.argsort(length, kind="stable")
    steps = steps[:, order[length[order] <= radius]]
    padded = np.pad(second, reach)
    number = np.full(padded.size, -1, np.int32)
    number[np.flatnonzero(padded)] = np.arange(int(second.sum()), dtype=np.int32)
    here = np.flatnonzero(np.pad(first, reach))
    return number[here[:, None] + (steps[0] * padded.shape[1] + steps[1])]


def _network(near: np.ndarray, sinks: int) -> Any:
    """The flow network: node 0 → each pixel of ``first`` → its neighbours in ``second`` → the last node."""
    from scipy import sparse

    sources = len(near)
    starts, places = np.nonzero(near >= 0)
    last = sources + sinks + 1
    indices = np.concatenate([np.arange(1, sources + 1), near[starts, places] + sources + 1, np.full(sinks, last)])
    out = np.concatenate([[sources], (near >= 0).sum(axis=1), np.ones(sinks, int), [0]])
    indptr = np.concatenate([[0], np.cumsum(out)]).astype(np.int32)
    return sparse.csr_array((np.ones(len(indices), np.int32), indices.astype(np.int32), indptr), (last + 1, last + 1))
