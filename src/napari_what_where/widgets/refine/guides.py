"""What is known of the image under a plane of labels: looked up where the What & Where dock has it, else analysed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.open_docks import docks_of
from napari_what_where.widgets.refine.target import Plane, image_layers
from napari_what_where.widgets.source import Use, source_of

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis
    from napari_what_where.progress import Report
    from napari_what_where.refinement.guide import Guide

KEPT_PIXELS = 2**25
"""Guides of planes of so many pixels in all are kept, and at least the last one."""
NO_IMAGE = "These labels lie on no image: open the image that they are of, or choose it above."


@dataclass(eq=False)
class Known:
    """What is known of the image under one plane of labels. ``propagator``: made when it is first asked for."""

    analysis: Analysis
    guide: Guide
    propagator: Any = None


class Guides:
    """Guides by layer and plane; those of an image that is gone, or has other pixels, are forgotten."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._known: OrderedDict[Any, Known] = OrderedDict()
        self._followed: dict[Any, Any] = {}
        viewer.layers.events.removed.connect(self._on_removed)

    def close(self) -> None:
        """Forget all."""
        self._viewer.layers.events.removed.disconnect(self._on_removed)
        for layer in self._followed.values():
            layer.events.data.disconnect(self._on_data)
        self._followed.clear()
        self._known.clear()

    def find(self, plane: Plane, image: Any, model: str) -> Known | None:
        """What is known already; None if it has to be made. Raises as :meth:`plan`."""
        key = self._key(plane, image, model)
        known = self._known.get(key)
        if known is not None:
            self._known.move_to_end(key)
        return known

    def plan(self, plane: Plane, image: Any, model: str) -> tuple[Callable[[Report], Known], Callable[[Known], None]]:
        """What makes a guide, off the GUI thread, and what keeps it, on it.

        ``image``: the Image layer, None to choose it; it does not matter for labels that the What & Where dock made.
        Raises ``ValueError``, in words, where there is no image or the labels do not lie on it.
        """
        key, shape = self._key(plane, image, model), plane.shape
        analysis = made_from(self._viewer, plane)
        if analysis is not None:
            return lambda report: _known(analysis, shape, report), lambda known: self._keep(key, known, ())
        layer = self._image_for(plane, image)
        source = source_of(self._viewer, layer, Use())

        def work(report: Report) -> Known:
            from napari_what_where.pipeline import analyze

            return _known(analyze(source.pixels(), backbone=model, report=report), shape, report)

        return work, lambda known: self._keep(key, known, (layer,))

    def _image_for(self, plane: Plane, image: Any) -> Any:
        if image is None:
            image = image_under(self._viewer, plane)
        if image is None:
            raise ValueError(NO_IMAGE)
        if not lies_on(self._viewer, plane, image):
            raise ValueError(
                f"{plane.layer.name!r} does not lie on {image.name!r}: their corners differ. Choose the image that the "
                "labels are of, or give both layers the same scale and position."
            )
        return image

    def _key(self, plane: Plane, image: Any, model: str) -> tuple[Any, ...]:
        own = (plane.layer.unique_id, plane.key, plane.axes, plane.shape)
        analysis = made_from(self._viewer, plane)
        if analysis is not None:
            return (*own, id(analysis.tree))
        layer = self._image_for(plane, image)
        # The image may have sliders that the labels lack.
        place = tuple(step for step in source_of(self._viewer, layer, Use()).index if not isinstance(step, slice))
        return (*own, layer.unique_id, place, model)

    def _keep(self, key: Any, known: Known, images: tuple[Any, ...]) -> None:
        for layer in images:
            if layer.unique_id not in self._followed:
                layer.events.data.connect(self._on_data)
                self._followed[layer.unique_id] = layer
        self._known[key] = known
        while len(self._known) > 1 and sum(np.prod(each.guide.shape) for each in self._known.values()) > KEPT_PIXELS:
            self._known.popitem(last=False)

    def _on_data(self, event: Any) -> None:
        self._forget(event.source)

    def _on_removed(self, event: Any) -> None:
        self._forget(event.value)
        followed = self._followed.pop(event.value.unique_id, None)
        if followed is not None:
            followed.events.data.disconnect(self._on_data)

    def _forget(self, layer: Any) -> None:
        for key in [key for key in self._known if layer.unique_id in key]:
            del self._known[key]


def _known(analysis: Analysis, shape: tuple[int, int], report: Report) -> Known:
    from napari_what_where.refinement.guide import make_guide

    return Known(analysis, make_guide(analysis, shape, report))


def made_from(viewer: Any, plane: Plane) -> Analysis | None:
    """The analysis of a plane that the What & Where dock made; None for labels from elsewhere."""
    for dock in docks_of(viewer):
        made = dock.session.made_by(plane.layer)
        if made is None:
            continue
        source = made[0].source
        if plane.axes != source.axes:
            continue
        number = 0 if source.plane_axis is None else int(plane.index[source.plane_axis])  # type: ignore[arg-type]
        return made[0].analyses[number]
    return None


def image_under(viewer: Any, plane: Plane) -> Any:
    """The Image layer that labels are of: the nearest below that they lie on, else any; None if there is none."""
    fitting = [layer for layer in image_layers(viewer) if lies_on(viewer, plane, layer)]
    height = list(viewer.layers).index(plane.layer) if plane.layer in viewer.layers else 0
    below = [layer for layer in fitting if viewer.layers.index(layer) < height]
    return next(iter(below or fitting), None)


def lies_on(viewer: Any, plane: Plane, image: Any) -> bool:
    """Whether a plane of labels covers the plane of an image that is on screen, to half a pixel of the labels."""
    try:
        source = source_of(viewer, image, Use())
    except ValueError:
        return False
    shown = sorted(viewer.dims.displayed)
    rows, columns = plane.shape
    mine = [plane.world_of(row - 0.5, column - 0.5) for row, column in ((0, 0), (rows, 0), (0, columns))]
    rows, columns = source.shape
    place = np.array([0.0 if isinstance(step, slice) else float(step) for step in source.index])
    theirs = []
    for row, column in ((0, 0), (rows, 0), (0, columns)):
        corner = place.copy()
        corner[list(source.axes)] = row - 0.5, column - 0.5
        to_world = source.affine @ source.to_world.affine_matrix
        theirs.append((to_world @ [*corner, 1.0])[:-1])
    half = 0.5 * np.linalg.norm(mine[1] - mine[0]) / plane.shape[0] + 1e-6
    near = [
        np.abs(_padded(a, viewer)[shown] - _padded(b, viewer)[shown]).max() for a, b in zip(mine, theirs, strict=True)
    ]
    return bool(max(near) <= half)


def _padded(point: np.ndarray, viewer: Any) -> np.ndarray:
    """A point with the axes that its layer lacks; napari counts axes from the last."""
    return np.concatenate([np.zeros(viewer.dims.ndim - len(point)), point])
