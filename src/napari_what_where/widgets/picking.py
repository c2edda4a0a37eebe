"""What the user shows us on the canvas: a pixel that is background, the size of a thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Image, Labels
    from napari.viewer import Viewer

    from napari_what_where.widgets.source import Source


def pixel_at(source: Source, labels: Labels, world: np.ndarray) -> tuple[int, int, int] | None:
    """The (plane, row, column) of the source's planes under a world position; None outside of them."""
    place = np.asarray(labels.world_to_data(world[-labels.ndim :]))
    sizes = [labels.data.shape[axis] for axis in source.axes]
    cells = [round(float(place[axis])) for axis in source.axes]
    if any(not 0 <= cell < size for cell, size in zip(cells, sizes, strict=True)):
        return None
    row, column = (
        min(int((float(place[axis]) + 0.5) * pixels / size), pixels - 1)
        for axis, size, pixels in zip(source.axes, sizes, source.shape, strict=True)
    )
    plane = 0 if source.plane_axis is None else round(float(place[source.plane_axis]))
    return (plane, row, column) if 0 <= plane < source.plane_count else None


def camera_of(viewer: Any) -> Any:
    """The viewer's camera: from napari 0.9 on it belongs to the scene."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera


class CanvasPicker:
    """One thing at a time to be shown on the canvas; dragging does not move the picture meanwhile."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._callback: Callable[..., Any] | None = None

    def stop(self) -> None:
        """Leave the canvas to napari again."""
        if self._callback is not None:
            with suppress(ValueError):
                self._viewer.mouse_drag_callbacks.remove(self._callback)
            self._callback = None
            camera_of(self._viewer).mouse_pan = True

    def pick(self, on_click: Callable[[np.ndarray], None]) -> None:
        """From now on a click, not a drag, calls ``on_click`` with its world position."""
        self.stop()

        def click(viewer: Any, event: Any) -> Iterator[None]:
            dragged = False
            start = np.array(event.position)
            yield
            while event.type == "mouse_move":
                dragged = dragged or bool(np.abs(np.array(event.position) - start).max() > 3 / camera_of(viewer).zoom)
                yield
            if not dragged:
                on_click(start)

        self._listen(click)

    def measure(self, layer: Image, on_size: Callable[[float], None]) -> None:
        """The next drag calls ``on_size`` with its length in pixels of ``layer``, and ends this."""
        self.stop()
        camera_of(self._viewer).mouse_pan = False

        def drag(viewer: Any, event: Any) -> Iterator[None]:
            start = np.array(event.position)
            yield
            while event.type == "mouse_move":
                viewer.status = f"{_distance(layer, start, np.array(event.position)):.1f} px"
                yield
            self.stop()
            on_size(_distance(layer, start, np.array(event.position)))

        self._listen(drag)

    def _listen(self, callback: Callable[..., Any]) -> None:
        self._callback = callback
        self._viewer.mouse_drag_callbacks.append(callback)


def _distance(layer: Image, start: np.ndarray, end: np.ndarray) -> float:
    ends = [np.asarray(layer.world_to_data(place[-layer.ndim :])) for place in (start, end)]
    return float(np.linalg.norm(ends[1] - ends[0]))
