"""The tools that take clicks: merge, split, grow and similar. One is on at a time."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.refine.helpers import Preview
from napari_what_where.widgets.refine.planes import join
from napari_what_where.widgets.refine.target import Plane

if TYPE_CHECKING:
    from napari_what_where.refinement.edit import Edit
    from napari_what_where.refinement.growth import Growth
    from napari_what_where.refinement.similar import Likeness
    from napari_what_where.widgets.refine.dock import RefineDock
    from napari_what_where.widgets.refine.guides import Known

At = tuple[int, int]


class Tool:
    """What a click and the wheel mean while a tool is on."""

    hint = ""
    """What to do, said when the tool is turned on."""
    wheel = False
    """Whether it takes the wheel."""
    deciding = False
    """Whether there is a preview to accept or drop."""

    def __init__(self, dock: RefineDock) -> None:
        self.dock = dock

    def enter(self) -> bool:
        """The tool is turned on; whether it can be."""
        return True

    def leave(self) -> None:
        """The tool is turned off: what it shows goes."""

    def forget(self) -> None:
        """The labels have changed by other hands than the tool's, or are other ones."""

    def locks_changed(self) -> None:
        """Other labels are locked than before."""

    def click(self, plane: Plane, at: At) -> None:
        """A click on a pixel."""

    def turn(self, plane: Plane, at: At, notches: int) -> bool:
        """The wheel was turned over a pixel, 0 notches for less than one; whether that was for the tool."""
        return False

    def accept(self) -> None:
        """Make the edit that the preview shows."""

    def drop(self) -> None:
        """Forget the preview."""


class Merge(Tool):
    """The first click chooses an object, each one after it joins another to it."""

    hint = "Click an object, then each that belongs to it. Click it again to begin with another."

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self.chosen: int | None = None

    def enter(self) -> bool:
        self.chosen = None
        return True

    def forget(self) -> None:
        self.chosen = None

    def click(self, plane: Plane, at: At) -> None:
        dock, label = self.dock, int(plane.read()[at])
        if label == 0:
            dock.say("That is background; click an object.")
            return
        chosen, planes = self.chosen, dock.planes(plane)
        if chosen is None or not (len(planes) > 1 or dock.has_label(plane, chosen)):
            self.chosen = label
            dock.choose(plane.layer, label)
            dock.say(f"Object {label} is chosen: click what belongs to it.")
        elif label == chosen:
            self.chosen = None
            dock.say(f"Done with object {label}. Click another to begin with.")
        else:
            locked, both = dock.locks.of(plane.layer), [chosen, label]
            dock.steps.edit_planes(planes, lambda report: join(planes, both, chosen, locked, report), by_tool=True)


class Split(Tool):
    """Each click cuts the object under it in two, along the tree."""

    hint = "Click an object to cut it in two where the image parts; click again to go deeper."

    def click(self, plane: Plane, at: At) -> None:
        from napari_what_where.refinement.regions import split

        dock = self.dock
        if int(plane.read()[at]) == 0:
            dock.say("That is background; click an object.")
            return

        def go_on(known: Known) -> None:
            locked, free = dock.locks.of(plane.layer), dock.free_label(plane.layer)
            dock.steps.edit(
                plane, lambda labels: split(labels, at, known.guide, locked=locked, free=free), by_tool=True
            )

        dock.steps.with_known(plane, go_on)


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


class Similar(Tool):
    """A click finds all that is like an object; a threshold says how much."""

    hint = "Click an object, or a place without one, to find all that are like it."

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self.preview = Preview(dock.viewer, whole=False)
        self.likeness: Likeness | None = None
        self._plane: Plane | None = None

    @property
    def deciding(self) -> bool:  # type: ignore[override]
        return self.likeness is not None

    @property
    def threshold(self) -> float:
        """Where the slider is, 0 to 1."""
        slider = self.dock.panel.threshold
        return float(slider.value() / slider.maximum())

    def enter(self) -> bool:
        self.dock.panel.threshold.setEnabled(False)
        plane = self.dock.plane()
        if plane is not None:
            self.preview.prepare(plane)
        return plane is not None

    def leave(self) -> None:
        self.drop()
        self.preview.remove()

    def forget(self) -> None:
        self.drop()

    def click(self, plane: Plane, at: At) -> None:
        self.dock.steps.with_known(plane, lambda known: self._find(plane, at, known))

    def _find(self, plane: Plane, at: At, known: Known) -> None:
        from napari_what_where.refinement.similar import find_like

        locked = self.dock.locks.of(plane.layer)

        def show(likeness: Likeness) -> None:
            self.likeness, self._plane = likeness, plane
            slider = self.dock.panel.threshold
            slider.setEnabled(True)
            slider.blockSignals(True)
            slider.setValue(round(likeness.suggested * slider.maximum()))
            slider.blockSignals(False)
            self.dock.choose(plane.layer, int(plane.read()[at]))
            self.show()
            self.dock.show_decision()

        self.dock.steps.compute(plane, lambda labels: find_like(labels, at, known.guide, locked=locked), show)

    def show(self) -> None:
        """Show what is found at the threshold of the slider."""
        if self.likeness is None or self._plane is None or self._plane.layer not in self.dock.viewer.layers:
            return
        count, where = self.likeness.at(self.threshold)
        self.preview.show(self._plane, where)
        found = "Nothing else is that much like it" if count < 2 else f"{count - 1} more like it"
        self.dock.say(f"{found}; move the slider for more or fewer, then Accept or Drop.")

    def more(self, notches: int) -> None:
        """By a key: more or fewer."""
        slider = self.dock.panel.threshold
        slider.setValue(slider.value() + 5 * notches)

    def accept(self) -> None:
        likeness, plane, threshold = self.likeness, self._plane, self.threshold
        if likeness is None or plane is None:
            return
        as_one, free = self.dock.panel.as_one.isChecked(), self.dock.free_label(plane.layer)

        def then() -> None:
            if self.likeness is likeness:
                self.drop()

        self.dock.steps.edit(
            plane, lambda labels: likeness.edit(labels, threshold, as_one=as_one, free=free), by_tool=True, then=then
        )

    def drop(self) -> None:
        self.preview.clear()
        self.likeness = self._plane = None
        self.dock.panel.threshold.setEnabled(False)
        self.dock.show_decision()
