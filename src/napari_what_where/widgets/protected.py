"""The user's edits are sacred: a Labels layer that anyone but us has touched is never written again."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels


class ProtectedLabels:
    """Our hold on a Labels layer: it may be written as long as nobody else has.

    Tools (paint, fill, erase, polygon) announce themselves by the layer's paint event, also when they are undone
    later: assigning data under an undo history would corrupt it. Scripts that write into the array in place
    announce nothing, so the content is compared with what we wrote before every write. A layer that was renamed or
    moved is the user's, too; how it is drawn (opacity, colours, contour) is not an edit.
    """

    def __init__(self, layer: Labels, expected: Callable[[], np.ndarray]) -> None:
        """``expected`` recomputes what was last written (cheaper than keeping a copy)."""
        self.layer = layer
        self._expected = expected
        self._painted = False
        self._remember()
        layer.events.paint.connect(self._on_paint)

    @property
    def touched(self) -> bool:
        """Whether the layer holds, or ever held, anything that we did not write. Cost: one comparison a pixel."""
        if self._painted or self.layer.data is not self._data or self.layer.name != self._name:
            return True
        if not np.array_equal(self.layer.data_to_world(self._corner), self._place):
            return True
        return not _equal(self._data, self._expected()) or not self.layer.features.equals(self._features)

    def write(self, labels: np.ndarray, features: dict[str, Any], expected: Callable[[], np.ndarray]) -> None:
        """Replace data and features; only for a layer that is not :attr:`touched`."""
        self.layer.data = labels
        self.layer.features = features
        self._expected = expected
        self._remember()

    def _remember(self) -> None:
        layer = self.layer
        self._data, self._features, self._name = layer.data, layer.features.copy(), layer.name
        # A corner off the axes: any change of scale, rotation or position moves it.
        self._corner = tuple(float(size + axis) for axis, size in enumerate(layer.data.shape))
        self._place = layer.data_to_world(self._corner)

    def release(self) -> None:
        """Stop watching."""
        self.layer.events.paint.disconnect(self._on_paint)

    def _on_paint(self, event: Any = None) -> None:
        self._painted = True


def _equal(some: np.ndarray, other: np.ndarray) -> bool:
    """Whether two arrays hold the same, in strips of the first axis that is long: no second array of their size."""
    if some.shape != other.shape:
        return False
    axis = int(np.argmax(some.shape)) if some.ndim else 0
    strips = ((slice(None),) * axis + (slice(first, first + 512),) for first in range(0, some.shape[axis], 512))
    return all(np.array_equal(some[strip], other[strip]) for strip in strips)
