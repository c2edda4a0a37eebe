"""One object, larger and smaller along the region tree, step by step and back again."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from napari_what_where.refinement.edit import (
    Edit,
    check_click,
    check_labels,
    edit_at,
    flat_in,
    free_labels,
    is_among,
    no_edit,
)
from napari_what_where.refinement.guide import Box, Guide
from napari_what_where.refinement.parts import beside, masked, parts_of

LEAST_GAIN, LEAST_END = 0.05, 0.01
"""Every step adds or takes this share of the object, so that it shows; less will do where a thing ends, for what
comes next is far larger."""
MOST_GAIN = 1.0
"""A node that would add more is taken in by its parts, the most alike first."""
NO_BACKGROUND = 0.05
"""A plane with less background is a full segmentation, in which objects can only grow over others."""


class _Step(NamedTuple):
    """What a step did: to which pixels, their labels before, and the rung of the ladder before."""

    flat: np.ndarray
    before: np.ndarray
    rung: int


class Growth:
    """A session of the wheel over one object.

    A ladder of region tree nodes around the pixel, from its leaf to the whole image. A step up takes in the next node
    that adds pixels, as far as they touch the object; where one would more than double it, the node's own parts that
    touch it are taken in, the most alike first. A step down brings back what was there before, exactly; below where
    the session began, the object shrinks to the part around the pixel of the next smaller node, and what falls away
    becomes background. Steps up then first bring that back.

    On background a new object begins: the first step up is the leaf under the pixel.

    Parameters
    ----------
    labels : (rows, columns) int ≥ 0, of the guide's shape
        As the session begins.
    at : (row, column)
    guide : Guide
    locked : labels
        Whose pixels are never taken; 0 for background.
    overrun : bool, optional
        Take the pixels of other labels, too. By default only where there is next to no background, less than
        ``NO_BACKGROUND`` of the plane.
    free : int, optional
        The label of a new object, see :func:`~napari_what_where.refinement.regions.split`.

    Attributes
    ----------
    label : int
    level : int
        Steps up, or with a minus down, from where the session began.

    Notes
    -----
    Between two steps the labels may change: a step back leaves alone what is no longer as the step had left it. Cost
    of a step: some 20 ns a pixel of the node's bounding box; of the session, 30 ns a pixel of the plane.
    """

    def __init__(
        self,
        labels: np.ndarray,
        at: tuple[int, int],
        guide: Guide,
        *,
        locked: Collection[int] = (),
        overrun: bool | None = None,
        free: int | None = None,
    ) -> None:
        labels, self.at = check_click(labels, at)
        guide.check(labels)
        self.guide, self.locked, self.level = guide, frozenset(int(each) for each in locked), 0
        under = int(labels[self.at])
        self.new = under == 0
        self.label = int(free_labels(labels, 1, taken=self.locked, first=free)[0]) if self.new else under
        self._path, self._rung = guide.path(self.at), 0
        self._done: list[_Step] = []
        self._is_locked = under in self.locked
        own = labels == self.label
        if self.new:
            own[self.at] = True
        background = labels == 0
        full = bool(np.count_nonzero(background) < NO_BACKGROUND * labels.size)
        self.overrun = full if overrun is None else overrun
        takeable = ~own if self.overrun else background & ~own
        if self.locked:
            takeable &= ~is_among(labels, self.locked)
        free = self.overrun and not self.locked
        reached = takeable | own if free else parts_of(takeable | own).meeting(own)
        if self.new:
            takeable[self.at] = True
            own[self.at] = False
        self._takeable = takeable & reached
        everywhere = slice(0, labels.shape[0]), slice(0, labels.shape[1])
        self._held = np.bincount(guide.positions_in(everywhere)[self._takeable], minlength=guide.leaf_count)

    def step(self, labels: np.ndarray, by: int) -> Edit:
        """One step up (``by`` > 0) or down (``by`` < 0) from the labels as they are now: what to change in them.

        With ``by`` = 0 nothing changes.
        """
        labels = check_labels(labels)
        self.guide.check(labels)
        if self._is_locked:
            return no_edit("Background is locked." if self.new else f"Object {self.label} is locked.", self.label)
        if by == 0:
            return no_edit(f"Object {self.label} stays as it is.", self.label)
        if self.level * by < 0:
            return self._back(labels)
        return self._up(labels) if by > 0 else self._down(labels)

    def _up(self, labels: np.ndarray) -> Edit:
        """Take in what the next rung that is worth it adds."""
        box, own = self._own(labels)
        size = int(np.count_nonzero(own))
        least = max(1, int(np.ceil(LEAST_GAIN * size)))
        offers = self.guide.summed(self._held)
        for rung, node in enumerate(self._path[self._rung :], self._rung):
            if offers[node] < (enough := self._enough(rung, size, offers)):
                continue
            if size and offers[node] > MOST_GAIN * size:
                flat = self._reached(labels, self._smaller_part(labels, node, offers, (box, own), least))
                if len(flat) >= least:
                    return self._take(labels, flat, rung)
            flat = self._reached(labels, node)
            if len(flat) >= enough:
                return self._take(labels, flat, rung)
        return no_edit(f"There is nothing more around object {self.label} to take in.", self.label)

    def _enough(self, rung: int, size: int, offers: np.ndarray) -> int:
        """Pixels that a rung of the ladder has to add to an object of that size."""
        if rung == len(self._path) - 1:
            return 1
        ends = offers[self._path[rung + 1]] > MOST_GAIN * size
        return max(1, int(np.ceil((LEAST_END if ends else LEAST_GAIN) * size)))

    def _down(self, labels: np.ndarray) -> Edit:
        """Let fall what the next smaller node does not hold."""
        if labels[self.at] != self.label or 0 in self.locked:
            why = "background is locked" if 0 in self.locked else "it is not under this pixel"
            return no_edit(f"Object {self.label} can not shrink: {why}.", self.label)
        box, own = self._own(labels)
        positions = self.guide.positions_in(box)
        held = self.guide.summed(np.bincount(positions[own], minlength=self.guide.leaf_count))
        size = int(np.count_nonzero(own))
        most = size - max(1, int(np.ceil(LEAST_GAIN * size)))
        inner = self.at[0] - box[0].start, self.at[1] - box[1].start
        for node in reversed(self._path):
            if held[node] <= most:
                falls = own & ~parts_of(own & self.guide.holds(node, positions)).at(inner)
                flat = flat_in(falls, box, labels.shape[1])
                self._done.append(_Step(flat, np.full(len(flat), self.label), self._rung))
                self.level -= 1
                left = size - len(flat)
                return edit_at(labels, flat, 0, f"Object {self.label} shrank to {left:,} pixels.", self.label)
        return no_edit(f"Object {self.label} can not get smaller along the tree.", self.label)

    def _back(self, labels: np.ndarray) -> Edit:
        """Undo the last step, where nothing else has changed since."""
        done = self._done.pop()
        after = self.label if self.level > 0 else 0
        self._rung = done.rung
        kept = labels.reshape(-1)[done.flat] == after
        flat, before = done.flat[kept], done.before[kept]
        if self.level > 0:
            self._held += self._by_position(done.flat)
        self.level += 1 if self.level < 0 else -1
        said = f"Object {self.label} is back to {'the start' if not self.level else f'step {self.level:+d}'}."
        return edit_at(labels, flat, before, said, self.label, self.locked)

    def _take(self, labels: np.ndarray, flat: np.ndarray, rung: int) -> Edit:
        edit = edit_at(labels, flat, self.label, "", self.label, self.locked)
        self._done.append(_Step(edit.flat, labels.reshape(-1)[edit.flat].astype(np.int64), self._rung))
        self._held -= self._by_position(edit.flat)
        self._rung = rung
        self.level += 1
        return replace(edit, said=f"Object {self.label} took in {len(edit.flat):,} pixels.")

    def _own(self, labels: np.ndarray) -> tuple[Box, np.ndarray]:
        """The window around the object, and where it is in it; of one that is not there its first pixel's, empty."""
        found = masked(labels, self.label)
        if found is None:
            row, column = self.at
            return (slice(row, row + 1), slice(column, column + 1)), np.zeros((1, 1), bool)
        return found

    def _offered(self, labels: np.ndarray, box: Box) -> np.ndarray:
        """What may be taken of a window, bool."""
        here = labels[box]
        free = self._takeable[box] & (here != self.label)
        return free if self.overrun else free & (here == 0)

    def _reached(self, labels: np.ndarray, node: int) -> np.ndarray:
        """Flat indices of what a node adds that touches the object, or goes on from what does."""
        box = self.guide.box(node, margin=1)
        positions, offered = self.guide.positions_in(box), self._offered(labels, box)
        offered &= self.guide.holds(node, positions)
        seeds = labels[box] == self.label
        if not seeds.any():
            seeds[self.at[0] - box[0].start, self.at[1] - box[1].start] = True
        return flat_in(offered & parts_of(offered | seeds).meeting(seeds), box, labels.shape[1])

    def _smaller_part(
        self, labels: np.ndarray, node: int, offers: np.ndarray, own: tuple[Box, np.ndarray], least: int
    ) -> int:
        """The part of a node to take in first: no more than the object has, touching it and most like it."""
        guide = self.guide
        box, mask = own
        size = np.count_nonzero(mask)
        of_object = np.bincount(guide.positions_in(box)[mask], minlength=guide.leaf_count)
        middle = of_object @ guide.features[guide.order] / size
        around = guide.box(node, margin=1)
        here = labels[around] == self.label
        touching = beside(here) & self._offered(labels, around)
        contact = guide.summed(np.bincount(guide.positions_in(around)[touching], minlength=guide.leaf_count))
        while node >= guide.leaf_count and offers[node] > MOST_GAIN * size:
            sides = [child for child in guide.children(node) if contact[child] and offers[child] >= least]
            if not sides:
                break
            node = min(sides, key=lambda child: float(((guide.features[child] - middle) ** 2).sum()))
        return node

    def _by_position(self, flat: np.ndarray) -> np.ndarray:
        """Pixels at flat indices, counted by the place of their leaf, (L,)."""
        return self.guide.counted(flat)
