"""Layers are shown all together, or none of them; no Qt."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Layer


@contextmanager
def all_or_none(session: Any, layers: Iterable[Layer]) -> Iterator[None]:
    """Within the block a session adds layers to its ``viewer``, and gives other data to ``layers``.

    Where that fails, the session's attributes and the viewer are as they were: none is better than some. For that
    the block puts new dictionaries in the place of the session's own. Else the holds on Labels layers, its ``_live``,
    that it has not taken over are released.
    """
    viewer, state, before = session.viewer, dict(session.__dict__), list(session.viewer.layers)
    shown = [(layer, layer.data, layer.metadata) for layer in layers]
    try:
        yield
    except Exception:
        session.__dict__.update(state)
        for layer in [layer for layer in viewer.layers if layer not in before]:
            with suppress(Exception):  # napari may stumble over the same layer again
                viewer.layers.remove(layer)
        for layer, data, metadata in shown:
            layer.data, layer.metadata = data, metadata
        raise
    for key, live in state["_live"].items():
        if session._live.get(key) is not live:
            live.release()
