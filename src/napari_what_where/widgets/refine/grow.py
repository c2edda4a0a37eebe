"""Growing and shrinking an object along the region tree, by the wheel."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.refine.target import Plane
from napari_what_where.widgets.refine.tools import At, Tool

if TYPE_CHECKING:
    from napari_what_where.refinement.edit import Edit
    from napari_what_where.refinement.growth import Growth
    from napari_what_where.widgets.refine.dock import RefineDock
    from napari_what_where.widgets.refine.guides import Known


class Grow(Tool):
    """The wheel grows and shrinks the object under the mouse; a click on background begins a new one."""

    hint = "Turn the wheel over an object: up grows, down shrinks. Click background to begin a new object."
    wheel = True

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self._session: tuple[Any, Growth] | None = None
        self._last: tuple[Plane, At] | None = None
        self._turns: list[_Turn] = []
        """Those that wait, in order; only ever touched in the GUI thread."""
        dock.work.cancelled.connect(self._turns.clear)

    def enter(self) -> bool:
        self.forget()
        return True

    def leave(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._session, self._last = None, None
        self._turns.clear()

    def click(self, plane: Plane, at: At) -> None:
        label = int(plane.read()[at])
        self._session, self._last = None, (plane, at)
        if label:
            self.dock.choose(plane.layer, label)
            self.dock.say(f"Object {label}: turn the wheel over it, up to grow and down to shrink.")
        else:
            self._step(plane, at, 1)

    def turn(self, plane: Plane, at: At, notches: int) -> bool:
        if int(plane.read()[at]) == 0:
            return False
        self._last = plane, at
        if notches:
            self._step(plane, at, notches)
        return True

    def more(self, notches: int) -> None:
        """By a key or button: the object that was clicked, or under the wheel, last."""
        if self._last is None:
            self.dock.say("Click an object first, or turn the wheel over it.")
        else:
            self._step(*self._last, notches)

    def _step(self, plane: Plane, at: At, notches: int) -> None:
        """Notches for one object that come while others are worked on are done together."""
        label = int(plane.read()[at])
        target = (plane.layer, plane.key, label or at)
        if self._turns and self._turns[-1].target == target:
            self._turns[-1].notches += notches
            return
        turn = _Turn(target, notches)
        self._turns.append(turn)
        self.dock.steps.with_known(
            plane, lambda known: self._work(plane, at, known, turn), otherwise=lambda: self._give_up(turn)
        )

    def _give_up(self, turn: _Turn) -> None:
        with suppress(ValueError):
            self._turns.remove(turn)

    def _work(self, plane: Plane, at: At, known: Known, turn: _Turn) -> None:
        dock = self.dock
        if turn not in self._turns:  # forgotten meanwhile
            return
        self._turns.remove(turn)
        notches = turn.notches
        if notches == 0:
            dock.say("Nothing has grown or shrunk.")
            return
        overrun = True if dock.panel.overrun.isChecked() else None
        locked, free = dock.locks.of(plane.layer), dock.free_label(plane.layer)

        def begin(labels: np.ndarray) -> Growth:
            from napari_what_where.refinement.regions import Growth

            return Growth(labels, at, known.guide, locked=locked, overrun=overrun, free=free)

        same = plane.layer, plane.key, id(known), overrun, locked

        def work(labels: np.ndarray) -> Edit:
            growth = self._growth(same, at, labels, begin)
            return _steps(growth, labels, notches, locked)

        dock.steps.edit(plane, work, by_tool=True)

    def _growth(self, same: Any, at: At, labels: np.ndarray, begin: Callable[[np.ndarray], Growth]) -> Growth:
        """The session that goes on as long as the mouse stays over its object."""
        session = self._session
        if session is not None and session[0] == same and session[1].label == int(labels[at]):
            return session[1]
        growth = begin(labels)
        self._session = same, growth
        return growth


@dataclass(eq=False)
class _Turn:
    """Notches of the wheel that wait to be done: for one object of one plane, or for one pixel of its background."""

    target: tuple[Any, ...]
    notches: int


def _steps(growth: Growth, labels: np.ndarray, notches: int, locked: Collection[int]) -> Edit:
    """So many steps as one edit."""
    from napari_what_where.refinement.edit import edit_between

    edit = growth.step(labels, notches)
    if abs(notches) < 2:
        return edit
    after = edit.applied(labels)
    for _ in range(abs(notches) - 1):
        edit = growth.step(after, notches)
        after = edit.applied(after)
    return edit_between(labels, after, edit.said, edit.focus, locked)
