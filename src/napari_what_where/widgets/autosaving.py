"""The user's edits of Labels layers, kept on disk while they are made."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_what_where.failures import explain
from napari_what_where.files import recovery
from napari_what_where.widgets.watching import COPIED_BYTES, LATEST_SECONDS, Look, Watched, layer_attributes

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

LOOK_SECONDS = 10.0
"""So often a layer is compared with what was saved: scripts that write into its array announce nothing."""
_EDITED, _PERHAPS = ("paint", "labels_update"), ("set_data", "data")
"""Events of napari 0.9: tools emit the former, the second of them also during a stroke; undo, redo, a refresh and data
assigned emit the latter, as does a slider that shows another plane."""
_MOVED = ("name", "scale", "translate", "rotate", "shear", "affine")


class Autosaver(QObject):
    """Saves what the user edits in Labels layers, in a worker thread, never two at once.

    ``saved`` is emitted with the name of a layer whose edits have been saved, ``failed`` with a sentence when they
    could not be; the same trouble is told once. Only labels in memory are watched: arrays on disk keep themselves.
    All methods belong to the GUI thread.
    """

    saved = Signal(str)
    failed = Signal(str)
    _finished = Signal()

    def __init__(self, viewer: Viewer) -> None:
        super().__init__()
        self.viewer = viewer
        self.session = recovery.open_session()
        self._watched: list[Watched] = []
        self._results: deque[tuple[Look, Any]] = deque()
        self._told: set[str] = set()
        self._thread: threading.Thread | None = None
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._start_due)
        self._looks = QTimer(self)
        self._looks.setInterval(int(LOOK_SECONDS * 1000))
        self._looks.timeout.connect(self._look_at_all)
        self._looks.start()
        self._finished.connect(self._take_results)
        viewer.layers.events.removed.connect(self._on_removed)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    def watch(self, layer: Labels, entry: recovery.Entry | None = None) -> None:
        """Save the edits of a layer from now on; what it holds now is none.

        ``entry``: of this session, that holds what the layer holds now.
        """
        if not isinstance(layer.data, np.ndarray) or self._find(layer) is not None:
            return
        watched = Watched(layer, entry=entry)
        if entry is not None:
            watched.key = entry.path.stem
        for names, note in ((_EDITED, self._on_edit), (_PERHAPS, self._on_perhaps), (_MOVED, self._on_move)):
            for name in names:
                _connect(watched, getattr(layer.events, name), note)
        self._watched.append(watched)
        self._note(watched)
        watched.last = 0.0  # at once: what it holds now is to be known before it changes
        self._schedule()

    def accept(self, layer: Labels) -> None:
        """What the layer holds now is no edit: call it after writing to a watched layer oneself."""
        watched = self._find(layer)
        if watched is not None:
            watched.accepted, watched.sure = True, False
            self._note(watched)

    def changes(self, layer: Labels) -> int | None:
        """A count that goes up with every change of a watched layer, for :meth:`exported`."""
        watched = self._find(layer)
        return None if watched is None else watched.changes

    def exported(self, layer: Labels, changes: int | None) -> None:
        """Remove what was kept of a layer whose labels are in a file of the user's.

        ``changes``: as it was when they were taken for that file; if there were more since, all is kept.
        """
        watched = self._find(layer)
        if watched is None or watched.changes != changes:
            return
        self._join()
        if watched.entry is not None:
            recovery.discard(watched.entry)
            watched.entry = None
        self.accept(layer)

    def forget(self, layer: Labels) -> None:
        """Stop watching a layer, with nothing pending left unsaved; what was kept of it stays."""
        watched = self._find(layer)
        if watched is None:
            return
        self._join()
        if watched.first is not None:
            self._run_here(watched)
        self._drop(watched)

    def flush(self) -> None:
        """Save what is pending, before this returns."""
        self._join()
        for watched in list(self._watched):
            if watched.first is not None:
                self._run_here(watched)

    def close(self) -> None:
        """Save what is pending and end the session; edits that were not exported are offered the next time."""
        self._timer.stop()
        self._looks.stop()
        self.flush()
        for watched in list(self._watched):
            self._drop(watched)
        with suppress(RuntimeError, TypeError, ValueError):
            self.viewer.layers.events.removed.disconnect(self._on_removed)
        recovery.close(self.session)

    def _find(self, layer: Any) -> Watched | None:
        return next((watched for watched in self._watched if watched.layer is layer), None)

    def _on_edit(self, watched: Watched) -> None:
        watched.sure = True
        self._note(watched)

    def _on_perhaps(self, watched: Watched) -> None:
        self._note(watched)

    def _on_move(self, watched: Watched) -> None:
        if watched.entry is not None:  # a layer without edits may lie anywhere
            self._on_edit(watched)

    def _drop(self, watched: Watched) -> None:
        for emitter, callback in watched.connections:
            emitter.disconnect(callback)
        self._watched.remove(watched)

    def _on_removed(self, event: Any) -> None:
        watched = self._find(event.value)
        if watched is None:
            return
        watched.gone = True
        if watched.first is None:
            self._drop(watched)
        else:
            watched.first = watched.last = 0.0
            self._schedule()

    def _note(self, watched: Watched) -> None:
        now = time.monotonic()
        watched.changes += 1
        watched.first = now if watched.first is None else watched.first
        watched.last = now
        self._schedule()

    def _look_at_all(self) -> None:
        for watched in self._watched:
            if watched.first is None and watched.layer.data.nbytes <= COPIED_BYTES:
                watched.first = watched.last = time.monotonic() - LATEST_SECONDS
        self._schedule()

    def _schedule(self) -> None:
        due = [time_due for watched in self._watched if (time_due := watched.due()) is not None]
        if due and self._thread is None:
            self._timer.start(max(0, int(1000 * (min(due) - time.monotonic())) + 1))

    def _start_due(self) -> None:
        due = [watched for watched in self._watched if watched.first is not None]
        if not due or self._thread is not None:
            return
        watched = min(due, key=lambda each: each.due() or 0.0)
        if (watched.due() or 0.0) > time.monotonic():
            self._schedule()
            return
        look = self._take_look(watched)
        self._thread = threading.Thread(target=self._work, args=(look,), name="autosave")
        self._thread.start()

    def _take_look(self, watched: Watched) -> Look:
        layer = watched.layer
        accept = watched.accepted and not watched.sure
        look = Look(watched, layer.data, layer.name, layer_attributes(layer), watched.sure, accept, watched.changes)
        watched.first, watched.sure, watched.accepted = None, False, False
        return look

    def _work(self, look: Look) -> None:
        self._results.append((look, look.outcome(self.session)))
        with suppress(RuntimeError):  # the window is gone
            self._finished.emit()

    def _run_here(self, watched: Watched) -> None:
        look = self._take_look(watched)
        self._results.append((look, look.outcome(self.session)))
        self._take_results()

    def _join(self) -> None:
        if self._thread is not None:
            self._thread.join()
        self._take_results()

    def _take_results(self) -> None:
        while self._results:
            look, outcome = self._results.popleft()
            if self._thread is not None:
                self._thread.join()  # it has given its result, and is gone at once
                self._thread = None
            self._take(look, outcome)
        self._schedule()

    def _take(self, look: Look, outcome: Any) -> None:
        watched = look.watched
        if isinstance(outcome, Exception):
            self._take_trouble(look, outcome)
        else:
            checksum, entry = outcome
            # Of a layer that changed while it was looked at, nobody knows from when the checksum is.
            if entry is not None or watched.changes == look.changes:
                watched.known = checksum
            elif look.accept and not watched.sure:
                watched.accepted = True
            if entry is not None:
                watched.entry = entry
                self._told.clear()
                self.saved.emit(look.name)
        if watched.gone and watched.first is None and watched in self._watched:
            self._drop(watched)

    def _take_trouble(self, look: Look, trouble: Exception) -> None:
        # Room may come back: tried again with the next look. What is too large stays so until the next edit.
        look.watched.sure |= isinstance(trouble, OSError)
        text = f"Edits of {look.name!r} are not autosaved. {explain(trouble)}"
        if text not in self._told:
            self._told.add(text)
            self.failed.emit(text)


def _connect(watched: Watched, emitter: Any, note: Callable[[Watched], None]) -> None:
    def on_event(event: Any = None) -> None:
        note(watched)

    emitter.connect(on_event)
    watched.connections.append((emitter, on_event))
