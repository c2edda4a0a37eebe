"""Candidates for objects: one connected mask each, how convex it is and how it stands out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

SMALLEST = 9.0
"""Least area of an object, in pixels of the plane on which it is found."""
CONVEXITY_POWER = 4
RING = 3
"""Pixels around a candidate that it is compared with."""
QUANTILE = 0.25
"""Part of its surroundings that may be like an object."""
SPLIT_DEPTH = 0.05
"""A neck is where the distance to the outline falls by this share of the greatest distance."""
SPLIT_GAIN = 1.05
"""Pieces must be more convex than the whole by this factor."""


class Bounds(NamedTuple):
    """What a candidate may be: ``least`` and ``most`` area in pixels, most share of the image's outline."""

    least: float
    most: float
    outline: float

    def quartered(self) -> Bounds:
        """On a plane of half the rows and columns."""
        return Bounds(max(SMALLEST, self.least / 4), self.most / 4, self.outline)


class Candidate(NamedTuple):
    """What may be an object: ``mask`` (bool) within ``box``, its ``area`` in pixels, ``quality`` from 0 to 1, the same
    where a difference is asked for nearly all around (``apart``), and the pieces that it falls into at its necks, if
    that is better.
    """

    box: tuple[slice, slice]
    mask: np.ndarray
    area: int
    quality: float
    apart: float
    pieces: tuple[np.ndarray, ...] = ()


def solidity(mask: np.ndarray) -> float:
    """Area of a (rows, columns) mask over that of its convex hull, pixels as squares: 1 if convex; 0 if empty."""
    from scipy.spatial import ConvexHull

    rows = np.flatnonzero(mask.any(axis=1))
    if not len(rows):
        return 0.0
    # The hull needs no more than the ends of every row.
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - mask[rows, ::-1].argmax(axis=1)
    corners = np.concatenate([np.stack([rows + down, end], axis=1) for down in (0, 1) for end in (first, last)])
    return float(np.count_nonzero(mask) / ConvexHull(corners).volume)


def solidity_power(mask: np.ndarray) -> float:
    """What the quality of a candidate has of its :func:`solidity`."""
    return solidity(mask) ** CONVEXITY_POWER


def box_of(mask: np.ndarray, margin: int = 0) -> tuple[slice, slice]:
    """The bounding box of a mask that is not empty, wider by ``margin`` where there is image."""
    rows, columns = (np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1))
    return (
        slice(max(int(rows[0]) - margin, 0), min(int(rows[-1]) + 1 + margin, mask.shape[0])),
        slice(max(int(columns[0]) - margin, 0), min(int(columns[-1]) + 1 + margin, mask.shape[1])),
    )


def outline_share(mask: np.ndarray) -> float:
    """Share of the pixels along the sides of a plane that are in a mask over it."""
    sides = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return float(np.count_nonzero(sides) / sides.size)


def distinctness(values: np.ndarray, mask: np.ndarray, floor: float = 0.0) -> tuple[float, float]:
    """How much the pixels around a mask differ from its mean, beside its own spread: silhouettes, −1 … 1.

    (b − a) / max(a, b, ``floor``) with a and b the mean distances of the pixels inside, and of those within ``RING``
    pixels outside, from the mean of those inside (Rousseeuw 1987, simplified to the centroid). The second answer has
    for b the ``QUANTILE`` of the distances outside, which asks for a difference nearly all around. ``values``: (rows,
    columns, channels), with a margin around the mask where there is image. 0 where nothing is around.
    """
    from scipy.ndimage import binary_dilation

    around = binary_dilation(mask, iterations=RING) & ~mask
    if not around.any() or not mask.any():
        return 0.0, 0.0
    inside = values[mask]
    middle = inside.mean(axis=0)
    own = float(np.sqrt(((inside - middle) ** 2).sum(axis=-1)).mean())
    outside = np.sqrt(((values[around] - middle) ** 2).sum(axis=-1))
    others = float(outside.mean()), float(np.quantile(outside, QUANTILE))
    mean, nearly_all = ((b - own) / max(own, b, floor, 1e-9) for b in others)
    return mean, nearly_all


def assess(
    values: np.ndarray, mask: np.ndarray, box: tuple[slice, slice], least: float, *, cut_necks: bool = True
) -> Candidate:
    """The candidate that ``mask`` is: quality = distinctness · solidity⁴, better if it is better cut at its necks.

    ``values`` as :func:`distinctness`; ``least``: area of the smallest piece.
    """
    area = int(np.count_nonzero(mask))
    mean, nearly_all = (max(value, 0.0) for value in distinctness(values, mask))
    if not mean:
        return Candidate(box, mask, area, 0.0, 0.0)
    whole = solidity_power(mask)
    pieces = cut_at_necks(mask, least) if cut_necks and whole < 0.95**CONVEXITY_POWER else ()
    if pieces:
        areas = np.array([piece.sum() for piece in pieces])
        cut = float(areas @ np.array([solidity_power(piece) for piece in pieces]) / areas.sum())
        if cut > SPLIT_GAIN * whole:
            return Candidate(box, mask, area, mean * cut, nearly_all * cut, pieces)
    return Candidate(box, mask, area, mean * whole, nearly_all * whole)


def cut_at_necks(mask: np.ndarray, least: float) -> tuple[np.ndarray, ...]:
    """The parts of a mask around the peaks of the distance to its outline, those of at least ``least`` pixels.

    Empty where there are fewer than two.
    """
    from scipy.ndimage import distance_transform_edt, label
    from skimage.morphology import h_maxima
    from skimage.segmentation import watershed

    distance = distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    markers, count = label(h_maxima(distance, SPLIT_DEPTH * distance.max()), np.ones((3, 3)))
    if count < 2:
        return ()
    parts = watershed(-distance, markers, mask=mask)
    large = np.flatnonzero(np.bincount(parts.ravel(), minlength=count + 1)[1:] >= least) + 1
    return tuple(parts == part for part in large) if len(large) > 1 else ()
