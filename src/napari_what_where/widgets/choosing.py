"""What the user chose to run on: layers of the viewer, axes, part, and the size of things."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_what_where.widgets.parts import part_in_shapes, part_on_screen
from napari_what_where.widgets.results import METADATA_KEY
from napari_what_where.widgets.source import Source, Use, check_together, source_of

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_what_where.widgets.dock import WhatWhereDock

NO_IMAGE = "Open an image first: File ▸ Open File(s), or File ▸ Open Sample ▸ What & Where."


class Chooser:
    """Keeps the dock's list of images as the viewer's, and makes a source of what is chosen."""

    def __init__(self, dock: WhatWhereDock) -> None:
        self._dock = dock
        self._viewer, self._panel = dock.viewer, dock.panel
        dock.panel.inputs.size.draw.toggled.connect(self._measure)
        layers = self._viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            event.connect(self._refresh)
        layers.events.inserted.connect(self._follow_layer)
        for layer in layers:
            self._follow(layer)
        layers.selection.events.changed.connect(self._refresh)
        layers.selection.events.active.connect(self._follow_selection)
        self._refresh()
        self._follow_selection()

    def find_source(self) -> Source:
        """What is chosen to run on. Raises ``ValueError``, in words, where that cannot be."""
        inputs = self._panel.inputs
        layers = inputs.layers()
        if not layers or any(layer not in self._viewer.layers for layer in layers):
            raise ValueError(NO_IMAGE)
        channel_axis, planes = inputs.channels.currentData(), inputs.planes.currentData()
        plane_axis, linked = planes or (None, False)
        find_part = {"screen": part_on_screen, "shape": part_in_shapes}.get(inputs.part.currentData())
        part = None if find_part is None else find_part(self._viewer, layers[0], channel_axis)
        return source_of(self._viewer, layers, Use(channel_axis, plane_axis, linked, part, inputs.size.pixels))

    def settings_for(self, source: Source) -> dict[str, Any]:
        """The options of ``analyze``, in the pixels of the source."""
        settings = self._panel.settings()
        size = settings["smallest_object"]
        return settings | {"smallest_object": None if size is None else size / source.factor}

    def _follow_layer(self, event: Any) -> None:
        self._follow(event.value)

    def _follow(self, layer: Any) -> None:
        for event in (layer.events.name, layer.events.axis_labels, layer.events.units, layer.events.scale):
            event.connect(self._refresh)

    def _refresh(self, event: Any = None) -> None:
        images = _images(self._viewer)
        chosen = [layer for layer in images if layer in self._viewer.layers.selection]
        try:
            check_together(chosen or images[:1])
        except (ValueError, IndexError):
            chosen = []
        self._panel.inputs.offer(images, tuple(chosen))
        self._dock.estimator.refresh_soon()

    def _follow_selection(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active is not None:
            self._panel.choose_image(active)

    def _measure(self, wanted: bool) -> None:
        """Let the user draw the smallest object on the image."""
        layer, draw = self._panel.image_layer(), self._panel.inputs.size.draw
        if not wanted:
            self._dock.picker.stop()
            return
        if layer is None:
            draw.setChecked(False)
            self._panel.say(NO_IMAGE, problem=True)
            return
        self._panel.background.setChecked(False)

        def take(pixels: float) -> None:
            draw.setChecked(False)
            if pixels >= 1:
                self._panel.inputs.size.set_pixels(pixels)
            self._panel.say(f"The smallest object is {pixels:.0f} px across." if pixels >= 1 else "Drag over it.")

        self._panel.say("Press at one end of the smallest thing you care about, and drag to the other.")
        self._dock.picker.measure(layer, take)


def _images(viewer: Viewer) -> list[Any]:
    from napari.layers import Image

    # Our own eigenvectors and composites are results, not images to analyse.
    return [layer for layer in viewer.layers if isinstance(layer, Image) and METADATA_KEY not in layer.metadata]
