"""The tools that take clicks: merge, split and similar. One is on at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_what_where.widgets.refine.helpers import Preview
from napari_what_where.widgets.refine.planes import join
from napari_what_where.widgets.refine.target import Plane

if TYPE_CHECKING:
    import numpy as np

    from napari_what_where.refinement.edit import Edit
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

    def decline(self) -> None:
        """The user wants none of the preview."""
        self.drop()


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


class Similar(Tool):
    """A click finds all that is like an object; a threshold says how much."""

    hint = "Click an object, or a place without one, to find all that are like it."

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self.preview = Preview(dock.viewer, whole=False)
        self.likeness: Likeness | None = None
        self._plane: Plane | None = None
        self._accepted: object | None = None
        """Of the last time that a preview was accepted, unless it has been dropped since."""

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
        self._accepted = accepted = object()

        def then() -> None:
            if self.likeness is likeness:
                self.drop()

        def work(labels: np.ndarray) -> Edit:
            return likeness.edit(labels, threshold, as_one=as_one, free=free)

        self.dock.steps.edit(plane, work, by_tool=True, then=then, still=lambda: self._accepted is accepted)

    def decline(self) -> None:
        self._accepted = None  # what is on its way, too
        self.drop()

    def drop(self) -> None:
        self.preview.clear()
        self.likeness = self._plane = None
        self.dock.panel.threshold.setEnabled(False)
        self.dock.show_decision()
