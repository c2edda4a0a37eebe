"""Labels tidied up: holes, specks, parts, numbers; of the labels that are ``selected``, by default of all.

All take a (rows, columns) int plane, 0 for background, and give back an edit; ``locked`` labels, among which may be 0,
neither change nor grow. Negative labels are no objects, and stay. Parts are 4-connected.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_what_where.refinement.edit import Edit, check_labels, edit_at, free_labels, is_among, no_edit
from napari_what_where.refinement.parts import PlaneParts, parts_of, plane_parts, runs_of

SMALLEST_RING = 4
"""Pixels around a hole of one."""


def fill_holes(
    labels: np.ndarray,
    selected: Collection[int] | None = None,
    *,
    locked: Collection[int] = (),
    largest: int | None = None,
) -> Edit:
    """Give background that one label encloses that label.

    A hole is what can not reach the border of the plane without crossing the label, as for
    :func:`scipy.ndimage.binary_fill_holes`; other labels in it stay as they are. Background within several labels, one
    around the other, goes to the innermost. ``largest``: holes of more pixels stay, whatever is in them. Cost: 30 ns a
    pixel, and 0.05 ms for each part that might have a hole.
    """
    from scipy.ndimage import find_objects

    labels = check_labels(labels)
    # What encloses a 4-connected hole is 8-connected.
    parts = plane_parts(labels, corners=True)
    chosen = (parts.sizes >= SMALLEST_RING) & _is_chosen(parts.labels, selected, locked)
    boxes = find_objects(parts.numbers) if chosen.any() else []
    filled, holes = labels.copy(), 0
    # The innermost part has the smallest box.
    for part in sorted(np.flatnonzero(chosen).tolist(), key=lambda part: _size(boxes[part - 1])):
        box = boxes[part - 1]
        empty = filled[box] == 0
        if not empty.any():
            continue
        found, count = _holes(parts.numbers[box] == part, largest)
        if count and (empty := empty & found).any():
            filled[box][empty] = parts.labels[part]
            holes += count
    flat = np.flatnonzero(filled != labels)
    said = f"{_several(holes, 'hole')} filled." if holes else "There are no holes to fill."
    return edit_at(labels, flat, filled.reshape(-1)[flat], said, locked=locked)


def _size(box: tuple[slice, slice]) -> int:
    return (box[0].stop - box[0].start) * (box[1].stop - box[1].start)


def _holes(mask: np.ndarray, largest: int | None) -> tuple[np.ndarray, int]:
    """The holes of a mask in its bounding box, bool, and how many there are."""
    outside = parts_of(~mask)
    inner = np.ones(outside.total + 1, bool)
    for side in (outside.numbers[0], outside.numbers[-1], outside.numbers[:, 0], outside.numbers[:, -1]):
        inner[side] = False
    inner[0] = False
    if largest is not None and inner.any():
        inner &= np.bincount(outside.numbers.reshape(-1), minlength=len(inner)) <= largest
    count = int(np.count_nonzero(inner))
    return (inner[outside.numbers] if count else np.zeros(mask.shape, bool)), count


def remove_small(
    labels: np.ndarray,
    pixels: int,
    selected: Collection[int] | None = None,
    *,
    fill: bool = False,
    locked: Collection[int] = (),
) -> Edit:
    """Remove parts of fewer than ``pixels`` pixels.

    They become background; with ``fill``, what they have the longest border with, background or another label, of
    equal ones the lowest: for segmentations without background. Those that touch nothing but small parts and locked
    labels wait until a neighbour has been given away, or stay. Cost: 60 ns a pixel.
    """
    labels = check_labels(labels)
    parts = plane_parts(labels)
    small = (parts.sizes < pixels) & _is_chosen(parts.labels, selected, locked)
    if not small.any():
        return no_edit(f"No part is smaller than {_several(pixels, 'pixel')}.")
    after = _given_away(parts, small, locked) if fill else np.where(small, 0, parts.labels)
    return _relabelled(labels, parts, after, "small part", "removed", locked)


def keep_largest(labels: np.ndarray, selected: Collection[int] | None = None, *, locked: Collection[int] = ()) -> Edit:
    """Keep of each label its largest part, of equal ones the first; the others become background."""
    labels = check_labels(labels)
    parts = plane_parts(labels)
    lesser = _are_lesser(parts) & _is_chosen(parts.labels, selected, locked)
    if not lesser.any():
        return no_edit("Every object is in one part already.")
    return _relabelled(labels, parts, np.where(lesser, 0, parts.labels), "smaller part", "removed", locked)


def separate(
    labels: np.ndarray,
    selected: Collection[int] | None = None,
    *,
    locked: Collection[int] = (),
    free: int | None = None,
) -> Edit:
    """Make each part a label of its own: the largest keeps it, of equal ones the first, the others get free ones.

    ``free``: the first of them, see :func:`~napari_what_where.refinement.regions.split`. Raises ``ValueError`` where
    the dtype does not hold so many labels.
    """
    labels = check_labels(labels)
    parts = plane_parts(labels)
    lesser = _are_lesser(parts) & _is_chosen(parts.labels, selected, locked)
    if not lesser.any():
        return no_edit("Every object is in one part already.")
    after = parts.labels.copy()
    after[lesser] = free_labels(labels, int(np.count_nonzero(lesser)), taken=locked, first=free)
    return _relabelled(labels, parts, after, "part", "separated", locked)


def relabel(labels: np.ndarray, selected: Collection[int] | None = None, *, locked: Collection[int] = ()) -> Edit:
    """Number labels in the order in which they appear, row by row, with the lowest numbers that no others have.

    Of all labels these are 1, 2, 3 …; those that are not selected and locked ones keep theirs, which are skipped, as
    are the numbers of locked labels that are not on this plane. Cost: 10 ns a pixel, and the sorting of all stretches
    of equal pixels.
    """
    labels = check_labels(labels)
    runs = runs_of(labels)
    of_run = labels.reshape(-1)[runs.start]
    names, first, index = np.unique(of_run, return_index=True, return_inverse=True)
    moving = _is_chosen(names, selected, locked)
    count = int(np.count_nonzero(moving))
    after = names.astype(np.int64)
    taken = np.concatenate([after[~moving], np.array([*locked], np.int64)])
    numbers = np.setdiff1d(np.arange(1, count + len(taken) + 1), taken)[:count]
    after[np.flatnonzero(moving)[np.argsort(first[moving])]] = numbers
    changed = after[index] != of_run
    values = np.repeat(after[index][changed], runs.length[changed])
    said = f"{_several(count, 'object')} numbered in order." if changed.any() else "The numbers are in order already."
    if (names < 0).any():
        said += " Negative labels stay as they are."
    return edit_at(labels, runs.pixels(changed), values, said, locked=locked)


def _is_chosen(names: np.ndarray, selected: Collection[int] | None, locked: Collection[int]) -> np.ndarray:
    chosen = np.ones(len(names), bool) if selected is None else is_among(names, selected)
    return chosen & (names > 0) & ~is_among(names, locked)


def _are_lesser(parts: PlaneParts) -> np.ndarray:
    """Which parts are not the first largest one of their label, (parts + 1,) bool; background is none."""
    order = np.lexsort((np.arange(len(parts.sizes)), -parts.sizes, parts.labels))
    lesser = np.zeros(len(order), bool)
    lesser[order[1:]] = parts.labels[order[1:]] == parts.labels[order[:-1]]
    lesser[0] = False
    return lesser


def _relabelled(
    labels: np.ndarray, parts: PlaneParts, after: np.ndarray, what: str, done: str, locked: Collection[int]
) -> Edit:
    """The edit that gives each part its label in ``after``, (parts + 1,)."""
    changed = after != parts.labels
    flat = np.flatnonzero(changed[parts.numbers])
    edit = edit_at(labels, flat, after[parts.numbers.reshape(-1)[flat]], "", locked=locked)
    moved = int(np.count_nonzero(changed)) if edit else 0
    return Edit(edit.flat, edit.values, f"{_several(moved, what)} {done}.", None)


def _given_away(parts: PlaneParts, small: np.ndarray, locked: Collection[int]) -> np.ndarray:
    """The label of each part once ``small`` ones went to the neighbour of longest border, round by round."""
    one, other, length = _borders(parts, small)
    after, pending = parts.labels.copy(), small.copy()
    while True:
        usable = pending[one] & ~pending[other] & ~is_among(after[other], locked)
        if not usable.any():
            return after
        pair, index = np.unique(np.stack([one[usable], after[other[usable]]]), axis=1, return_inverse=True)
        total = np.bincount(index.reshape(-1), length[usable])
        # Of each part the longest, of equal ones the lowest label.
        order = np.lexsort((pair[1], -total, pair[0]))
        best = order[np.diff(pair[0][order], prepend=-1) != 0]
        after[pair[0][best]] = pair[1][best]
        pending[pair[0][best]] = False


def _borders(parts: PlaneParts, small: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Small parts, the parts beside them, and how many pixel pairs are between the two."""
    numbers, count = parts.numbers, len(small)
    is_small, codes = small[numbers], []
    for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        for here, there in ((low, high), (high, low)):
            across = is_small[here] & (numbers[here] != numbers[there])
            codes.append(numbers[here][across].astype(np.int64) * count + numbers[there][across])
    code, length = np.unique(np.concatenate(codes), return_counts=True)
    return code // count, code % count, length


def _several(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
