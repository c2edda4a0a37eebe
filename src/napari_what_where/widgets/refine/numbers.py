"""The largest label of a layer, of all its planes, without looking at them all for every click."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari.layers import Labels

LOOKED_AT = 2**22
"""Layers of so few pixels are looked at every time: also scripts that write into them are noticed."""


class Highest:
    """The largest label that a layer holds, or has held: numbers above it are free."""

    def __init__(self) -> None:
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def of(self, layer: Labels) -> int:
        """At least the largest label there is."""
        known = self._known.get(layer)
        if known is None or int(np.prod(layer.data.shape)) <= LOOKED_AT:
            known = max(int(np.asarray(layer.data).max(initial=0)), 0)
            self._known[layer] = known
        return known

    def note(self, layer: Labels, step: Any) -> None:
        """A step of the layer's history was written."""
        if layer in self._known:
            values = [int(np.max(np.asarray(change[-1]), initial=0)) for change in step]
            self._known[layer] = max([self._known[layer], *values])

    def forget(self, layer: Labels) -> None:
        """The layer has other data."""
        self._known.pop(layer, None)
