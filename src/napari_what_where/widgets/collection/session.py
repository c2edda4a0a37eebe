"""What the dock holds between runs: what was found, and the layers that show it. No Qt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection.kinds import Kind
from napari_what_where.widgets.collection.marking import Marker
from napari_what_where.widgets.collection.results import Found, one_image, regions_spec
from napari_what_where.widgets.live import LiveLabels
from napari_what_where.widgets.results import LayerSpec, arrange
from napari_what_where.widgets.showing import all_or_none

if TYPE_CHECKING:
    from napari.layers import Labels, Layer
    from napari.viewer import Viewer

REGIONS = "regions"


class Session:
    """One dock's results in one viewer.

    Running again on the same images and pathway updates the same layers; anything else, and any Labels layer that was
    touched, gets new ones.
    """

    def __init__(self, viewer: Viewer, on_written: Callable[[Labels], None] = lambda layer: None) -> None:
        """``on_written`` is told of every new Labels layer that can be edited."""
        self.viewer = viewer
        self.found: Found | None = None
        self._on_written = on_written
        self._live: dict[Any, LiveLabels] = {}
        self._lazy: Labels | None = None
        self._pictures: dict[str, Layer] = {}
        self._copies: dict[int, Labels] = {}
        self._marker = Marker(viewer)

    # Showing

    def show(self, found: Found) -> str:
        """Make it the live one and bring its layers up to date; returns what to tell the user."""
        self._marker.clear()
        same, shown = self._same_subject(found), [*self._pictures.values(), *([self._lazy] if self._lazy else [])]
        with all_or_none(self, shown):
            self._pictures = dict(self._pictures) if same else {}
            self._live = dict(self._live) if same else {}
            self._lazy = self._lazy if same else None
            self._copies = {}
            self.found = found
            for role, spec in found.pictures.items():
                self._show_picture(role, spec, fixed=role in found.fixed)
            left = self._show_lazy() if found.lazy else self._show_labels()
        return self._told(found, left)

    def _show_labels(self) -> list[str]:
        """Labels in memory; returns the names of layers that hold edits and were left as they are."""
        found, left = self.found, []
        assert found is not None
        for number, (spec, kept) in enumerate(zip(found.labels, found.kept, strict=True)):
            live = self._live.setdefault(number, LiveLabels(self.viewer))
            layer, edited, new = live.show(spec, found.columns, partial(_same, kept))
            if new:
                self._on_written(layer)
            left += [edited] if edited else []
        return left

    def _show_lazy(self) -> list[str]:
        found, (spec,) = self.found, self.found.labels if self.found else ()
        assert found is not None
        layer = self._lazy
        if layer is not None and layer in self.viewer.layers and layer.data.shape == spec.data.shape:
            layer.data = spec.data
            layer.metadata = spec.attributes["metadata"]
        else:
            self._lazy = layer = self.viewer.add_labels(spec.data, **spec.attributes)
        layer.features = found.columns
        layer.editable = False  # what is painted on would be read anew with the next move of the slider
        return []

    def _show_picture(self, role: str, spec: LayerSpec, *, fixed: bool) -> None:
        layer = self._pictures.get(role)
        if layer is None or layer not in self.viewer.layers or layer.data.ndim != spec.data.ndim:
            step = self.viewer.dims.current_step
            self._pictures[role] = self.viewer.add_image(spec.data, **spec.attributes)
            if spec.attributes.get("axis_labels", ("",))[0] == "eigenvector" and self.viewer.dims.ndim > len(step):
                # The first eigenvector is nearly even: open on the second.
                self.viewer.dims.set_current_step(0, min(1, len(spec.data) - 1))
            return
        if not fixed:
            other_grid = layer.data.shape[-2:] != spec.data.shape[-2:]
            layer.data = spec.data
            layer.metadata = spec.attributes["metadata"]
            layer.contrast_limits = spec.attributes["contrast_limits"]
            if other_grid:
                layer.scale, layer.translate = spec.attributes["scale"], spec.attributes["translate"]

    def _same_subject(self, found: Found) -> bool:
        before = self.found
        if before is None or before.pool.key != found.pool.key:
            return False
        same_images = [spec.attributes["name"] for spec in before.labels] == [
            spec.attributes["name"] for spec in found.labels
        ]
        return before.pathway == found.pathway and before.lazy == found.lazy and same_images

    def _told(self, found: Found, left: list[str]) -> str:
        count, images = len(found.kinds), len(found.analysis) - len(found.failures)
        said = f"{count} kind{'s' * (count != 1)} in {images:,} image{'s' * (images != 1)}"
        if found.failures:
            said += f", {len(found.failures)} left out"
        if left:
            named = ", ".join(repr(name) for name in left[:3])
            return f"{said}, in {'new layers' if len(left) > 1 else 'a new layer'}: {named} has your edits and stays."
        return f"{said}."

    # Looking

    @property
    def labels_layers(self) -> list[Labels]:
        """The layers with kinds that are there, in the order of the images."""
        found = [self._lazy] if self._lazy else [live.layer for key, live in self._live.items() if key != REGIONS]
        return [layer for layer in found if layer is not None and layer in self.viewer.layers]

    def layer_of(self, number: int) -> Labels | None:
        """The Labels layer that an image is in."""
        found = self.found
        if found is None:
            return None
        if not found.pool.layers:
            return next(iter(self.labels_layers), None)
        good = [each for each in range(len(found.analysis)) if each not in found.analysis.failures]
        return self._live[good.index(number)].layer if number in good else None

    def current(self) -> int | None:
        """The image of a stack or folder that the slider is at."""
        layer = None if self.found is None or self.found.pool.layers else self.layer_of(0)
        if layer is None or self.found is None:
            return None
        axis = self._axis(layer)
        place = layer.world_to_data(np.asarray(self.viewer.dims.point)[-layer.ndim :])
        return int(np.clip(np.rint(place[axis]), 0, len(self.found.analysis) - 1))

    def go_to(self, kind: Kind) -> str:
        """Show where a kind is most typical; returns what to tell the user."""
        if self.found is None or kind.typical is None:
            return f"Kind {kind.number} is in no image."
        number, (rows, columns) = kind.typical
        layer = self.layer_of(number)
        if layer is None:
            return "The layer of that image is not there any more."
        place = np.zeros(layer.ndim)
        if not self.found.pool.layers:
            place[self._axis(layer)] = number
        self._marker.show(layer, place, self._image_axes(layer), (rows, columns))
        for each in self.labels_layers:
            each.selected_label = kind.number
        layer.visible = True
        traced = self._live[REGIONS].layer if REGIONS in self._live else None
        if traced is not None:
            traced.visible = False
        self.viewer.layers.selection.active = layer
        name = self.found.pool.names[number]
        return f"Kind {kind.number} is most typical here, in {name}: {kind.share:.0%} of all, in {kind.images} images."

    def show_only_selected(self, only: bool) -> None:
        """Show of all kinds the chosen one alone, or all of them."""
        for layer in self.labels_layers:
            layer.show_selected_label = only

    def _axis(self, layer: Labels) -> int:
        """The axis of the layer that goes from image to image."""
        stack = None if self.found is None else self.found.pool.stack
        return 0 if stack is None or stack.plane_axis is None else stack.plane_axis

    def _image_axes(self, layer: Labels) -> tuple[int, int]:
        pool = self.found.pool if self.found else None
        source = None if pool is None else pool.stack or next(iter(pool.layers), None)
        return (layer.ndim - 2, layer.ndim - 1) if source is None else source.axes

    # More of it

    def edit_current(self) -> str:
        """The labels of the image on screen as an ordinary Labels layer; returns what to tell the user."""
        number, found = self.current(), self.found
        if found is None or number is None:
            return "Press Run first."
        copy = self._copies.get(number)
        if copy is None or copy not in self.viewer.layers:
            try:
                spec = one_image(found, number)
            except LookupError as problem:
                return str(problem.args[0])
            self._copies[number] = copy = self.viewer.add_labels(spec.data, **spec.attributes)
            copy.features = found.columns
            self._on_written(copy)
        self.viewer.layers.selection.active = copy
        return f"{copy.name!r} can be edited with napari’s tools, or in the Refine dock."

    def show_regions(self, labels: np.ndarray, table: dict[str, np.ndarray]) -> str:
        """Show traced regions of a stack, (planes, rows, columns), in their layer; returns what to tell the user."""
        found = self.found
        assert found is not None
        source = found.pool.stack
        assert source is not None
        self._marker.clear()
        spec = regions_spec(found, labels)
        live = self._live.setdefault(REGIONS, LiveLabels(self.viewer))
        layer, edited, new = live.show(spec, table, lambda: arrange(labels, source))
        if new:
            self._on_written(layer)
        for other in self.labels_layers:
            other.visible = False
        layer.visible = True
        there = len(found.analysis) - len(found.failures)
        count, lasting = len(table["index"]), int((table.get("planes", np.ones(0)) == there).sum())
        said = f"{count} regions, {lasting} of them on every plane"
        return f"{said}, in a new layer: {edited!r} has your edits and stays." if edited else f"{said}."

    def close(self) -> None:
        """Stop watching; the layers stay, but for the frame."""
        with suppress(Exception):  # a window that is closing may be half gone
            self._marker.clear()
        for live in self._live.values():
            live.release()
        self.found = None


def _same(array: np.ndarray) -> np.ndarray:
    return array
