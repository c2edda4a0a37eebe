"""Keeps the dock's lists of images as the viewer's, and stops what runs when the dock or its window is closed."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject

from napari_what_where.widgets.choosing import _images
from napari_what_where.widgets.keeping import _CLOSING, _main_window

if TYPE_CHECKING:
    from napari_what_where.widgets.collection.dock import CollectionDock

_FOLLOWED = ("name", "axis_labels", "units", "scale")


class Watch(QObject):
    """Which image layers there are and which are selected, where the slider is, and the end of it all."""

    def __init__(self, dock: CollectionDock) -> None:
        super().__init__(dock)
        self._dock, self._viewer = dock, dock.viewer
        self.images: list[Any] = []
        # Weak: a window that its own dock holds would never go.
        self._window: weakref.ref[Any] | None = None
        layers = self._viewer.layers
        self._connections: list[tuple[Any, Callable[..., None]]] = [
            (layers.events.inserted, self._follow_new),
            (layers.events.removed, self._forget),
            (layers.events.reordered, self._refresh),
            (layers.selection.events.changed, self._refresh),
            (layers.selection.events.active, self._follow_selection),
            (self._viewer.dims.events.current_step, self._on_step),
        ]
        for event, callback in self._connections:
            event.connect(callback)
        for layer in layers:
            self._follow(layer)
        dock.installEventFilter(self)
        self._refresh()
        self._follow_selection()

    def selected(self) -> list[Any]:
        """The image layers that are selected in the layer list, in its order."""
        return [layer for layer in self.images if layer in self._viewer.layers.selection]

    def target(self) -> Any:
        """The layer that the kinds are to be applied to, or None."""
        index = self._dock.panel.target.currentIndex()
        return self.images[index] if 0 <= index < len(self.images) else None

    def watch_window(self) -> None:
        """Watch for the closing of the window that the dock is in now."""
        window = _main_window(self._dock)
        self._window = weakref.ref(window)
        window.installEventFilter(self)  # once is enough; more often does no harm

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Leave the viewer alone once the dock or its window is closed, or the dock taken out of it."""
        kind = event.type()
        if watched is self._dock and kind == QEvent.Type.Show:
            self.watch_window()
        taken_out = watched is self._dock and kind == QEvent.Type.ParentChange and self._dock.parentWidget() is None
        if kind in _CLOSING or taken_out:
            self._leave()
        return bool(super().eventFilter(watched, event))

    def _leave(self) -> None:
        connections, self._connections = self._connections, []
        for event, callback in connections:
            event.disconnect(callback)
        if connections:
            for layer in self._viewer.layers:
                self._unfollow(layer)
            self._dock.stop()

    def _follow_new(self, event: Any) -> None:
        self._follow(event.value)
        self._refresh()

    def _follow(self, layer: Any) -> None:
        for name in _FOLLOWED:
            getattr(layer.events, name).connect(self._refresh)

    def _forget(self, event: Any) -> None:
        self._unfollow(event.value)
        self._refresh()

    def _unfollow(self, layer: Any) -> None:
        for name in _FOLLOWED:
            getattr(layer.events, name).disconnect(self._refresh)

    def _follow_selection(self, event: Any = None) -> None:
        active, panel = self._viewer.layers.selection.active, self._dock.panel
        if active in self.images:
            panel.inputs.stack.choose((active,))
            panel.target.setCurrentIndex(self.images.index(active))

    def _refresh(self, event: Any = None) -> None:
        panel, before = self._dock.panel, self.target()
        self.images = _images(self._viewer)
        panel.inputs.stack.offer([layer for layer in self.images if layer.ndim > 2])
        panel.inputs.offer_selected(self.selected())
        panel.inputs.show_rows()
        panel.target.blockSignals(True)
        panel.target.clear()
        panel.target.addItems([layer.name for layer in self.images])
        if before in self.images:
            panel.target.setCurrentIndex(self.images.index(before))
        panel.target.blockSignals(False)
        self._dock.show_ready()

    def _on_step(self, event: Any = None) -> None:
        self._dock.show_current()
