"""Labels that none of the tools may change."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Collection
from typing import Any


class Locks:
    """The locked labels of each layer; they go when it does."""

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._locked: weakref.WeakKeyDictionary[Any, frozenset[int]] = weakref.WeakKeyDictionary()
        self._on_change = on_change

    def of(self, layer: Any) -> frozenset[int]:
        """The locked labels of a layer."""
        return self._locked.get(layer, frozenset())

    def set(self, layer: Any, labels: Collection[int]) -> None:
        """Lock these and no others."""
        self._locked[layer] = frozenset(int(label) for label in labels)
        self._on_change()

    def toggle(self, layer: Any, labels: Collection[int]) -> bool:
        """Lock labels, or free them if all of them are locked; returns whether they are locked now."""
        now, chosen = self.of(layer), {int(label) for label in labels}
        locked = not chosen <= now
        self.set(layer, now | chosen if locked else now - chosen)
        return locked
