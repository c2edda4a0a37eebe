"""What every button and key does, by its name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from napari_what_where.widgets.refine.editing import rename
from napari_what_where.widgets.refine.grow import Grow
from napari_what_where.widgets.refine.panel import TIDY, TOOLS
from napari_what_where.widgets.refine.planes import delete, join, others, where
from napari_what_where.widgets.refine.scribble import Scribble
from napari_what_where.widgets.refine.tools import Similar, Tool

if TYPE_CHECKING:
    from napari_what_where.widgets.refine.dock import RefineDock

NO_LABELS = "Open labels first, or make some with the What & Where dock."


class Actions:
    """The actions of the Refine dock: each says what it did."""

    def __init__(self, dock: RefineDock) -> None:
        self._dock = dock

    def act(self, name: str) -> None:
        """Do what a button or key of that name stands for."""
        if self._dock.layer is None:
            self._dock.panel.show_tool(None)
            self._dock.say(NO_LABELS, problem=True)
        elif name in TOOLS:
            self._dock.leave_tool() if name == self._dock.active else self._dock.use_tool(name)
        elif name in TIDY:
            self._dock.tidier.run(name)
        else:
            getattr(self, f"_do_{name}")()

    def _do_accept(self) -> None:
        self._decide(lambda tool: tool.accept())

    def _do_drop(self) -> None:
        self._decide(lambda tool: tool.decline())

    def _decide(self, what: Callable[[Tool], None]) -> None:
        if self._dock.tool is None or not (self._dock.tool.deciding or self._dock.active == "scribble"):
            self._dock.say("There is no preview: scribble, or find similar objects, first.")
        else:
            what(self._dock.tool)

    def _do_more(self) -> None:
        self._step(1)

    def _do_less(self) -> None:
        self._step(-1)

    def _step(self, notches: int) -> None:
        if isinstance(self._dock.tool, Grow | Similar):
            self._dock.tool.more(notches)
        else:
            self._dock.say("For Grow and Similar: turn one of them on first.")

    def _do_new_stroke(self) -> None:
        self._scribbling(lambda tool: tool.new_stroke())

    def _do_background_stroke(self) -> None:
        self._scribbling(lambda tool: tool.background_stroke())

    def _scribbling(self, what: Callable[[Scribble], None]) -> None:
        if not isinstance(self._dock.tool, Scribble):
            self._dock.use_tool("scribble")
        if isinstance(self._dock.tool, Scribble):
            what(self._dock.tool)

    def _do_lock(self) -> None:
        self.lock(self._dock.objects.selected())

    def lock(self, labels: Sequence[int]) -> None:
        """Lock labels, or free them if all of them are locked."""
        if self._dock.layer is None or not labels:
            self._dock.say("No object is selected: click rows of the table, or an object with a tool.")
            return
        locked = self._dock.locks.toggle(self._dock.layer, labels)
        self._dock.say(f"{_named(labels)} {'locked: no tool here changes it' if locked else 'free again'}.")

    def _do_lock_others(self) -> None:
        dock, selected = self._dock, set(self._dock.objects.selected())
        plane = dock.plane()
        if plane is None or not self._has_selection(list(selected)):
            return
        layer, planes = plane.layer, dock.planes(plane)

        def finish(found: set[int]) -> None:
            dock.locks.set(layer, found | (dock.locks.of(layer) - selected))
            dock.say(f"{_named(sorted(found))} locked: all but {len(selected)}{where(planes)}.")

        pixels = sum(each.size for each in planes)
        dock.work.add(
            lambda: dock.steps.perform(lambda report: others(planes, selected, report), finish, pixels=pixels)
        )

    def _do_delete(self) -> None:
        plane, selected = self._dock.plane(), self._dock.objects.selected()
        if plane is None or not self._has_selection(selected):
            return
        locked = self._dock.locks.of(plane.layer)
        gone = [label for label in selected if label not in locked]
        if not gone:
            self._dock.say("What is locked is not deleted: free it first.", problem=True)
            return
        planes, said = self._dock.planes(plane), f"{_named(gone)} deleted."
        self._dock.steps.edit_planes(planes, lambda report: delete(planes, gone, said, report))

    def _do_join(self) -> None:
        plane, selected = self._dock.plane(), self._dock.objects.selected()
        if plane is not None and self._has_selection(selected):
            planes, locked = self._dock.planes(plane), self._dock.locks.of(plane.layer)
            self._dock.steps.edit_planes(planes, lambda report: join(planes, selected, None, locked, report))

    def _do_rename(self) -> None:
        self._dock.objects.edit_name()

    def rename(self, label: int, name: str) -> None:
        """Name a label, as one step of undo."""
        layer = self._dock.layer
        if layer is not None:
            self._dock.saving.watch(layer)
            self._dock.steps.writing = True
            try:
                rename(layer, label, name)
            except ValueError as problem:
                self._dock.fail(problem)
                return
            finally:
                self._dock.steps.writing = False
            self._dock.say(f"Object {label} is called {name!r}." if name else f"Object {label} has no name any more.")

    def _do_undo(self) -> None:
        self._travel("undo")

    def _do_redo(self) -> None:
        self._travel("redo")

    def _travel(self, way: str) -> None:
        """Napari's own undo or redo: of the strokes while there are any to undo, else of the labels."""
        strokes = self._dock.tool.strokes if isinstance(self._dock.tool, Scribble) else None
        layer = self._dock.layer if strokes is None or not getattr(strokes, f"_{way}_history") else strokes
        if layer is None or not getattr(layer, f"_{way}_history"):
            self._dock.say(f"There is nothing to {way}.")
            return
        getattr(layer, way)()
        left = len(getattr(layer, f"_{way}_history"))
        self._dock.say(f"{'Undone' if way == 'undo' else 'Done again'}; {left} more step{'s' * (left != 1)} to {way}.")

    def _has_selection(self, selected: Sequence[int]) -> bool:
        if not selected:
            self._dock.say("No object is selected: click rows of the table, or an object with a tool.", problem=True)
        return bool(selected)


def _named(labels: Sequence[int]) -> str:
    return f"Object {labels[0]} is" if len(labels) == 1 else f"{len(labels)} objects are"
