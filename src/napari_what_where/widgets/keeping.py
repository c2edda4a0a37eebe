"""That nothing is lost when a window or the dock is closed: runs are stopped, edits saved, and offered again."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QWidget

from napari_what_where.widgets.autosaving import Autosaver
from napari_what_where.widgets.recovering import offer_recovery

if TYPE_CHECKING:
    from napari_what_where.widgets.dock import WhatWhereDock

_CLOSING = (QEvent.Type.Close, QEvent.Type.DeferredDelete)


class Keeper(QObject):
    """Autosaving of the dock's layers, and what happens when there is no dock any more."""

    def __init__(self, dock: WhatWhereDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.autosaver = Autosaver(dock.viewer)
        self.autosaver.setParent(dock)  # so that it goes with the window, with all that it listens to
        self.autosaver.failed.connect(self._tell)
        self.recovery = offer_recovery(dock.viewer, self.autosaver, dock)
        dock.panel.notices.addWidget(self.recovery)
        # Weak: a window that its own dock holds would never go.
        self._window: weakref.ref[QWidget] | None = None
        dock.installEventFilter(self)

    def note(self, layer: Any, *, new: bool, edited: bool) -> None:
        """We wrote a Labels layer; ``edited``: with what the user said of it in it."""
        if new:
            self.autosaver.watch(layer)
        elif not edited:
            self.autosaver.accept(layer)

    def watch_window(self) -> None:
        """Watch for the closing of the window that the dock is in now."""
        window = _main_window(self._dock)
        self._window = weakref.ref(window)
        window.installEventFilter(self)  # once is enough; more often does no harm

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Stop what is running, and save what is not saved yet, when the window or the dock is closed."""
        if event.type() == QEvent.Type.Show and watched is self._dock:
            self.watch_window()
        elif event.type() in _CLOSING or self._taken_out(watched, event):
            self._dock.stop()
            self.autosaver.flush()
            if watched is self._dock and event.type() == QEvent.Type.DeferredDelete:
                self._leave()
        return bool(super().eventFilter(watched, event))

    def _taken_out(self, watched: Any, event: Any) -> bool:
        """Whether napari has just taken the dock out of its window, as the cross of its title bar does.

        It is not deleted then as long as something that runs holds it.
        """
        return bool(
            watched is self._dock and event.type() == QEvent.Type.ParentChange and self._dock.parentWidget() is None
        )

    def _leave(self) -> None:
        """Without the dock, edits of its layers are saved as long as the window is there."""
        window = None if self._window is None else self._window()
        if window is not None and window is not self._dock and window.isVisible():
            self.autosaver.setParent(window)
        else:
            self.autosaver.close()

    def _tell(self, said: str) -> None:
        self._dock.panel.say(said, problem=True)


def _main_window(widget: QWidget) -> QWidget:
    """The main window that a dock belongs to, also while it floats."""
    ancestor = widget
    while ancestor.parentWidget() is not None:
        ancestor = ancestor.parentWidget()
    return ancestor
