"""Edits: which pixels of a plane of labels change, to what, and what is said of it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

FEW = 8
"""So many labels are looked for one by one; more, with a table."""


@dataclass(frozen=True, eq=False)
class Edit:
    """A change of one plane of labels.

    Attributes
    ----------
    flat : (pixels,) int64
        Sorted flat indices, in C order, of the pixels that change, each once.
    values : (pixels,) int64
        Their new labels, each different from the old one.
    said : str
        One sentence for the status bar; also where nothing changes, to say why.
    focus : int or None
        The label that the action was about.

    An edit that changes nothing is false.
    """

    flat: np.ndarray
    values: np.ndarray
    said: str
    focus: int | None = None

    def __bool__(self) -> bool:
        return len(self.flat) > 0

    def applied(self, labels: np.ndarray) -> np.ndarray:
        """The plane after the edit, a new array of the same dtype.

        Raises
        ------
        ValueError
            If a new label does not fit the dtype, or the plane is not the one that the edit was made for.
        """
        if len(self.flat) and self.flat[-1] >= labels.size:
            raise ValueError(f"The labels have {labels.size} pixels; this edit was made for a larger plane.")
        if len(self.values) and self.values.max() > (most := np.iinfo(labels.dtype).max):
            raise ValueError(
                f"Label {self.values.max()} does not fit labels of dtype {labels.dtype}, which end at {most}. "
                "Convert them to a larger type, such as int32."
            )
        changed = np.array(labels, order="C")
        changed.reshape(-1)[self.flat] = self.values
        return changed


def no_edit(said: str, focus: int | None = None) -> Edit:
    """Nothing changes, and why."""
    return Edit(np.zeros(0, np.int64), np.zeros(0, np.int64), said, focus)


def edit_at(
    labels: np.ndarray,
    flat: np.ndarray,
    values: np.ndarray | int,
    said: str,
    focus: int | None = None,
    locked: Collection[int] = (),
) -> Edit:
    """New ``values``, (pixels,) or one for all, at sorted ``flat`` indices; locked labels neither change nor grow."""
    flat, values = np.asarray(flat, np.int64), np.asarray(values)
    before = labels.reshape(-1)[flat]
    keep = before != values
    if len(locked):
        keep &= ~(is_among(before, locked) | is_among(values, locked))
    if not keep.all():
        flat, values = flat[keep], values[keep] if values.ndim else values
    return Edit(flat, np.broadcast_to(values, flat.shape).astype(np.int64), said, focus)


def edit_between(
    before: np.ndarray, after: np.ndarray, said: str, focus: int | None = None, locked: Collection[int] = ()
) -> Edit:
    """What makes ``after`` of ``before``, (rows, columns) int both, but for locked labels."""
    flat = np.flatnonzero(np.asarray(before) != np.asarray(after))
    return edit_at(before, flat, after.reshape(-1)[flat], said, focus, locked)


def edit_where(
    labels: np.ndarray,
    where: np.ndarray,
    value: int,
    said: str,
    focus: int | None = None,
    locked: Collection[int] = (),
) -> Edit:
    """``value`` for the pixels of a (rows, columns) bool mask, but those of locked labels."""
    return edit_at(labels, np.flatnonzero(where), value, said, focus, locked)


def flat_in(mask: np.ndarray, box: tuple[slice, slice], columns: int) -> np.ndarray:
    """Flat indices, in a plane of so many ``columns``, of the pixels of a mask over a ``box`` of it; sorted."""
    flat = np.flatnonzero(mask)
    first = box[0].start * columns + box[1].start
    if mask.shape[1] == columns:
        return flat + first
    # What lies between the end of a row of the window and the beginning of the next one.
    skipped = first + np.arange(len(mask)) * (columns - mask.shape[1])
    return flat + np.repeat(skipped, np.count_nonzero(mask, axis=1))


def is_among(values: np.ndarray, labels: Collection[int]) -> np.ndarray:
    """Whether each of ``values``, an array of any shape, is one of ``labels``; bool."""
    # A label that the dtype cannot hold is nowhere; numpy would refuse to compare.
    if values.dtype.kind in "ui":
        limits = np.iinfo(values.dtype)
        labels = [label for label in labels if limits.min <= label <= limits.max]
    if len(labels) > FEW:
        return np.isin(values, np.fromiter(labels, values.dtype, len(labels)))
    among = np.zeros(values.shape, bool)
    for label in labels:
        among |= values == label
    return among


def free_label(labels: np.ndarray | int, taken: Collection[int] = ()) -> int:
    """A label that is not used: one more than the largest; else, where that does not fit the dtype, the lowest.

    ``labels``: a plane, or the largest label; ``taken``: others that are not to be used. Raises as
    :func:`free_labels`.
    """
    if isinstance(labels, np.ndarray):
        return int(free_labels(labels, 1, taken=taken)[0])
    return max(int(labels), 0, *taken) + 1


def free_labels(labels: np.ndarray, count: int, *, taken: Collection[int] = (), first: int | None = None) -> np.ndarray:
    """``count`` labels that are not used, ascending, (count,) int64.

    Those after the largest, or from ``first`` on but for those of the plane, which a caller passes who knows more than
    this plane. Where the dtype does not hold them, as often in masks of 0 and 255, the lowest ones that are free.

    Raises
    ------
    ValueError
        If the dtype does not hold so many more labels.
    """
    most = int(np.iinfo(labels.dtype).max)
    start = max(int(labels.max(initial=0)), 0, *taken) + 1 if first is None else int(first)
    if start + count - 1 <= most and (first is None or int(labels.max(initial=0)) < start):
        return np.arange(start, start + count)
    free: Any = np.zeros(0, np.int64)
    if first is None or start <= most:
        used = np.concatenate([np.unique(labels).astype(np.int64), np.array([*taken], np.int64)])
        low = 1 if first is None else start
        free = np.setdiff1d(np.arange(low, min(most, low - 1 + len(used) + count) + 1), used)[:count]
    if len(free) < count:
        raise ValueError(
            f"Labels of dtype {labels.dtype} end at {most}, and {count} more are needed. "
            "Convert them to a larger type, such as int32."
        )
    return free


def check_labels(labels: Any, *, what: str = "labels", shape: tuple[int, ...] | None = None) -> np.ndarray:
    """``labels`` as a (rows, columns) integer array; ``what`` they are, in words.

    Raises ``TypeError`` for other types, ``ValueError`` for another number of axes, or another ``shape`` if one is
    given.
    """
    array = np.asarray(labels)
    if array.dtype.kind not in "ui":
        raise TypeError(f"The {what} are of dtype {array.dtype}; expected integers. Convert them: {what}.astype(int).")
    if shape is None and array.ndim != 2:
        raise ValueError(f"The {what} have shape {array.shape}; expected one plane, (rows, columns).")
    if shape is not None and array.shape != tuple(shape):
        raise ValueError(
            f"The {what} have shape {array.shape}; expected {tuple(shape)}, that of the plane they belong to."
        )
    return array


def check_click(labels: Any, at: tuple[int, int]) -> tuple[np.ndarray, tuple[int, int]]:
    """:func:`check_labels`, and the (row, column) of a pixel in them; ``ValueError`` for one outside."""
    array = check_labels(labels)
    row, column = (int(each) for each in at)
    if not (0 <= row < array.shape[0] and 0 <= column < array.shape[1]):
        raise ValueError(f"The point ({row}, {column}) is outside of the labels, whose shape is {array.shape}.")
    return array, (row, column)
