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
        helper.colormap = layer.colormap.model_copy() if hasattr(layer.colormap, "model_copy") else layer.colormap
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
    """What an edit would make of a plane, in a layer that nobody can paint on; the layer itself hides meanwhile.

    ``whole``: the preview holds the plane as it would be; else only what would change, over what there is.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self.layer: Labels | None = None
        self.plane: Plane | None = None
        self._hidden: Labels | None = None

    @property
    def shown(self) -> bool:
        """Whether there is a preview."""
        return self.layer is not None and self.layer in self._viewer.layers

    def show(self, plane: Plane, labels: np.ndarray, *, whole: bool) -> None:
        """Show (rows, columns) labels, in the preview there is or in a new one."""
        if self.layer is not None and self.shown and self.plane is not None and self.plane.layer is plane.layer:
            self.layer.data[...] = plane.block(labels)
            self.layer.refresh(extent=False, highlight=False)
            return
        self.clear()
        look: dict[str, Any] = {"opacity": plane.layer.opacity} if whole else {"opacity": 0.75, "colormap": _marked()}
        self.plane = plane
        self.layer = add_helper(self._viewer, plane, "preview", labels.astype(np.int32), **look)
        self.layer.editable = False
        if whole and plane.layer.visible:
            plane.layer.visible, self._hidden = False, plane.layer

    def clear(self) -> None:
        """Take the preview away."""
        remove_helper(self._viewer, self.layer)
        if self._hidden is not None and self._hidden in self._viewer.layers:
            self._hidden.visible = True
        self.layer = self.plane = self._hidden = None
