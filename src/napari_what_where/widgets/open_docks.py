"""Docks of one viewer find each other, without keeping it or one another alive."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_what_where.widgets.dock import WhatWhereDock

_docks: weakref.WeakSet[Any] = weakref.WeakSet()


def announce(dock: WhatWhereDock) -> None:
    """A What & Where dock is open from now on, for as long as it lives."""
    _docks.add(dock)


def docks_of(viewer: Any) -> list[WhatWhereDock]:
    """The What & Where docks of a viewer."""
    return [dock for dock in _docks if dock.viewer is viewer]
