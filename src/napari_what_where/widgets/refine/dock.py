"""The Refine dock: clicks, strokes and buttons in, steps of the layer's own undo out."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QWidget

from napari_what_where.failures import explain
from napari_what_where.progress import Report
from napari_what_where.widgets.refine.choices import Choices
from napari_what_where.widgets.refine.closing import Closing
from napari_what_where.widgets.refine.editing import Change, prepare, rename, write
from napari_what_where.widgets.refine.guides import Guides, Known
from napari_what_where.widgets.refine.locks import Locks
from napari_what_where.widgets.refine.mouse import Mouse
from napari_what_where.widgets.refine.numbers import Highest
from napari_what_where.widgets.refine.objects import Objects
from napari_what_where.widgets.refine.panel import TIDY, TOOLS, Panel
from napari_what_where.widgets.refine.saving import Saving
from napari_what_where.widgets.refine.scribble import Scribble
from napari_what_where.widgets.refine.shortcuts import LEAVE, Keys
from napari_what_where.widgets.refine.target import Plane, plane_on_screen
from napari_what_where.widgets.refine.tidying import Tidier
from napari_what_where.widgets.refine.tools import Grow, Merge, Similar, Split, Tool
from napari_what_where.widgets.refine.work import Work

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_what_where.refinement.edit import Edit

AT_ONCE = 2**21
"""Planes of more pixels are worked on in a thread: the window answers meanwhile."""
NO_LABELS = "Open labels first, or make some with the What & Where dock."


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
        self._writing = False
        self.objects = Objects(self)
        self.choices = Choices(self)
        self.keys = Keys(self.viewer, self.act)
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
            button.clicked.connect(lambda _=False, each=name: self.act(each))
        panel.cancel.clicked.connect(self.work.cancel)
        similar = self.tools["similar"]
        assert isinstance(similar, Similar)
        panel.threshold.valueChanged.connect(lambda _: similar.show())
        panel.overrun.toggled.connect(lambda _: self.tools["grow"].forget())
        self.work.busy.connect(panel.set_busy)
        self.work.progressed.connect(panel.show_progress)
        self.work.failed.connect(self.fail)
        self.work.cancelled.connect(lambda: self.say("Cancelled; nothing has changed."))

    # Actions

    def act(self, name: str) -> None:
        """Do what a button or key of that name stands for."""
        if self.layer is None:
            self.panel.show_tool(None)
            self.say(NO_LABELS, problem=True)
        elif name in TOOLS:
            self.leave_tool() if name == self.active else self.use_tool(name)
        elif name in TIDY:
            self.tidier.run(name)
        else:
            getattr(self, f"_do_{name}")()

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
        if not tool.enter():
            self.leave_tool()
            return
        if name != "scribble":
            self.mouse.listen(self._click, self._turn if tool.wheel else None)
        helper = tool.strokes if isinstance(tool, Scribble) else None
        for each in filter(None, (layer, helper)):
            self.keys.bind(each, LEAVE, lambda _: self.leave_tool())
        self.panel.show_tool(name)
        self.show_decision()
        self.say(tool.hint)

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

    def _do_accept(self) -> None:
        self._decide(lambda tool: tool.accept())

    def _do_drop(self) -> None:
        self._decide(lambda tool: tool.drop())

    def _decide(self, what: Callable[[Tool], None]) -> None:
        if self.tool is None or not (self.tool.deciding or self.active == "scribble"):
            self.say("There is no preview: scribble, or find similar objects, first.")
        else:
            what(self.tool)

    def _do_more(self) -> None:
        self._step(1)

    def _do_less(self) -> None:
        self._step(-1)

    def _step(self, notches: int) -> None:
        if isinstance(self.tool, Grow | Similar):
            self.tool.more(notches)
        else:
            self.say("For Grow and Similar: turn one of them on first.")

    def _do_new_stroke(self) -> None:
        self._scribbling(lambda tool: tool.new_stroke())

    def _do_background_stroke(self) -> None:
        self._scribbling(lambda tool: tool.background_stroke())

    def _scribbling(self, what: Callable[[Scribble], None]) -> None:
        if not isinstance(self.tool, Scribble):
            self.use_tool("scribble")
        if isinstance(self.tool, Scribble):
            what(self.tool)

    def _do_lock(self) -> None:
        self.lock(self.objects.selected())

    def lock(self, labels: Sequence[int]) -> None:
        """Lock labels, or free them if all of them are locked."""
        if self.layer is None or not labels:
            self.say("No object is selected: click rows of the table, or an object with a tool.")
            return
        locked = self.locks.toggle(self.layer, labels)
        self.say(f"{_named(labels)} {'locked: no tool here changes it' if locked else 'free again'}.")

    def _do_lock_others(self) -> None:
        plane, selected = self.plane(), set(self.objects.selected())
        if plane is not None:
            others = [int(label) for label in np.unique(plane.read()) if label and int(label) not in selected]
            self.locks.set(plane.layer, others)
            self.say(f"{len(others)} objects are locked: all but {len(selected)}.")

    def _do_delete(self) -> None:
        from napari_what_where.refinement.edit import edit_where, is_among

        plane, selected = self.plane(), self.objects.selected()
        if plane is None or not self._has_selection(selected):
            return
        locked = self.locks.of(plane.layer)
        gone = [label for label in selected if label not in locked]
        said = f"{_named(gone)} deleted." if gone else "What is locked is not deleted: free it first."
        self.edit(plane, lambda labels: edit_where(labels, is_among(labels, gone), 0, said, locked=locked))

    def _do_join(self) -> None:
        from napari_what_where.refinement.regions import merge

        plane, selected = self.plane(), self.objects.selected()
        if plane is not None and self._has_selection(selected):
            locked = self.locks.of(plane.layer)
            self.edit(plane, lambda labels: merge(labels, selected, locked=locked))

    def _do_rename(self) -> None:
        self.objects.edit_name()

    def rename(self, label: int, name: str) -> None:
        """Name a label, as one step of undo."""
        layer = self.layer
        if layer is not None:
            self.saving.watch(layer)
            self._writing = True
            try:
                rename(layer, label, name)
            finally:
                self._writing = False
            self.say(f"Object {label} is called {name!r}." if name else f"Object {label} has no name any more.")

    def _do_undo(self) -> None:
        self._travel("undo")

    def _do_redo(self) -> None:
        self._travel("redo")

    def _travel(self, way: str) -> None:
        """Napari's own undo or redo: of the strokes while there are any to undo, else of the labels."""
        strokes = self.tool.strokes if isinstance(self.tool, Scribble) else None
        layer = self.layer if strokes is None or not getattr(strokes, f"_{way}_history") else strokes
        if layer is None or not getattr(layer, f"_{way}_history"):
            self.say(f"There is nothing to {way}.")
            return
        getattr(layer, way)()
        left = len(getattr(layer, f"_{way}_history"))
        self.say(f"{'Undone' if way == 'undo' else 'Done again'}; {left} more step{'s' * (left != 1)} to {way}.")

    def _has_selection(self, selected: Sequence[int]) -> bool:
        if not selected:
            self.say("No object is selected: click rows of the table, or an object with a tool.", problem=True)
        return bool(selected)

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

    # Work

    def known(self, plane: Plane) -> Known | None:
        """What is known of the image under a plane already."""
        try:
            return self.guides.find(plane, self.choices.image, self.choices.model)
        except ValueError:
            return None

    def with_known(
        self,
        plane: Plane,
        then: Callable[[Known], None],
        *,
        otherwise: Callable[[], None] = lambda: None,
        key: Any = None,
    ) -> None:
        """Call ``then`` with what is known of the image under a plane: at once, or when it has been looked at.

        ``otherwise`` is called where that fails or is cancelled; of calls with one ``key`` only the last waits.
        """

        def go_on() -> None:
            try:
                known = self.guides.find(plane, self.choices.image, self.choices.model)
                if known is not None:
                    then(known)
                    return
                work, keep = self.guides.plan(plane, self.choices.image, self.choices.model)
            except ValueError as problem:
                otherwise()
                self.fail(problem)
                return
            self.say("Looking at the image, once; what you asked for follows.")

            def finish(found: Known) -> None:
                keep(found)
                self.objects.refresh_soon()
                self.say("Ready." if self.tool is None else f"Ready. {self.tool.hint}")
                then(found)

            self.work.begin(work, finish, otherwise)

        self.work.add(go_on, key=key)

    def compute(
        self,
        plane: Plane,
        work: Callable[[np.ndarray], Any],
        finish: Callable[[Any], None],
        *,
        always_in_thread: bool = False,
        key: Any = None,
    ) -> None:
        """Call ``finish(work(labels))`` with a plane's labels as they are; of a large one in a thread."""
        pixels = AT_ONCE + 1 if always_in_thread else plane.size
        self.work.add(
            lambda: self.perform(lambda report: work(plane.read()), finish, pixels=pixels),
            key=key,
        )

    def perform(self, work: Callable[[Report], Any], finish: Callable[[Any], None], *, pixels: int) -> None:
        """Call ``finish(work(report))``; in a thread if that is work on many pixels."""
        if pixels > AT_ONCE:
            self.work.begin(work, finish)
        else:
            finish(work(lambda progress: None))

    def edit(self, plane: Plane, work: Callable[[np.ndarray], Edit], *, by_tool: bool = False) -> None:
        """Make an edit of a plane one step of undo; ``by_tool``: the tool that is on goes on with it."""

        def both(labels: np.ndarray) -> tuple[Edit, Change | None]:
            edit = work(labels)
            return edit, prepare(plane, edit)

        def finish(found: tuple[Edit, Change | None]) -> None:
            edit, change = found
            self.commit(plane.layer, [] if change is None else [change], edit.said, by_tool=by_tool)
            if edit.focus:
                self.choose(plane.layer, edit.focus)

        self.compute(plane, both, finish)

    def commit(self, layer: Labels, changes: Sequence[Change], said: str, *, by_tool: bool = False) -> None:
        """Write changes into the layer, and say so."""
        if layer not in self.viewer.layers:
            self.say("The labels are gone; nothing was changed.", problem=True)
            return
        if not all(change.still_holds() for change in changes):
            self.say("The labels have changed meanwhile; nothing was done. Try again.", problem=True)
            return
        if changes:
            self.saving.watch(layer)
            self._writing = True
            try:
                write(layer, changes)
            finally:
                self._writing = False
            if self.tool is not None and not by_tool:
                self.tool.forget()
            self.objects.refresh_soon()
        kept = not changes or len(layer._undo_history) > 0
        self.say(said if kept else f"{said} It is too large to be undone.")

    def on_labels_changed(self, *, foreign: bool) -> None:
        """The labels on screen have changed; ``foreign``: what they are, and not by us."""
        self.objects.refresh_soon()
        if foreign and not self._writing and self.tool is not None:
            self.tool.forget()

    # Labels

    def choose(self, layer: Labels, label: int) -> None:
        """Make a label the selected one of the layer and of the table."""
        info = np.iinfo(layer.data.dtype) if layer.data.dtype != np.bool_ else None
        if info is None or label <= info.max:
            layer.selected_label = label
        self.objects.select(label)

    def has_label(self, plane: Plane, label: int) -> bool:
        """Whether a label is in a plane."""
        return bool((plane.read() == label).any())

    def free_label(self, layer: Labels) -> int:
        """A label that is on no plane of the layer."""
        return self.highest.of(layer) + 1

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


def _named(labels: Sequence[int]) -> str:
    return f"Object {labels[0]} is" if len(labels) == 1 else f"{len(labels)} objects are"
