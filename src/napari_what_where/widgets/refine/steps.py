"""From what a tool wants to a step of undo: the image looked at, the edit made, written, and told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.progress import Report
from napari_what_where.widgets.refine.editing import Change, prepare, write
from napari_what_where.widgets.refine.guides import Known
from napari_what_where.widgets.refine.planes import Found, said_where
from napari_what_where.widgets.refine.target import Plane

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_what_where.refinement.edit import Edit
    from napari_what_where.widgets.refine.dock import RefineDock

AT_ONCE = 2**21
"""Planes of more pixels are worked on in a thread: the window answers meanwhile."""


class Steps:
    """Does what takes time, in order, and what comes of it to the labels."""

    def __init__(self, dock: RefineDock) -> None:
        self._dock = dock
        self.writing = False
        """Whether what happens to the labels right now is our doing."""

    def known(self, plane: Plane) -> Known | None:
        """What is known of the image under a plane already."""
        try:
            return self._dock.guides.find(plane, self._dock.choices.image, self._dock.choices.model)
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

        ``otherwise`` is called where that fails, is cancelled or not taken; of calls with one ``key`` the last waits.
        """

        def go_on() -> None:
            try:
                known = self._dock.guides.find(plane, self._dock.choices.image, self._dock.choices.model)
                if known is not None:
                    then(known)
                    return
                work, keep = self._dock.guides.plan(plane, self._dock.choices.image, self._dock.choices.model)
            except ValueError as problem:
                otherwise()
                self._dock.fail(problem)
                return
            self._dock.say("Looking at the image, once; what you asked for follows.")

            def finish(found: Known) -> None:
                keep(found)
                self._dock.objects.refresh_soon()
                self._dock.say("Ready." if self._dock.tool is None else f"Ready. {self._dock.tool.hint}")
                then(found)

            self._dock.work.begin(work, finish, otherwise)

        self._dock.work.add(go_on, key=key, otherwise=otherwise)

    def compute(
        self,
        plane: Plane,
        work: Callable[[np.ndarray], Any],
        finish: Callable[[Any], None],
        *,
        key: Any = None,
        slow: bool = False,
    ) -> None:
        """Call ``finish(work(labels))`` with a plane's labels as they are; in a thread of a large one, or of ``slow``
        work.
        """
        pixels = AT_ONCE + 1 if slow else plane.size

        def begin() -> None:
            labels = plane.read()
            if pixels > AT_ONCE:  # the user may paint meanwhile
                labels = np.array(labels)
            self.perform(lambda report: work(labels), finish, pixels=pixels)

        self._dock.work.add(begin, key=key)

    def perform(self, work: Callable[[Report], Any], finish: Callable[[Any], None], *, pixels: int) -> None:
        """Call ``finish(work(report))``; in a thread if that is work on many pixels."""
        if pixels > AT_ONCE:
            self._dock.work.begin(work, finish)
        else:
            finish(work(lambda progress: None))

    def edit(
        self,
        plane: Plane,
        work: Callable[[np.ndarray], Edit],
        *,
        by_tool: bool = False,
        then: Callable[[], None] = lambda: None,
        still: Callable[[], bool] = lambda: True,
    ) -> None:
        """Make an edit of a plane one step of undo; ``by_tool``: the tool that is on goes on with it.

        ``then`` is called once that is done, and not if it can not be. Nothing is done if it is not ``still`` wanted.
        """

        def both(labels: np.ndarray) -> tuple[Edit, Change | None]:
            edit = work(labels)
            return edit, prepare(plane, edit, labels)

        def finish(found: tuple[Edit, Change | None]) -> None:
            if not still():
                return
            edit, change = found
            said = edit.said if change is None else said_where(edit.said, [plane])
            done = self.commit(plane.layer, [] if change is None else [change], said, by_tool=by_tool)
            if done and edit.focus:
                self._dock.choose(plane.layer, edit.focus)
            if done:
                then()

        self.compute(plane, both, finish)

    def edit_planes(self, planes: Sequence[Plane], work: Callable[[Report], Found], *, by_tool: bool = False) -> None:
        """As :meth:`edit`, of several planes together one step of undo."""

        def finish(found: Found) -> None:
            layer = planes[0].layer
            if self.commit(layer, found.changes, found.said, by_tool=by_tool) and found.focus:
                self._dock.choose(layer, found.focus)

        self._dock.work.add(lambda: self.perform(work, finish, pixels=sum(plane.size for plane in planes)))

    def commit(
        self, layer: Labels, changes: Sequence[Change], said: str, *, by_tool: bool = False, features: Any = None
    ) -> bool:
        """Write changes into the layer, with other ``features`` if they change, too, and say so; whether it was done.

        Nothing is done, and the reason said, where the labels are gone or have changed.
        """
        if layer not in self._dock.viewer.layers:
            self._dock.say("The labels are gone; nothing was changed.", problem=True)
            return False
        if not all(change.still_holds() for change in changes):
            self._dock.say("The labels have changed meanwhile; nothing was done. Try again.", problem=True)
            return False
        if changes:
            self._dock.saving.watch(layer)
            self.writing = True
            try:
                write(layer, changes, features)
            finally:
                self.writing = False
            if self._dock.tool is not None and not by_tool:
                self._dock.tool.forget()
            self._dock.objects.refresh_soon()
        kept = not changes or len(layer._undo_history) > 0
        self._dock.say(said if kept else f"{said} It is too large to be undone.")
        return True
