"""The tools that take clicks: merge, split, grow and similar. One is on at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.refine.helpers import Preview
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
        from napari_what_where.refinement.regions import merge

        dock, label = self.dock, int(plane.read()[at])
        if label == 0:
            dock.say("That is background; click an object.")
            return
        chosen = self.chosen
        if chosen is None or not dock.has_label(plane, chosen):
            self.chosen = label
            dock.choose(plane.layer, label)
            dock.say(f"Object {label} is chosen: click what belongs to it.")
        elif label == chosen:
            self.chosen = None
            dock.say(f"Done with object {label}. Click another to begin with.")
        else:
            locked = dock.locks.of(plane.layer)
            dock.steps.edit(
                plane, lambda labels: merge(labels, [chosen, label], into=chosen, locked=locked), by_tool=True
            )


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
        self._due = 0
        self._turning: object | None = None
        """Stands for the work that waits, and will do all notches that are due."""
        dock.work.cancelled.connect(self._give_up)

    def enter(self) -> bool:
        self.forget()
        return True

    def leave(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._session, self._last = None, None
        self._give_up()

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
        """Notches that come while others are worked on are done together."""
        self._due += notches
        if self._turning is None:
            self._turning = turning = object()
            self.dock.steps.with_known(
                plane, lambda known: self._work(plane, at, known, turning), otherwise=self._give_up
            )

    def _give_up(self) -> None:
        self._due, self._turning = 0, None

    def _work(self, plane: Plane, at: At, known: Known, turning: object) -> None:
        dock = self.dock
        if self._turning is not turning:  # given up meanwhile
            return

        def work(labels: np.ndarray) -> Edit:
            from napari_what_where.refinement.edit import edit_between, no_edit

            notches = 0
            if self._turning is turning:
                notches = self._due
                self._give_up()
            if notches == 0:
                return no_edit("Nothing has grown or shrunk.")
            growth = self._growth(plane, at, labels, known)
            edit = growth.step(labels, notches)
            if abs(notches) < 2:
                return edit
            after = edit.applied(labels)
            for _ in range(abs(notches) - 1):
                edit = growth.step(after, notches)
                after = edit.applied(after)
            return edit_between(labels, after, edit.said, edit.focus, dock.locks.of(plane.layer))

        dock.steps.edit(plane, work, by_tool=True)

    def _growth(self, plane: Plane, at: At, labels: np.ndarray, known: Known) -> Growth:
        """The session that goes on as long as the mouse stays over its object."""
        from napari_what_where.refinement.regions import Growth

        overrun = True if self.dock.panel.overrun.isChecked() else None
        locked = self.dock.locks.of(plane.layer)
        same = plane.layer, plane.key, id(known), overrun, locked
        if self._session is not None and self._session[0] == same and self._session[1].label == int(labels[at]):
            return self._session[1]
        growth = Growth(labels, at, known.guide, locked=locked, overrun=overrun, free=self.dock.free_label(plane.layer))
        self._session = same, growth
        return growth


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
        self.drop()
        self.dock.steps.edit(
            plane, lambda labels: likeness.edit(labels, threshold, as_one=as_one, free=free), by_tool=True
        )

    def drop(self) -> None:
        self.preview.clear()
        self.likeness = self._plane = None
        self.dock.panel.threshold.setEnabled(False)
        self.dock.show_decision()
