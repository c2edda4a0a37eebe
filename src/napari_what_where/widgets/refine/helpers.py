"""Layers of ours that help to make an edit, and go with it: strokes, and a preview of what they would do."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.refine.target import HELPER, Plane

if TYPE_CHECKING:
    from napari.layers import Labels


def add_helper(viewer: Any, plane: Plane, kind: str, data: np.ndarray, **attributes: Any) -> Labels:
    """A Labels layer over the plane: (rows, columns) ``data``, named after the layer and what ``kind`` it is.

    The layer that was active stays so.
    """
    layer = plane.layer
    before = list(viewer.layers.selection), viewer.layers.selection.active
    helper = viewer.add_labels(
        plane.block(data),
        name=f"{layer.name} {kind}",
        metadata={HELPER: kind},
        **plane.placement(),
        **attributes,
    )
    if not attributes.get("colormap"):
        colormap, own = layer.colormap, {"selection": int(helper.selected_label)}  # which the type has room for
        helper.colormap = colormap.model_copy(update=own) if hasattr(colormap, "model_copy") else colormap
    viewer.layers.selection = set(before[0])
    viewer.layers.selection.active = before[1]
    return helper


def remove_helper(viewer: Any, helper: Labels | None) -> None:
    """Take a helper away, if it is there."""
    if helper is not None and helper in viewer.layers:
        with suppress(ValueError):
            viewer.layers.remove(helper)


def _marked() -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    return DirectLabelColormap(color_dict={None: "#ffd54a", 0: "transparent"})


class Preview:
    """What an edit would make of a plane, in a layer that nobody can paint on.

    ``whole``: the preview holds the plane as it would be, and the layer itself hides meanwhile; else it marks what is
    meant, over what there is. The layer is there, and empty, from :meth:`prepare` on, as long as a tool is on: napari
    takes a while to add one.
    """

    def __init__(self, viewer: Any, *, whole: bool) -> None:
        self._viewer, self._whole = viewer, whole
        self.layer: Labels | None = None
        self.shown = False
        """Whether there is anything in it."""
        self._of: Any = None
        self._hidden: Labels | None = None

    def prepare(self, plane: Plane) -> Labels:
        """Have a layer ready for previews of a plane."""
        of = (plane.layer, plane.key, plane.axes, plane.shape)
        if self.layer is not None and self.layer in self._viewer.layers and self._of == of:
            return self.layer
        self.remove()
        nothing = np.zeros(plane.shape, np.int32)
        look: dict[str, Any] = {"opacity": plane.layer.opacity} if self._whole else _marking()
        self._of, self.layer = of, add_helper(self._viewer, plane, "preview", nothing, **look)
        self.layer.editable = False
        return self.layer

    def show(self, plane: Plane, labels: np.ndarray) -> None:
        """Show (rows, columns) labels."""
        layer = self.prepare(plane)
        layer.data[...] = plane.block(labels)
        # A new thumbnail would have napari paint its list of layers anew.
        layer.refresh(extent=False, highlight=False, thumbnail=False)
        self.shown = True
        if self._whole and plane.layer.visible:
            plane.layer.visible, self._hidden = False, plane.layer

    def clear(self) -> None:
        """Show nothing."""
        if self._hidden is not None and self._hidden in self._viewer.layers:
            self._hidden.visible = True
        if self.shown and self.layer is not None and self.layer in self._viewer.layers:
            self.layer.data[...] = 0
            self.layer.refresh(extent=False, highlight=False, thumbnail=False)
        self._hidden, self.shown = None, False

    def remove(self) -> None:
        """Take the layer away."""
        layer, self.shown = self.layer, False
        self.clear()
        remove_helper(self._viewer, layer)
        self.layer = self._of = None


def _marking() -> dict[str, Any]:
    from napari.utils.colormaps import DirectLabelColormap

    return {"opacity": 0.75, "colormap": DirectLabelColormap(color_dict={None: "#ffd54a", 0: "transparent"})}
