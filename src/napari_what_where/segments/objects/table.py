"""Measures of objects, one row each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.segments.superpixels import nearest_index

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

STRIP = 2**21
"""Pixels that are measured at a time."""


def object_table(labels: np.ndarray, analysis: Analysis) -> dict[str, np.ndarray]:
    """Measures of labelled objects, one row for each label that is there, ascending; columns by name.

    Parameters
    ----------
    labels : (rows, columns) int ≥ 0
        0 is background. Of the image, as :func:`~napari_what_where.find_objects` gives them, or of the plane that was
        worked on, as :func:`~napari_what_where.segments.objects.find.working_objects` does.
    analysis : Analysis

    Returns
    -------
    dict of (objects,) arrays
        ``label``, ``area``, ``bbox_row_min``, ``bbox_column_min``, ``bbox_row_max``, ``bbox_column_max``,
        ``centroid_row``, ``centroid_column`` as :meth:`~napari_what_where.segments.tree.RegionTree.features` has
        them, in pixels of the image; ``intensity_1`` …: mean of each channel in which the image is analysed (stretched
        to about 0 … 1; lightness, a and b of colours), where edges were followed; ``kind``: that of most of its pixels.

    Raises
    ------
    TypeError, ValueError
        For labels that are no integers, are negative, or have another shape.

    Notes
    -----
    Cost: some 30 ns a labelled pixel, and the channels of large planes, which are computed anew.
    """
    labels = _check(labels, analysis)
    count = int(labels.max()) + 1
    sums, kinds = _sums(labels, analysis, count)
    there = np.flatnonzero(sums[:, 0])
    there = there[there > 0]
    low, high = _bounds(labels, analysis.tree.shape, there)
    table = {"label": there, "area": sums[there, 0].astype(np.int64)}
    table |= {"bbox_row_min": low[:, 0], "bbox_column_min": low[:, 1]}
    table |= {"bbox_row_max": high[:, 0], "bbox_column_max": high[:, 1]}
    means = sums[there, 1:] / sums[there, :1]
    table |= {"centroid_row": means[:, 0], "centroid_column": means[:, 1]}
    table |= {f"intensity_{number}": column for number, column in enumerate(means[:, 2:].T, start=1)}
    if kinds is not None:
        table["kind"] = kinds[there].argmax(axis=1) + 1
    return table


def _check(labels: Any, analysis: Analysis) -> np.ndarray:
    array, shapes = np.asarray(labels), (analysis.tree.shape, analysis.tree.working_leaves.shape)
    if array.dtype.kind not in "ui":
        raise TypeError(f"labels are of dtype {array.dtype}; expected integers. Convert them: labels.astype(int).")
    if array.shape not in shapes:
        raise ValueError(f"labels have shape {array.shape}; expected that of the image, {shapes[0]}.")
    if array.min() < 0:
        raise ValueError(f"The smallest label is {array.min()}; expected 0 for background and objects from 1 on.")
    return array


def _sums(labels: np.ndarray, analysis: Analysis, count: int) -> tuple[np.ndarray, np.ndarray | None]:
    """For each label sums over its pixels of the image of 1, row, column and channels; and pixels of each kind."""
    tree, channels = analysis.tree, analysis.channels
    plane = tree.working_leaves.shape
    pixels = [_pixels(image, own) for image, own in zip(tree.shape, labels.shape, strict=True)]
    working = [nearest_index(own, coarse) for own, coarse in zip(labels.shape, plane, strict=True)]
    sums = np.zeros((count, 3 + (0 if channels is None else channels.shape[2])))
    kinds = None if tree.kinds is None else np.zeros((count, int(tree.kinds.max())), np.int64)
    strip = max(1, STRIP // labels.shape[1])
    for top in range(0, len(labels), strip):
        row, column = np.nonzero(labels[top : top + strip])
        if not len(row):
            continue
        row += top
        inside = labels[row, column]
        weight = pixels[0][0][row] * pixels[1][0][column]
        values = [np.ones(len(row)), pixels[0][1][row], pixels[1][1][column]]
        below, across = working[0][row], working[1][column]
        if channels is not None:
            part = channels[int(below[0]) : int(below[-1]) + 1, :]
            values += list(part[below - below[0], across].T)
        sums += np.stack([np.bincount(inside, weight * value, minlength=count) for value in values], axis=1)
        if kinds is not None and tree.kinds is not None:
            code = inside.astype(np.int64) * kinds.shape[1] + tree.kinds[tree.working_leaves[below, across]] - 1
            kinds += np.bincount(code, weight, minlength=kinds.size).reshape(kinds.shape).astype(np.int64)
    return sums, kinds


def _pixels(image: int, own: int) -> tuple[np.ndarray, np.ndarray]:
    """How many pixels along an axis of the image each of ``own`` stands for, and their mean position."""
    owner = nearest_index(image, own)
    number = np.bincount(owner, minlength=own)
    return number, np.bincount(owner, np.arange(image), minlength=own) / number


def _bounds(labels: np.ndarray, shape: tuple[int, int], there: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First row and column of each label in the image, and one past the last, (labels, 2)."""
    from scipy.ndimage import find_objects

    boxes = find_objects(labels)
    edges = [
        np.searchsorted(nearest_index(image, own), np.arange(own + 1))
        for image, own in zip(shape, labels.shape, strict=True)
    ]
    own = [boxes[label - 1] for label in there.tolist()]
    low = [[edge[side.start] for edge, side in zip(edges, box, strict=True)] for box in own]
    high = [[edge[side.stop] for edge, side in zip(edges, box, strict=True)] for box in own]
    return np.array(low, np.int64).reshape(-1, 2), np.array(high, np.int64).reshape(-1, 2)
