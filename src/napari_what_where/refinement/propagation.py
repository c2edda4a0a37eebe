"""Strokes to labels of a whole plane, by what the image and its embedding hold together."""

from __future__ import annotations

import weakref
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_what_where.progress import Report, ignore_progress
from napari_what_where.refinement.edit import check_labels
from napari_what_where.refinement.flooding import Flooded, flood_borders, near_borders
from napari_what_where.refinement.parts import runs_of
from napari_what_where.refinement.walking import Walk, make_walkers
from napari_what_where.segments.lookup import look_up
from napari_what_where.segments.superpixels import enlarge, nearest_index, resized

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis


class Propagator:
    """Carries strokes to the rest of a plane; made once an image, then some tens of milliseconds a stroke.

    Each small region of the image gets the label whose strokes a random walker from it meets first; walkers avoid
    boundaries, by what differs across them in colour, texture and embedding, and by how high they stand in the region
    tree, and where boundaries are faint all the same a spanning forest decides
    (:mod:`~napari_what_where.refinement.walking`). Pixels near the borders that result, regions of which two labels are
    about as likely, and regions with strokes of several labels, are then flooded from all sides along the image's edges
    (:mod:`~napari_what_where.refinement.flooding`).

    Parameters
    ----------
    analysis : Analysis
    shape : (rows, columns), optional
        Of the labels, which cover the image at any resolution; by default the image's own.
    report : function of a Progress
        Called often; may raise ``Cancelled``.
    walk : Walk, optional
        For experiments.

    Notes
    -----
    Cost: making it, about two seconds for one view. Memory: the graph of leaves, and of the plane that was worked on 21
    bytes a pixel: leaves, edge strength, and of the last strokes what was there and what was flooded.
    """

    def __init__(
        self,
        analysis: Analysis,
        shape: tuple[int, int] | None = None,
        report: Report = ignore_progress,
        *,
        walk: Walk | None = None,
    ) -> None:
        self.shape = analysis.tree.shape if shape is None else (int(shape[0]), int(shape[1]))
        self.walk = walk or Walk()
        self._walkers = make_walkers(analysis, self.walk, report)
        # Of the last call, as the next stroke leaves most of it as it was. It changes nothing but the time.
        self._flooded: Flooded | None = None
        self._of_before: tuple[np.ndarray | None, np.ndarray | None] = (None, None)

    def labels(self, scribbles: Any, *, current: np.ndarray | None = None, locked: Collection[int] = ()) -> np.ndarray:
        """Labels of every pixel, (rows, columns) int32; painted pixels keep theirs.

        Parameters
        ----------
        scribbles : (rows, columns) int
            Labels from 1 on where something is painted, else 0.
        current : (rows, columns) int, optional
            Labels that are there. Where they are not all 0 every region is loyal to its own, 0 included: strokes change
            what is around them, and not a pixel elsewhere.
        locked : collection of int
            Labels whose pixels in ``current`` stay, whatever is painted on them, around which strokes go, and of which
            strokes do not count.

        Raises
        ------
        TypeError, ValueError
            For what are no scribbles, see :func:`propagate_labels`, or no labels.

        Notes
        -----
        Without any stroke the labels stay as they are: ``current``, or 0 everywhere. Cost: a sparse factorisation of
        6000 leaves, a solve for each painted label, and a watershed of the pixels near borders.
        """
        strokes = _labels_of(scribbles, self.shape, "scribbles")
        before = np.zeros(self.shape, np.int32) if current is None else _labels_of(current, self.shape, "labels")
        kept = np.isin(before, list(locked)) if len(locked) else None
        painted = Painted.of(strokes, kept, locked)
        if not len(painted.label):
            return before.copy()
        grid = self._walkers.leaves.shape
        before_there = resized(before, grid)
        found = self._propagate(painted, before_there, None if kept is None else resized(kept, grid))
        if grid == self.shape:
            answer = found
        else:
            changed = enlarge(np.where(found != before_there, found + 1, 0), self.shape)
            answer = np.where(changed > 0, changed - 1, before)
            if kept is not None:
                answer[kept] = before[kept]
        answer[painted.row, painted.column] = painted.label
        return answer

    def _propagate(self, painted: Painted, before: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
        """Labels of the plane that was worked on, (rows, columns) int32, where ``before`` and ``kept`` lie."""
        leaves, pixels = self._walkers.leaves, self._walkers.pixels
        used, votes = self._votes(painted)
        loyal = self._loyal(before)
        closed = np.zeros(len(pixels), bool)
        if kept is not None:
            closed = np.bincount(leaves.ravel(), kept.ravel(), minlength=len(pixels)) > pixels / 2
        undecided_leaves = (votes > 0).sum(axis=1) > 1
        if loyal is None:
            guess = self._walkers.forest(votes, closed)
            chance = self._walkers.chances(votes, closed, guess, self.walk.forest)
            best, taken = chance.argmax(axis=1), ~closed
            undecided_leaves |= lead(chance) < self.walk.doubt
        else:
            prior = _places(used, loyal)
            chance = self._walkers.chances(votes, closed, prior, self.walk.loyalty)
            best = chance.argmax(axis=1)
            taken = ~closed & (best != prior) & (chance.max(axis=1) > 1 - chance.sum(axis=1))
        # Of leaves that are not taken every pixel is what it was: their own borders are nobody's business here.
        given = look_up(np.where(taken, used[best], -1), leaves)
        if kept is not None:
            given[kept] = -1
        undecided_leaves &= ~closed
        labels = np.where(given >= 0, given, before)
        undecided = near_borders(given, self.walk.margin)
        if undecided_leaves.any():
            undecided |= undecided_leaves[leaves]
        strokes, strength = painted.on(self.shape, leaves.shape), self._walkers.strength
        answer, self._flooded = flood_borders(labels, undecided, strokes, strength, kept, self._flooded)
        return answer

    def _loyal(self, before: np.ndarray) -> np.ndarray | None:
        """The label that each leaf has by itself, (L,) int32; None where there are no labels at all."""
        known, loyal = self._of_before
        if known is None or not np.array_equal(known, before):
            leaves, pixels = self._walkers.leaves, self._walkers.pixels
            loyal = _majority(leaves, before, len(pixels)) if before.any() else None
            self._of_before = before.copy(), loyal  # the caller may go on writing into it
        return loyal

    def _votes(self, painted: Painted) -> tuple[np.ndarray, np.ndarray]:
        """The painted labels, (labels,) int32 ascending, and how many of their pixels each leaf has, (L, labels)."""
        leaves, count = self._walkers.leaves, len(self._walkers.pixels)
        row, column = painted.places(self.shape, leaves.shape)
        used, index = np.unique(painted.label, return_inverse=True)
        votes = np.bincount(leaves[row, column].astype(np.int64) * len(used) + index, minlength=count * len(used))
        return used, votes.reshape(count, len(used))


class Painted(NamedTuple):
    """Painted pixels: ``row``, ``column``, and ``label``, each (pixels,)."""

    row: np.ndarray
    column: np.ndarray
    label: np.ndarray

    @classmethod
    def of(cls, strokes: np.ndarray, kept: np.ndarray | None, locked: Collection[int]) -> Painted:
        """Those of (rows, columns) int32 ``strokes`` that count: not on ``kept`` pixels, not of a locked label."""
        flat = np.flatnonzero(strokes != 0)
        label = strokes.reshape(-1)[flat]
        if kept is not None:
            counts = ~(kept.reshape(-1)[flat] | np.isin(label, list(locked)))
            flat, label = flat[counts], label[counts]
        row, column = np.divmod(flat, strokes.shape[1])
        return cls(row, column, label)

    def places(self, own: tuple[int, int], grid: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """Where each lies on another grid of the same extent."""
        rows, columns = (nearest_index(fine, coarse) for fine, coarse in zip(own, grid, strict=True))
        return rows[self.row], columns[self.column]

    def on(self, own: tuple[int, int], grid: tuple[int, ...]) -> np.ndarray:
        """The strokes on another grid, (rows, columns) int32, none lost: of several on one pixel, one is taken."""
        brought = np.zeros(grid, np.int32)
        if own[0] < grid[0] or own[1] < grid[1]:  # a painted pixel covers several
            there = np.zeros(own, np.int32)
            there[self.row, self.column] = self.label
            brought = resized(there, grid).copy()
        brought[self.places(own, grid)] = self.label
        return brought


_made: weakref.WeakKeyDictionary[Any, Propagator] = weakref.WeakKeyDictionary()


def propagate_labels(analysis: Analysis, scribbles: Any) -> np.ndarray:
    """Carry strokes in any number of labels to the whole image.

    Parameters
    ----------
    analysis : Analysis
        Of the image, as ``analyze`` gives it.
    scribbles : (rows, columns) int
        Labels from 1 on where something is painted, 0 elsewhere.

    Returns
    -------
    (rows, columns) int32
        A label of the strokes for every pixel; painted pixels keep theirs. 0 everywhere if nothing is painted.

    Raises
    ------
    TypeError, ValueError
        For scribbles that are no integers, are negative, or have another shape than the image.

    Notes
    -----
    How: see :class:`Propagator`, which takes labels that are there already, and locks, too. One is kept for as long as
    the analysis: the first call takes some two seconds, others tens of milliseconds.
    """
    _labels_of(scribbles, analysis.tree.shape, "scribbles")
    propagator = _made.get(analysis)
    if propagator is None:
        propagator = _made[analysis] = Propagator(analysis)
    return propagator.labels(scribbles)


def _labels_of(labels: Any, shape: tuple[int, int], what: str) -> np.ndarray:
    """Labels or strokes as (rows, columns) int32; ``TypeError`` or ``ValueError``, in words, for what are none."""
    array = check_labels(labels, what=what, shape=shape)
    if array.dtype == np.int32 and array.size and array.view(np.uint32).max() < 2**31 - 1:
        return array  # both in one look: negative ones come last
    if array.min() < 0:
        raise ValueError(f"The smallest of the {what} is {array.min()}; expected 0 for none, and labels from 1 on.")
    if array.max() >= 2**31 - 1:
        raise ValueError(f"The largest of the {what} is {array.max()}; expected less than 2³¹ − 1. Renumber them.")
    return array.astype(np.int32, copy=False)


def lead(chance: np.ndarray) -> np.ndarray:
    """By how much the likeliest label of each leaf is likelier than the next, (L,); ``chance``: (L, labels)."""
    if chance.shape[1] < 2:
        return np.ones(len(chance))
    second, first = np.partition(chance, -2, axis=1)[:, -2:].T
    return first - second


def _majority(leaves: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """The label that most pixels of each leaf have, (L,); of equal ones the lowest. Cost: sorting the runs of both."""
    runs = runs_of(leaves, labels)
    leaf, label = leaves.reshape(-1)[runs.start], labels.reshape(-1)[runs.start]
    codes, index = np.unique(leaf * np.int64(2**31) + label, return_inverse=True)
    votes = np.bincount(index, runs.length)
    order = np.lexsort((-(codes % 2**31), votes))
    some = np.zeros(count, np.int32)
    some[codes[order] // 2**31] = codes[order] % 2**31  # the last of several assignments stands
    return some


def _places(used: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Where each label is among ``used``, ascending; −1 where it is not."""
    place = np.minimum(np.searchsorted(used, labels), len(used) - 1)
    return np.where(used[place] == labels, place, -1)
