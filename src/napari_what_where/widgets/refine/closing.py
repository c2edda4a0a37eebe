"""When the dock or its window goes, so do its keys, callbacks, helper layers and tasks; edits are saved before."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject

from napari_what_where.widgets.keeping import _CLOSING, _main_window

if TYPE_CHECKING:
    from napari_what_where.widgets.refine.dock import RefineDock


class Closing(QObject):
    """Watches for the end of the dock, and of the window that it is in."""

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self._gone = False
        # Weak: a window that its own dock holds would never go.
        self._window: weakref.ref[Any] | None = None
        dock.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Clear up when the dock is taken out of its window, or either is closed."""
        kind = event.type()
        if watched is self._dock and kind == QEvent.Type.Show:
            window = _main_window(self._dock)
            self._window = weakref.ref(window)
            window.installEventFilter(self)
        elif kind in _CLOSING or (watched is self._dock and self._taken_out(kind)):
            self.leave()
        return bool(super().eventFilter(watched, event))

    def leave(self) -> None:
        """Clear up, once."""
        if self._gone:
            return
        self._gone = True
        dock = self._dock
        dock.objects.stop()
        dock.work.close()
        dock.leave_tool()
        dock.mouse.stop()
        dock.keys.release()
        dock.choices.close()
        dock.guides.close()
        dock.saving.close()

    def _taken_out(self, kind: Any) -> bool:
        """Whether napari has just taken the dock out of its window, as the cross of its title bar does."""
        return bool(kind == QEvent.Type.ParentChange and self._dock.parentWidget() is None)
