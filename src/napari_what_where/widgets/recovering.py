"""Edits that a crash or a closed window left behind, offered again."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_what_where.failures import explain
from napari_what_where.files import recovery

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_what_where.widgets.autosaving import Autosaver

SUFFIX = " (recovered)"


class RecoveryBar(QWidget):
    """One row that offers, one after the other, edits that were neither exported nor discarded.

    Hidden unless there are any. Files are read in a thread; ``restored`` is emitted with each layer that was made.
    """

    restored = Signal(object)
    _finished = Signal()

    def __init__(self, viewer: Viewer, autosaver: Autosaver, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer, self._autosaver = viewer, autosaver
        self.entries: list[recovery.Entry] = []
        self._thread: threading.Thread | None = None
        self._answers: deque[tuple[Callable[[Any], None], Any]] = deque()
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.restore = QPushButton("Restore")
        self.restore.setToolTip("Add them as a Labels layer")
        self.discard = QPushButton("Discard")
        self.discard.setToolTip("Delete them for good")
        buttons = QHBoxLayout()
        buttons.addStretch()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        for button, act in ((self.restore, self._restore), (self.discard, self._discard)):
            buttons.addWidget(button)
            button.clicked.connect(act)
        self._finished.connect(self._take_answers)
        self.hide()

    def look(self) -> None:
        """Look for edits that nobody owns any more, and show up if there are any."""
        self._in_thread(recovery.abandoned, self._show)

    def wait(self) -> None:
        """Return when nothing is being read any more."""
        if self._thread is not None:
            self._thread.join()
        self._take_answers()

    def _show(self, entries: list[recovery.Entry] | Exception) -> None:
        self.entries = [] if isinstance(entries, Exception) else entries
        self._show_first()

    def _show_first(self, trouble: str = "") -> None:
        offer = describe(self.entries) if self.entries else ""
        self.text.setText("\n".join(filter(None, (trouble, offer))))
        for button in (self.restore, self.discard):
            button.setEnabled(True)
            button.setVisible(bool(self.entries))
        self.setVisible(bool(self.entries or trouble))

    def _discard(self) -> None:
        recovery.discard(self.entries.pop(0))
        self._show_first()

    def _restore(self) -> None:
        entry = self.entries[0]
        self.restore.setEnabled(False)
        self.discard.setEnabled(False)

        def read() -> Any:
            labels = recovery.load(entry)
            # Ours from here on: no other window is offered it, and it is there until edits of the new layer replace it.
            return labels, recovery.adopt(entry, self._autosaver.session, entry.path.stem)

        self._in_thread(read, self._add)

    def _add(self, answer: Any) -> None:
        entry = self.entries.pop(0)
        if isinstance(answer, Exception):
            self._show_first(f"Edits of {entry.name!r} cannot be restored. {explain(answer)}")
            return
        labels, adopted = answer
        layer = _add_labels(self._viewer, labels, adopted)
        self._autosaver.watch(layer, adopted)
        self._show_first()
        self.restored.emit(layer)

    def _in_thread(self, work: Callable[[], Any], take: Callable[[Any], None]) -> None:
        def run() -> None:
            try:
                answer = work()
            except Exception as error:  # a thread has nobody to raise to
                answer = error
            self._answers.append((take, answer))
            with suppress(RuntimeError):  # the window is gone
                self._finished.emit()

        self._thread = threading.Thread(target=run, name="recovery")
        self._thread.start()

    def _take_answers(self) -> None:
        while self._answers:
            take, answer = self._answers.popleft()
            if self._thread is not None:
                self._thread.join()  # it has given its answer, and is gone at once
                self._thread = None
            take(answer)


def offer_recovery(viewer: Viewer, autosaver: Autosaver, parent: QWidget | None = None) -> RecoveryBar:
    """A bar that shows up within moments if there are edits to offer; to be placed by the caller."""
    bar = RecoveryBar(viewer, autosaver, parent)
    bar.look()
    return bar


def describe(entries: list[recovery.Entry], now: datetime | None = None) -> str:
    """What the first of the entries is, and how many more there are."""
    entry, today = entries[0], (now or datetime.now()).astimezone().date()
    saved = entry.saved_at.astimezone()
    when = saved.strftime("%H:%M") if saved.date() == today else saved.strftime("%d %B, %H:%M").lstrip("0")
    more = f" ({len(entries) - 1} more)" if len(entries) > 1 else ""
    return f"Edits of {entry.name!r} from {when} were not saved{more}."


def _add_labels(viewer: Viewer, labels: Any, entry: recovery.Entry) -> Labels:
    """A Labels layer where the lost one was; where a napari of another version does not take that, at the origin."""
    name = entry.name.removesuffix(SUFFIX) + SUFFIX
    try:
        return viewer.add_labels(labels, name=name, **entry.layer)
    except Exception:
        return viewer.add_labels(labels, name=name)
