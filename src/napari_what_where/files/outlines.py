"""Which part of a plane counts: polygons in its pixel coordinates, drawn as a mask, also as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEAST = 2
"""Pixels along a side that an image needs."""

Window = tuple[slice, slice]
"""Rows and columns of a plane."""

Polygon = tuple[tuple[float, float], ...]
"""(row, column) of each corner; pixels have their centres at whole numbers."""


def draw_outline(
    polygons: Sequence[Polygon], sizes: tuple[int, int], *, what: str = "The outline"
) -> tuple[Window, np.ndarray | None]:
    """The smallest window of a plane that holds the polygons, and which of its pixels are in any of them.

    Parameters
    ----------
    polygons : one or more sequences of (row, column)
        In pixels of the plane; what lies beyond its border is cut off.
    sizes : (rows, columns) of the plane
    what : for errors, such as "The shape in 'Shapes'"

    Returns
    -------
    window : two slices
    outline : (rows, columns) of the window, bool; None where all of it counts.

    Raises
    ------
    ValueError
        Less than 2 pixels along a side, or 4 in all, are inside.
    """
    from skimage.draw import polygon2mask

    corners = np.concatenate([np.asarray(polygon, float) for polygon in polygons])
    window = window_around(corners.min(axis=0), corners.max(axis=0), sizes, what=what)
    origin = np.array([span.start for span in window])
    shape = tuple(span.stop - span.start for span in window)
    outline = np.zeros(shape, bool)
    for polygon in polygons:
        outline |= polygon2mask(shape, np.asarray(polygon, float) - origin)
    if outline.sum() < LEAST * LEAST:
        raise ValueError(f"{what} covers {outline.sum()} pixels of the image. Draw it larger.")
    return window, None if outline.all() else outline


def window_around(low: np.ndarray, high: np.ndarray, sizes: tuple[int, int], *, what: str) -> Window:
    """The pixels that a box from (row, column) ``low`` to ``high`` touches. ``ValueError`` for less than 2 a side."""
    spans = []
    # Corners that napari keeps in float32 are not quite where they were drawn; that must not add a row of pixels.
    for size, least, most in zip(sizes, np.round(low, 2), np.round(high, 2), strict=True):
        start, stop = max(0, int(np.floor(least))), min(size, int(np.ceil(most)) + 1)
        if stop - start < LEAST:
            raise ValueError(f"{what} is less than {LEAST} pixels of the image. Zoom to it, or draw over it.")
        spans.append(slice(start, stop))
    return spans[0], spans[1]


def parse_polygon(text: str) -> Polygon:
    """Corners like ``10,10;10,90.5;80,50``, row before column; ``ValueError`` for anything else."""
    try:
        corners = tuple(tuple(float(number) for number in corner.split(",")) for corner in text.split(";"))
    except ValueError:
        corners = ()
    if len(corners) < 3 or any(len(corner) != 2 for corner in corners) or not np.isfinite(corners).all():
        raise ValueError(f"received {text[:60]!r}; expected three corners or more, row,column;row,column;…")
    return tuple((row, column) for row, column in corners)


def format_polygon(polygon: Polygon) -> str:
    """The text that :func:`parse_polygon` reads as ``polygon``, to the last bit."""
    return ";".join(",".join(repr(float(place)).removesuffix(".0") for place in corner) for corner in polygon)


def keep_inside(labels: np.ndarray, outline: np.ndarray | None) -> np.ndarray:
    """Labels (…, rows, columns), changed in place to 0 where a (rows, columns) bool outline is False."""
    if outline is not None:
        labels[..., ~outline] = 0
    return labels
