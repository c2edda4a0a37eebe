"""Fill holes, remove specks, snap to edges …: on the selection or on all, on this plane or on every one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.progress import Progress, Report
from napari_what_where.widgets.refine.editing import Change, prepare, renumbered
from napari_what_where.widgets.refine.planes import said_where
from napari_what_where.widgets.refine.target import Plane, every_plane

if TYPE_CHECKING:
    from napari_what_where.refinement.edit import Edit
    from napari_what_where.widgets.refine.dock import RefineDock

Tidy = Callable[[np.ndarray, Any], "Edit"]
"""(labels of a plane, what is known of its image) → the edit."""


class Tidier:
    """The tools that need no click."""

    def __init__(self, dock: RefineDock) -> None:
        self._dock = dock

    def run(self, name: str) -> None:
        """Do one of them, as one step of undo."""
        dock = self._dock
        plane = dock.plane()
        if plane is None:
            return
        selected = None
        if dock.panel.scope.currentData():
            selected = dock.objects.selected()
            if not selected:
                dock.say("No object is selected: click rows of the table, or choose “all objects”.", problem=True)
                return
        several = len(list(every_plane(plane))) > 1
        every = bool(dock.panel.planes.currentData()) and several
        planes = list(every_plane(plane)) if every else [plane]
        edit = self._edit_of(name, plane, selected)
        if name == "relabel" and every:
            # Numbers mean the same on all planes: numbered as one.
            dock.work.add(lambda: self._begin(planes, lambda report: self._relabel(planes, edit), renumber=True))
        elif name == "relabel":
            # Of one plane of several, names stay with those on the others.
            dock.work.add(
                lambda: self._begin(planes, lambda report: _each(planes, edit, [None], report), renumber=not several)
            )
        elif name != "snap":
            dock.work.add(lambda: self._begin(planes, lambda report: _each(planes, edit, [None] * len(planes), report)))
        elif every:
            dock.say("Snapping needs the image: it is done on the plane on screen. Choose “this plane”.", problem=True)
        else:
            dock.steps.with_known(plane, lambda known: self._begin_later(planes, edit, known))

    def _begin_later(self, planes: Sequence[Plane], edit: Tidy, known: Any) -> None:
        work = self._dock.work
        work.add(lambda: self._begin(planes, lambda report: _each(planes, edit, [known], report)))

    def _begin(self, planes: Sequence[Plane], work: Callable[[Report], Any], *, renumber: bool = False) -> None:
        """``renumber``: labels get other numbers, and keep their names."""

        def finish(found: Any) -> None:
            changes, said = found
            features = renumbered(planes[0].layer, changes) if renumber else None
            self._dock.steps.commit(planes[0].layer, changes, said, features=features)

        self._dock.steps.perform(work, finish, pixels=sum(plane.size for plane in planes))

    def _edit_of(self, name: str, plane: Plane, selected: Sequence[int] | None) -> Tidy:
        from napari_what_where.refinement import tidy
        from napari_what_where.refinement.snapping import snap_to_edges

        dock = self._dock
        locked, small = dock.locks.of(plane.layer), dock.panel.small.value()
        free = dock.free_label(plane.layer)

        def separate(labels: np.ndarray, known: Any) -> Edit:
            nonlocal free  # on every plane other numbers
            edit = tidy.separate(labels, selected, locked=locked, free=free)
            free = max(free, int(edit.values.max(initial=0)) + 1)
            return edit

        table: dict[str, Tidy] = {
            "holes": lambda labels, known: tidy.fill_holes(labels, selected, locked=locked),
            "small": lambda labels, known: tidy.remove_small(labels, small, selected, locked=locked),
            "largest": lambda labels, known: tidy.keep_largest(labels, selected, locked=locked),
            "separate": separate,
            "relabel": lambda labels, known: tidy.relabel(labels, selected, locked=locked),
            "snap": lambda labels, known: snap_to_edges(labels, known.guide, selected, locked=locked),
        }
        return table[name]

    def _relabel(self, planes: Sequence[Plane], edit: Tidy) -> tuple[list[Change], str]:
        from napari_what_where.refinement.edit import edit_between

        stack = np.stack([plane.read() for plane in planes])
        found = edit(stack.reshape(-1, stack.shape[-1]), None)
        after = found.applied(stack.reshape(-1, stack.shape[-1])).reshape(stack.shape)
        edits = [edit_between(before, now, found.said) for before, now in zip(stack, after, strict=True)]
        changes = [prepare(plane, each, before) for plane, each, before in zip(planes, edits, stack, strict=True)]
        made = [change for change in changes if change is not None]
        return made, said_where(found.said, planes) if made else found.said


def _each(planes: Sequence[Plane], edit: Tidy, known: Sequence[Any], report: Report) -> tuple[list[Change], str]:
    """One plane after the other: what changes, and what to say of all."""
    changes: list[Change] = []
    said = ""
    for number, (plane, each) in enumerate(zip(planes, known, strict=True)):
        report(Progress("plane", number, len(planes)))
        labels = np.array(plane.read())  # the user may paint meanwhile
        found = edit(labels, each)
        said = found.said
        change = prepare(plane, found, labels)
        if change is not None:
            changes.append(change)
    if len(planes) > 1:
        return (
            changes,
            f"Changed {len(changes)} of {len(planes)} planes." if changes else "There was nothing to change.",
        )
    return changes, said_where(said, planes) if changes else said
