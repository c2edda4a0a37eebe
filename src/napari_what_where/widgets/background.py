"""One click says what is background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.widgets.picking import pixel_at
from napari_what_where.widgets.results import collect

if TYPE_CHECKING:
    from napari_what_where.widgets.dock import WhatWhereDock


class BackgroundPicker:
    """While the dock's Background button is down, a click on a segment or object makes it 0, and again undoes it."""

    def __init__(self, dock: WhatWhereDock) -> None:
        self._dock = dock

    def listen(self, wanted: bool) -> None:
        """Begin or end to take clicks."""
        dock = self._dock
        if not wanted:
            dock.picker.stop()
            return
        dock.panel.inputs.size.draw.setChecked(False)
        layer = dock.session.labels_layer
        if layer is None:
            dock.panel.background.setChecked(False)
            dock.panel.say("There is nothing to click on; press Run first.", problem=True)
            return
        layer.mode = "pan_zoom"  # a brush would paint with the same click
        dock.picker.pick(self._click)
        dock.panel.say("Click what is background; drag to move the picture, press the button again to end.")

    def _click(self, world: np.ndarray) -> None:
        dock = self._dock
        layer, findings = dock.session.labels_layer, dock.session.findings
        if layer is None or findings is None or dock.task is not None:
            return
        if dock.viewer.dims.ndisplay != 2:
            dock.panel.say("Switch to the 2D view to click on segments.", problem=True)
            return
        place = pixel_at(findings.source, layer, world)
        if place is None:
            dock.panel.say("That is outside of the image.")
        elif dock.session.touched:
            dock.panel.say(self._clear(place))
        else:
            dock.panel.say(dock.session.toggle_background(*place))

    def _clear(self, place: tuple[int, int, int]) -> str:
        """In a layer that the user has edited: an edit like any other, undone by napari's own undo."""
        dock = self._dock
        layer, findings = dock.session.labels_layer, dock.session.findings
        assert layer is not None and findings is not None
        source = findings.source
        planes = collect(np.asarray(layer.data), source)
        rows, columns = planes.shape[1:]
        row, column = place[1] * rows // source.shape[0], place[2] * columns // source.shape[1]
        label = int(planes[place[0], row, column])
        if label == 0:
            return "It is background already; Ctrl-Z undoes."
        where = np.asarray(layer.data) == label
        if source.plane_axis is not None and not source.linked:
            only = np.zeros_like(where)
            index = (slice(None),) * source.plane_axis + (place[0],)
            only[index] = where[index]
            where = only
        layer.data_setitem(np.nonzero(where), 0)
        return f"Label {label} is background now, in your edited layer; Ctrl-Z undoes."
