"""Clicks and the wheel on the canvas, for the tool that is on; everything else stays napari's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from napari_what_where.widgets.picking import camera_of

_ZOOM = "double_click_to_zoom"
"""What napari does on two quick clicks; not while they mean two clicks."""


class Mouse:
    """Tells of clicks, not drags, with the left button and without keys, and, if wanted, of turns of the wheel.

    ``on_wheel`` is given the position and the whole notches (up is positive), and answers whether they were taken; then
    the picture does not zoom.
    """

    def __init__(self, viewer: Any) -> None:
        self._viewer = viewer
        self._callbacks: list[tuple[list[Any], Callable[..., Any]]] = []
        self._aside: list[Callable[..., Any]] = []
        self._turned = 0.0

    def listen(
        self, on_click: Callable[[np.ndarray], None], on_wheel: Callable[[np.ndarray, int], bool] | None = None
    ) -> None:
        """From now on tell of clicks, and of the wheel if ``on_wheel`` is given."""
        self.stop()

        def click(viewer: Any, event: Any) -> Iterator[None]:
            if getattr(event, "button", 1) != 1 or len(getattr(event, "modifiers", ())):
                return
            dragged, start = False, np.array(event.position)
            yield
            while event.type == "mouse_move":
                dragged = dragged or bool(np.abs(np.array(event.position) - start).max() > 3 / camera_of(viewer).zoom)
                yield
            if not dragged:
                on_click(start)

        def wheel(viewer: Any, event: Any) -> None:
            if on_wheel is None or len(event.modifiers):
                return
            self._turned += float(event.delta[1])
            notches = int(self._turned)
            if on_wheel(np.array(event.position), notches):
                event.handled = True
                self._turned -= notches
            else:
                self._turned = 0.0

        def double_click(viewer: Any, event: Any) -> None:
            on_click(np.array(event.position))  # two quick clicks: the second comes as this

        self._add(self._viewer.mouse_drag_callbacks, click)
        doubles = self._viewer.mouse_double_click_callbacks
        self._aside = [each for each in doubles if getattr(each, "__name__", "") == _ZOOM]
        for each in self._aside:
            doubles.remove(each)
        self._add(doubles, double_click)
        if on_wheel is not None:
            self._add(self._viewer.mouse_wheel_callbacks, wheel)

    def stop(self) -> None:
        """Leave the canvas to napari again."""
        for callbacks, callback in self._callbacks:
            with suppress(ValueError):
                callbacks.remove(callback)
        self._callbacks.clear()
        self._viewer.mouse_double_click_callbacks.extend(self._aside)
        self._aside = []
        self._turned = 0.0

    def _add(self, callbacks: list[Any], callback: Callable[..., Any]) -> None:
        callbacks.append(callback)
        self._callbacks.append((callbacks, callback))
