"""Which labels are refined, of which image, seen by which model; and what happens to them by other hands."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from napari_what_where.activations.catalogue import BUILT_IN
from napari_what_where.widgets.refine.history import bound_history
from napari_what_where.widgets.refine.target import HELPER, image_layers, labels_layers
from napari_what_where.widgets.source import shown_axes

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_what_where.widgets.refine.dock import RefineDock


FIRST = 1
"""The selected label that napari begins with: nobody has chosen it."""


class Choices:
    """Keeps the dock's lists as the viewer's, follows the active Labels layer, and listens to what happens to it."""

    def __init__(self, dock: RefineDock) -> None:
        self._dock = dock
        self._viewer, self._panel = dock.viewer, dock.panel
        self.layer: Labels | None = None
        self._labels: list[Any] = []
        self._images: list[Any] = []
        self._state: Any = None
        self._selected = FIRST
        self._label_chosen: weakref.WeakSet[Any] = weakref.WeakSet()
        """Layers whose selected label somebody chose."""
        self._connections: list[tuple[Any, Any]] = []
        self._named: list[tuple[Any, Any]] = []
        for name in ("filters", BUILT_IN.name):
            self._panel.model.addItem(name, name)
        layers = self._viewer.layers
        self._general = [
            (layers.events.inserted, self._refresh),
            (layers.events.removed, self._refresh),
            (layers.events.reordered, self._refresh),
            (layers.selection.events.active, self._follow),
            (self._viewer.dims.events.ndisplay, self._on_dims),
            (self._viewer.dims.events.order, self._on_dims),
        ]
        for emitter, callback in self._general:
            emitter.connect(callback)
        self._panel.labels.currentIndexChanged.connect(self._on_labels)
        self._refresh()
        self._follow()

    @property
    def image(self) -> Any:
        """The image that was chosen; None for automatic."""
        index = self._panel.image.currentIndex() - 1
        return self._images[index] if 0 <= index < len(self._images) else None

    @property
    def model(self) -> str:
        """Name of the model that looks at images."""
        return str(self._panel.model.currentData())

    def chosen_label(self, layer: Labels) -> int | None:
        """The selected label of a layer if somebody chose it, a tool or napari's own controls, and it is an object."""
        label = int(layer.selected_label)
        return label if label > 0 and (label != FIRST or layer in self._label_chosen) else None

    def note_choice(self, layer: Labels) -> None:
        """The selected label of a layer is chosen now."""
        self._label_chosen.add(layer)

    def close(self) -> None:
        """Listen no more."""
        self._take(None)
        for emitter, callback in self._general:
            emitter.disconnect(callback)
        self._drop_names()

    def _refresh(self, event: Any = None) -> None:
        image, layer = self.image, self.layer
        self._labels, self._images = labels_layers(self._viewer), image_layers(self._viewer)
        self._drop_names()
        for each in (*self._labels, *self._images):
            each.events.name.connect(self._refresh)
            self._named.append((each.events.name, self._refresh))
        _fill(self._panel.labels, [each.name for each in self._labels])
        _fill(self._panel.image, ["automatic", *(each.name for each in self._images)])
        self._panel.image.setCurrentIndex(1 + self._images.index(image) if image in self._images else 0)
        chosen = layer if layer in self._labels else next(iter(self._labels), None)
        _show(self._panel.labels, self._labels.index(chosen) if chosen is not None else -1)
        self._take(chosen)
        self._dock.on_layers_changed()

    def _follow(self, event: Any = None) -> None:
        """The active layer is the one to refine, if it is one that can be."""
        active = self._viewer.layers.selection.active
        if active in self._labels and active is not self.layer:
            _show(self._panel.labels, self._labels.index(active))
            self._take(active)

    def _on_labels(self, index: int) -> None:
        if 0 <= index < len(self._labels):
            self._take(self._labels[index])
            if self.layer is not None:
                self._viewer.layers.selection.active = self.layer

    def _take(self, layer: Labels | None) -> None:
        """Refine another layer from now on."""
        self._panel.set_ready(layer is not None)
        if layer is self.layer:
            return
        self._dock.leave_tool()
        for emitter, callback in self._connections:
            emitter.disconnect(callback)
        self._connections.clear()
        if self.layer is not None:
            self._heed_picker(self.layer, False)
        self.layer = layer
        if layer is not None:
            listeners = {
                "paint": self._on_paint,
                "set_data": self._on_drawn,
                "data": self._on_data,
                "mode": self._on_mode,
                "features": self._on_features,
                "selected_label": self._on_selected,
            }
            for name, callback in listeners.items():
                emitter = getattr(layer.events, name)
                emitter.connect(callback)
                self._connections.append((emitter, callback))
            self._state, self._selected = _history_state(layer), int(layer.selected_label)
            self._heed_picker(layer, str(layer.mode) == "pick")
            self._show_planes()
        self._dock.objects.refresh_soon()

    def _show_planes(self) -> None:
        """Offer the choice of planes where there are several."""
        layer = self.layer
        if layer is not None:
            axes = shown_axes(self._viewer, layer.ndim)
            sizes = () if layer.multiscale else layer.data.shape
            self._panel.planes.setVisible(any(size > 1 for axis, size in enumerate(sizes) if axis not in axes))

    def _drop_names(self) -> None:
        for emitter, callback in self._named:
            emitter.disconnect(callback)
        self._named.clear()

    # By other hands

    def _on_paint(self, event: Any) -> None:
        assert self.layer is not None
        self._dock.highest.note(self.layer, event.value)
        bound_history(self.layer)
        self._state = _history_state(self.layer)
        self._dock.on_labels_changed(foreign=True)

    def _on_drawn(self, event: Any = None) -> None:
        """Drawn anew: another plane, or undone, or done again, or changed by a script that then refreshed."""
        if self.layer is None:
            return
        state = _history_state(self.layer)
        foreign, self._state = state != self._state, state
        self._dock.on_labels_changed(foreign=foreign)

    def _on_data(self, event: Any = None) -> None:
        if self.layer is not None:
            self._dock.highest.forget(self.layer)
            self._show_planes()
            self._dock.on_labels_changed(foreign=True)

    def _on_mode(self, event: Any = None) -> None:
        """The user has taken up one of napari's own tools."""
        if self.layer is not None:
            self._heed_picker(self.layer, str(self.layer.mode) == "pick")
        if self.layer is not None and str(self.layer.mode) != "pan_zoom" and self._dock.active is not None:
            self._dock.leave_tool()
            self._dock.say(f"napari’s own tool: {self.layer.mode}.")

    def _on_selected(self, event: Any = None) -> None:
        """Napari tells of it also when only the colours are other ones."""
        if self.layer is not None and self.layer.selected_label != self._selected:
            self._selected = int(self.layer.selected_label)
            self.note_choice(self.layer)

    def _heed_picker(self, layer: Labels, on: bool) -> None:
        """Note clicks of napari's own picker: of the label that is selected already it tells nothing."""
        with suppress(ValueError):
            layer.mouse_drag_callbacks.remove(self._on_pick)
        if on:
            layer.mouse_drag_callbacks.append(self._on_pick)

    def _on_pick(self, layer: Labels, event: Any) -> None:
        self.note_choice(layer)

    def _on_features(self, event: Any = None) -> None:
        self._dock.objects.show_names()

    def _on_dims(self, event: Any = None) -> None:
        self._show_planes()
        self._dock.on_labels_changed(foreign=True)


def _history_state(layer: Labels) -> tuple[int, int, int]:
    """What changes with every step of undo and redo."""
    undo, redo = layer._undo_history, layer._redo_history
    return len(undo), len(redo), id(undo[-1]) if undo else 0


def _fill(combo: Any, texts: list[str]) -> None:
    combo.blockSignals(True)
    combo.clear()
    combo.addItems(texts)
    combo.blockSignals(False)


def _show(combo: Any, index: int) -> None:
    combo.blockSignals(True)
    combo.setCurrentIndex(index)
    combo.blockSignals(False)


__all__ = ["HELPER", "Choices"]
