"""Keeps the Export dock's lists of layers as the viewer's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Signal

from napari_what_where.files.many import file_stem
from napari_what_where.widgets.export.layers import axis_letters, describe_scale, describe_stack, placed_in
from napari_what_where.widgets.export.panel import Panel
from napari_what_where.widgets.refine.target import labels_layers
from napari_what_where.widgets.results import METADATA_KEY

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import Viewer

_FOLLOWED = ("name", "scale", "units", "axis_labels", "data", "translate")
NO_IMAGE = "none"


class LayerWatch(QObject):
    """Which Labels layers there are, which is chosen, and which images it may lie in."""

    ending = Signal()
    """The dock or its window is closed."""

    def __init__(self, viewer: Viewer, panel: Panel, changed: Callable[[], None]) -> None:
        super().__init__()
        self._viewer, self._panel, self._changed = viewer, panel, changed
        self._labels: list[Labels] = []
        self._images: list[Image | None] = [None]
        self._shown: Labels | None = None
        self._declined = False
        self._picked: Image | None = None
        events = viewer.layers.events
        self._connections: list[tuple[Any, Callable[..., None]]]
        self._connections = [(event, self._refresh) for event in (events.removed, events.reordered)]
        self._connections += [(events.inserted, self._follow_new)]
        self._connections += [(viewer.layers.selection.events.active, self._follow_selection)]
        for event, callback in self._connections:
            event.connect(callback)
        for layer in viewer.layers:
            self._follow(layer)
        panel.layer.currentIndexChanged.connect(self._show_layer)
        panel.every.toggled.connect(self._show_layer)
        panel.image.activated.connect(self._decline)

    def refresh(self) -> None:
        """Show the layers as they are now."""
        self._refresh()
        self._follow_selection()

    def chosen(self) -> Labels | None:
        """The layer that is chosen."""
        index = self._panel.layer.currentIndex()
        return self._labels[index] if 0 <= index < len(self._labels) else None

    def wanted(self) -> list[Labels]:
        """Those to write."""
        if self._panel.every.isChecked():
            return list(self._labels)
        layer = self.chosen()
        return [] if layer is None else [layer]

    def image_for(self, layer: Labels) -> Image | None:
        """The image that a layer is written with: for the layer that is chosen the one shown; for others their own."""
        index = self._panel.image.currentIndex()
        image = self._images[index] if 0 <= index < len(self._images) else None
        if image is None or (layer is self.chosen() and placed_in(layer, image) is not None):
            return image
        return _best(layer, self._images, self._viewer.layers)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Leave the viewer alone once the dock is closed, or taken out of its window."""
        taken_out = event.type() == QEvent.Type.ParentChange and watched.parentWidget() is None
        if taken_out or event.type() in (QEvent.Type.Close, QEvent.Type.DeferredDelete):
            self.leave()
        return bool(super().eventFilter(watched, event))

    def leave(self) -> None:
        """Hear nothing of the viewer any more."""
        self.ending.emit()
        for event, callback in self._connections:
            event.disconnect(callback)
        self._connections = []

    def _follow_new(self, event: Any) -> None:
        self._follow(event.value)
        self._refresh()

    def _follow(self, layer: Any) -> None:
        for name in _FOLLOWED:
            event = getattr(layer.events, name)
            event.connect(self._refresh)
            self._connections.append((event, self._refresh))

    def _follow_selection(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active in self._labels:
            self._panel.layer.setCurrentIndex(self._labels.index(active))

    def _refresh(self, event: Any = None) -> None:
        before = self.chosen()
        self._labels = labels_layers(self._viewer)  # without strokes and previews of ours
        combo = self._panel.layer
        combo.blockSignals(True)
        combo.clear()
        combo.addItems([layer.name for layer in self._labels])
        if before in self._labels:
            combo.setCurrentIndex(self._labels.index(before))
        combo.blockSignals(False)
        self._panel.every.setText(f"All Labels layers ({len(self._labels)})")
        self._show_layer()

    def _show_layer(self, *_: object) -> None:
        """Show what is known of the chosen layer, and offer the images that it may lie in."""
        panel, layer = self._panel, self.chosen()
        panel.export.setEnabled(layer is not None)
        self._offer_images()
        new, self._shown = layer is not self._shown, layer
        if layer is None:
            panel.scale.setText("")
            panel.stack.setText("")
        else:
            if new:
                panel.name.setText(file_stem(layer.name))
            self._describe(layer)
        if layer is not None and not panel.folder.text():
            panel.folder.setText(_folder_of(self.image_for(layer)))
        self._changed()

    def _describe(self, layer: Labels) -> None:
        panel = self._panel
        try:
            stacks = any(axis_letters(each) != "YX" for each in self.wanted())
            panel.scale.setText(describe_scale(layer))
            panel.stack.setText(describe_stack(layer))
        except ValueError as problem:
            stacks = True
            panel.stack.setText(str(problem))
        panel.stack.setVisible(bool(panel.stack.text()))
        panel.offer_formats(stacks=stacks)

    def _decline(self, index: int) -> None:
        """The user chose an image, or none."""
        self._declined, self._picked = index == 0, self._images[index]

    def _offer_images(self) -> None:
        """Those that any of the layers to write lies in; what the user picked stays, be it none."""
        from napari.layers import Image

        layer, combo = self.chosen(), self._panel.image
        images = [each for each in self._viewer.layers if isinstance(each, Image) and METADATA_KEY not in each.metadata]
        wanted = self.wanted()
        fitting = [each for each in images if any(placed_in(one, each) is not None for one in wanted)]
        self._images = [None, *fitting]
        best = None if layer is None else _best(layer, fitting, self._viewer.layers)
        chosen = self._picked if self._picked in fitting else best or next(iter(fitting), None)
        combo.blockSignals(True)
        combo.clear()
        combo.addItems([NO_IMAGE, *(each.name for each in fitting)])
        combo.setCurrentIndex(0 if self._declined else self._images.index(chosen))
        combo.blockSignals(False)


def _best(layer: Labels, images: Sequence[Image | None], layers: Sequence[Any]) -> Image | None:
    """Of the images that a layer lies in the one whose name it carries on, the longest ("cells_10", not "cells_1");
    else the nearest below it in the viewer's list, else the nearest above.
    """
    own = layers.index(layer)

    def rank(image: Image) -> tuple[int, bool, int]:
        place = layers.index(image)
        carried = len(image.name) if layer.name.startswith(image.name) else 0
        return carried, place < own, -abs(place - own)

    fitting = [image for image in images if image is not None and placed_in(layer, image) is not None]
    return max(fitting, key=rank, default=None)


def _folder_of(image: Image | None) -> str:
    """That of the image's file, if it is from one; else empty."""
    path = None if image is None else image.source.path
    return "" if not path or not Path(path).exists() else str(Path(path).parent)
