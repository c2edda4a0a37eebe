"""The Refine dock: clicks, strokes and buttons in, steps of the layer's own undo out."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QWidget

from napari_what_where.failures import explain
from napari_what_where.widgets.refine.actions import NO_LABELS, Actions
from napari_what_where.widgets.refine.choices import Choices
from napari_what_where.widgets.refine.closing import Closing
from napari_what_where.widgets.refine.grow import Grow
from napari_what_where.widgets.refine.guides import Guides
from napari_what_where.widgets.refine.locks import Locks
from napari_what_where.widgets.refine.mouse import Mouse
from napari_what_where.widgets.refine.numbers import Highest
from napari_what_where.widgets.refine.objects import Objects
from napari_what_where.widgets.refine.panel import Panel
from napari_what_where.widgets.refine.planes import planes_of
from napari_what_where.widgets.refine.saving import Saving
from napari_what_where.widgets.refine.scribble import Scribble
from napari_what_where.widgets.refine.shortcuts import LEAVE, Keys
from napari_what_where.widgets.refine.steps import Steps
from napari_what_where.widgets.refine.target import Plane, dtype_of, most_of, plane_on_screen
from napari_what_where.widgets.refine.tidying import Tidier
from napari_what_where.widgets.refine.tools import Merge, Similar, Split, Tool
from napari_what_where.widgets.refine.work import Work

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer


TOO_MUCH = "Not done: so much is waiting already. Go on when it has been done, or press Cancel to forget it."


class RefineDock(QWidget):
    """Controller between the panel of controls, the tools and the Labels layer that is refined."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # Through napari's proxy a layer is never identical with itself; only public attributes are used.
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.panel = Panel(self)
        self.work = Work(self)
        self.guides = Guides(self.viewer)
        self.locks = Locks(self._show_locked)
        self.saving = Saving(self)
        self.highest = Highest()
        self.mouse = Mouse(self.viewer)
        self.steps = Steps(self)
        self.actions = Actions(self)
        self.tidier = Tidier(self)
        self.tools: dict[str, Tool] = {
            "scribble": Scribble(self),
            "merge": Merge(self),
            "split": Split(self),
            "grow": Grow(self),
            "similar": Similar(self),
        }
        self.active: str | None = None
        """Name of the tool that is on."""
        self.details = ""
        self.objects = Objects(self)
        self.choices = Choices(self)
        self.keys = Keys(self.viewer, self.actions.act)
        self.panel.show_taken(self.keys.taken)
        self._connect()
        self.closing = Closing(self)

    @property
    def layer(self) -> Labels | None:
        """The Labels layer that is refined."""
        return self.choices.layer

    @property
    def tool(self) -> Tool | None:
        """The tool that is on."""
        return None if self.active is None else self.tools[self.active]

    def _connect(self) -> None:
        panel = self.panel
        for name, button in panel.buttons.items():
            button.clicked.connect(lambda _=False, each=name: self.actions.act(each))
        panel.cancel.clicked.connect(self.work.cancel)
        similar = self.tools["similar"]
        assert isinstance(similar, Similar)
        panel.threshold.valueChanged.connect(lambda _: similar.show())
        panel.overrun.toggled.connect(lambda _: self.tools["grow"].forget())
        self.work.busy.connect(panel.set_busy)
        self.work.progressed.connect(panel.show_progress)
        self.work.failed.connect(self.fail)
        self.work.full.connect(lambda: self.say(TOO_MUCH, problem=True))
        self.work.cancelled.connect(lambda: self.say("Cancelled; nothing has changed."))

    # Tools

    def use_tool(self, name: str) -> None:
        """Turn a tool on, and the one that was on off."""
        self.leave_tool()
        layer = self.layer
        if layer is None or self.plane() is None:
            self.panel.show_tool(None)
            return
        layer.mode = "pan_zoom"  # a brush would paint with the same click
        self.viewer.layers.selection.active = layer
        self.active, tool = name, self.tools[name]
        self.say(tool.hint)  # before what the tool may have to say
        try:
            entered = tool.enter()
        except Exception:
            self.leave_tool()  # nothing half begun stays
            raise
        if not entered:
            self.leave_tool()
            return
        if name != "scribble":
            self.mouse.listen(self._click, self._turn if tool.wheel else None)
        helper = tool.strokes if isinstance(tool, Scribble) else None
        for each in filter(None, (layer, helper)):
            self.keys.bind(each, LEAVE, lambda _: self.leave_tool())
        self.panel.show_tool(name)
        self.show_decision()

    def leave_tool(self) -> None:
        """Turn the tool off that is on, if any; what it showed goes."""
        tool, self.active = self.tool, None
        if tool is not None:
            self.mouse.stop()
            self.keys.release(LEAVE)
            tool.leave()
        self.panel.show_tool(None)
        self.show_decision()

    def on_layers_changed(self) -> None:
        """Layers were added or removed: a tool without the layers it needs is left."""
        tool = self.tool
        if isinstance(tool, Scribble) and tool.strokes is not None and tool.strokes not in self.viewer.layers:
            self.leave_tool()
        self.show_decision()

    def show_decision(self) -> None:
        """Offer Accept and Drop where there is something to accept or drop."""
        tool = self.tool
        self.panel.set_deciding(tool is not None and tool.deciding)

    # The canvas

    def _click(self, world: np.ndarray) -> None:
        plane, tool = self.plane(), self.tool
        if plane is None or tool is None:
            return
        at = plane.pixel_at(world)
        if at is None:
            self.say("That is outside of the labels.")
            return
        try:
            tool.click(plane, at)
        except ValueError as problem:
            self.fail(problem)

    def _turn(self, world: np.ndarray, notches: int) -> bool:
        layer, tool = self.layer, self.tool
        if layer is None or tool is None:
            return False
        try:
            plane = plane_on_screen(self.viewer, layer)
        except ValueError:
            return False
        at = plane.pixel_at(world)
        return at is not None and tool.turn(plane, at, notches)

    def plane(self) -> Plane | None:
        """The plane on screen of the layer that is refined; None, and the reason is told, where there is none."""
        if self.layer is None:
            self.say(NO_LABELS, problem=True)
            return None
        try:
            return plane_on_screen(self.viewer, self.layer)
        except ValueError as problem:
            self.fail(problem)
            return None

    def planes(self, plane: Plane) -> list[Plane]:
        """The plane, or every one of its layer where the user chose that."""
        return planes_of(plane, every=bool(self.panel.planes.currentData()) and plane.of_several)

    def on_labels_changed(self, *, foreign: bool) -> None:
        """The labels on screen have changed; ``foreign``: what they are, and not by us."""
        self.objects.refresh_soon()
        if foreign and not self.steps.writing and self.tool is not None:
            self.tool.forget()

    # Labels

    def choose(self, layer: Labels, label: int) -> None:
        """Make a label the selected one of the layer and of the table."""
        if label <= most_of(layer):
            layer.selected_label = label
            self.choices.note_choice(layer)
        self.objects.select(label)

    def has_label(self, plane: Plane, label: int) -> bool:
        """Whether a label is in a plane."""
        return bool((plane.read() == label).any())

    def free_label(self, layer: Labels) -> int:
        """A label that is on no plane of the layer, and those after it: the largest plus 1.

        Where the layer's type ends before that, as in masks of 0 and 255, the first of the longest run of free ones.
        """
        after, most = self.highest.of(layer) + 1, most_of(layer)
        if after <= most or dtype_of(layer) == np.bool_:
            return after
        used = np.unique([0, *np.unique(np.asarray(layer.data)), *self.locks.of(layer), most + 1]).astype(np.int64)
        gaps = np.diff(used)
        return int(used[gaps.argmax()]) + 1 if gaps.max() > 1 else after

    # Telling

    def say(self, text: str, *, problem: bool = False) -> None:
        """One sentence to the user: in the dock, and in the status bar."""
        self.panel.say(text, problem=problem)
        self.viewer.status = text

    def fail(self, problem: Exception) -> None:
        """Say what went wrong."""
        self.details = "".join(traceback.format_exception(problem))
        self.say(explain(problem), problem=True)

    def _show_locked(self) -> None:
        self.objects.show_locked()
        if self.tool is not None:
            self.tool.locks_changed()
