"""Strokes in any number of labels, carried to the rest of the plane as a preview, to accept or drop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.picking import camera_of
from napari_what_where.widgets.refine.helpers import Preview, add_helper, remove_helper
from napari_what_where.widgets.refine.target import Plane, most_of
from napari_what_where.widgets.refine.tools import Tool

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_what_where.progress import Report
    from napari_what_where.refinement.edit import Edit
    from napari_what_where.widgets.refine.dock import RefineDock
    from napari_what_where.widgets.refine.guides import Known

MOST_DRAWN = 2**31 - 1
"""The largest number that strokes can have: they are kept as int32."""
BRUSH = 12
"""Pixels of the screen that the brush measures to begin with."""
MANY = 12
"""Numbers drawn beyond which the window does not wait: each costs a solve."""


class Scribble(Tool):
    """While it is on, there is a layer to draw on; after every stroke, and every undo of one, the preview follows."""

    hint = "Draw on what belongs together, one number for each; keys of napari’s own paint brush work."

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self.preview = Preview(dock.viewer, whole=True)
        self.strokes: Labels | None = None
        self.plane: Plane | None = None
        self.background = 0
        """The number that stands for background in the strokes."""
        self._drawn: np.ndarray | None = None
        self._result: np.ndarray | None = None
        self._before: np.ndarray | None = None
        """The labels that the result was made of."""
        self._accepting = False
        self._accepted: object | None = None
        """Of the last time that the strokes were accepted, unless they have been dropped since."""

    @property
    def deciding(self) -> bool:  # type: ignore[override]
        return self.preview.shown

    def enter(self) -> bool:
        dock = self.dock
        plane = dock.plane()
        if plane is None:
            return False
        layer = plane.layer
        highest = self._highest(layer)
        if highest + 2 > MOST_DRAWN:  # one for background, one for a new object
            dock.say(
                f"{layer.name!r} has numbers up to {highest:,}, and strokes end at {MOST_DRAWN:,}. Press Relabel "
                "first, under Tidy up: of all objects, and of all planes where there are several.",
                problem=True,
            )
            return False
        self.plane, self._drawn, self._result, self._accepting = plane, None, None, False
        self.background = highest + 1  # in the strokes, which hold what the labels may not
        self.preview.prepare(plane)
        self.strokes = strokes = add_helper(dock.viewer, plane, "scribbles", np.zeros(plane.shape, np.int32), opacity=1)
        strokes.features = {"index": [self.background], "name": ["background"]}
        chosen = int(layer.selected_label)
        usable = 0 < chosen <= MOST_DRAWN and chosen not in dock.locks.of(layer)
        strokes.selected_label = chosen if usable else self._new_number()
        strokes.brush_size = max(1, round(BRUSH / camera_of(dock.viewer).zoom / min(plane.pixel_size())))
        strokes.n_edit_dimensions = 2
        dock.viewer.layers.selection.active = strokes
        strokes.mode = "paint"
        for event in (strokes.events.paint, strokes.events.set_data):
            event.connect(self._on_stroke)
        dock.steps.with_known(
            plane, lambda known: self._with_propagator(known, lambda: None)
        )  # there for the first stroke
        return True

    def _highest(self, layer: Labels) -> int:
        """The largest label there is, not that there was, where it matters."""
        if self.dock.highest.of(layer) + 2 > MOST_DRAWN:
            self.dock.highest.forget(layer)
        return self.dock.highest.of(layer)

    def leave(self) -> None:
        strokes, plane, self.strokes = self.strokes, self.plane, None
        self.preview.remove()
        if strokes is not None:
            for event in (strokes.events.paint, strokes.events.set_data):
                event.disconnect(self._on_stroke)
            remove_helper(self.dock.viewer, strokes)
        if plane is not None and plane.layer in self.dock.viewer.layers:
            self.dock.viewer.layers.selection.active = plane.layer
        self.plane = self._drawn = self._result = self._before = None
        self.dock.show_decision()

    def forget(self) -> None:
        plane = self.plane
        if plane is None or self.strokes is None:
            return
        if not plane.lies_in(plane.layer.data.shape) or self.strokes.data.shape != plane.block_shape:  # other data
            self.dock.leave_tool()
            self.dock.say(f"{plane.layer.name!r} has another shape now: the strokes are dropped.", problem=True)
        else:
            self.dock.work.add_soon(self._follow_labels, key=self)

    def _follow_labels(self) -> None:
        if self.plane is not None and (
            self._result is None or self._before is None or not np.array_equal(self.plane.read(), self._before)
        ):
            self._carry_anew()

    def locks_changed(self) -> None:
        self._carry_anew()

    def _carry_anew(self) -> None:
        if self._drawn is not None and self.plane is not None:
            self._drawn, self._result = self._drawn.copy(), None  # what is on its way is of no use
            self.dock.steps.with_known(self.plane, self._propagate, key=self)

    def new_stroke(self) -> None:
        """Draw with a number that is not used yet."""
        if self.strokes is not None:
            label = self._new_number()
            self._draw_with(label, f"Draw a new object, number {label}.")

    def _new_number(self) -> int:
        """One that neither the strokes nor the labels have."""
        assert self.strokes is not None and self.plane is not None
        drawn, free = np.asarray(self.strokes.data), self.dock.free_label(self.plane.layer)
        after = max(self.background, int(drawn.max()), free - 1) + 1
        if free > self.background or after <= self._most():
            return after
        low = np.setdiff1d(np.arange(free, min(self.background, free + 1 + len(np.unique(drawn)))), drawn)
        return int(low[0]) if len(low) else after

    def _most(self) -> int:
        """The largest label that the layer has room for."""
        assert self.plane is not None
        return most_of(self.plane.layer)

    def background_stroke(self) -> None:
        """Draw where no object is."""
        if self.strokes is not None:
            self._draw_with(self.background, "Draw background.")

    def _draw_with(self, label: int, said: str) -> None:
        assert self.strokes is not None
        if label > MOST_DRAWN:
            self.dock.say(
                f"No number is free: strokes end at {MOST_DRAWN:,}. Accept or drop, then Relabel.", problem=True
            )
            return
        self.strokes.selected_label = label
        self.strokes.mode = "paint"
        self.dock.say(said)

    def _on_stroke(self, event: Any = None) -> None:
        if self.strokes is None or self.plane is None:
            return
        drawn = np.asarray(self.strokes.data).reshape(self.plane.shape)
        if self._drawn is not None and np.array_equal(drawn, self._drawn):
            return  # drawn anew, and nothing else
        if self._drawn is None and not drawn.any():
            return
        self._drawn, self._result = drawn.copy(), None
        self.dock.steps.with_known(self.plane, self._propagate, key=self)

    def _propagate(self, known: Known) -> None:
        """Carry the strokes as they are now to the rest; those that come meanwhile follow when this is done."""
        self._with_propagator(known, lambda: self._carry(known))

    def _with_propagator(self, known: Known, then: Callable[[], None]) -> None:
        """Call ``then`` when there is what carries strokes over this plane: made once, off the GUI thread."""
        plane = self.plane
        if known.propagator is not None or plane is None:
            then()
            return

        def make(report: Report) -> Any:
            from napari_what_where.refinement.propagation import Propagator

            return Propagator(known.analysis, plane.shape, report)

        def finish(made: Any) -> None:
            known.propagator = made
            then()

        self.dock.work.begin(make, finish)

    def _carry(self, known: Known) -> None:
        dock, plane, drawn = self.dock, self.plane, self._drawn
        if plane is None or drawn is None or self.strokes is None:
            return
        if not drawn.any():
            self._accepting = False
            self.preview.clear()
            dock.show_decision()
            return
        locked, background = dock.locks.of(plane.layer), self.background

        def work(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            strokes, on_ground = drawn, drawn == background
            if ground := int(on_ground.any()):
                # An object may have been given the number of background since: here it is one that nothing has.
                ground = max(int(labels.max(initial=0)), int(drawn.max()), 0, *locked) + 1
                strokes = np.where(on_ground, ground, drawn)
            found = np.asarray(known.propagator.labels(strokes, current=labels, locked=locked))
            if ground:
                found[found == ground] = 0
            return labels.copy(), found  # they may be a view of the layer

        count = len(np.unique(drawn[drawn > 0]))
        dock.steps.compute(plane, work, lambda both: self._show(drawn, count, *both), key=self, slow=count > MANY)

    def _show(self, drawn: np.ndarray, count: int, before: np.ndarray, found: np.ndarray) -> None:
        if self.plane is None or self._drawn is not drawn:
            return  # a later stroke is on its way
        self._result, self._before = found, before
        self.preview.show(self.plane, found)
        if self._accepting:
            self.accept()
            return
        noun = "number" if count == 1 else "numbers"
        self.dock.say(f"Strokes in {count} {noun}, carried to the rest. Accept, drop, or draw on.")
        self.dock.show_decision()

    def accept(self) -> None:
        from napari_what_where.refinement.edit import edit_between

        dock, plane, result, before = self.dock, self.plane, self._result, self._before
        if plane is None:
            return
        if self._drawn is None or not self._drawn.any():
            dock.say("Nothing is drawn yet: draw first, then accept.")
            return
        if result is None or before is None:
            self._accepting = True  # as soon as it is there
            if dock.work.idle:  # it was cancelled, or failed
                dock.steps.with_known(plane, self._propagate, key=self)
            return
        locked, highest = dock.locks.of(plane.layer), int(result.max(initial=0))
        if highest > self._most():
            self._accepting = False
            dock.say(
                f"Number {highest} does not fit into {plane.layer.name!r}, whose labels go up to {self._most()}: draw "
                "with a lower one, or drop, and convert the layer first: right click ▸ Convert data type.",
                problem=True,
            )
            return
        self._accepting, drawn, strokes = False, self._drawn, self.strokes
        self._accepted = accepted = object()
        said = f"The strokes are in {plane.layer.name!r}."

        def work(labels: np.ndarray) -> Edit:
            # What an edit that was still on its way has changed stays.
            return edit_between(labels, np.where(labels == before, result, labels), said, locked=locked)

        def then() -> None:
            # Not before: if it can not be done, the strokes are there to try again with.
            if self.strokes is strokes and self._drawn is drawn:
                dock.leave_tool()
            elif self.strokes is strokes:  # something was drawn meanwhile
                self._carry_anew()

        dock.steps.edit(plane, work, by_tool=True, then=then, still=lambda: self._accepted is accepted)

    def drop(self) -> None:
        self._accepted = None  # what is on its way, too
        self.dock.leave_tool()
        self.dock.say("The strokes are dropped; nothing has changed.")
