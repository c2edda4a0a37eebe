"""The model that ran last, with its weights in memory, so that the next run does not read them again."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone


class KeptModel:
    """Holds one loaded backbone; weights are read when it runs first, and stay until another takes its place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: Any = None
        self._backbone: Backbone | None = None

    def get(self, name: str, options: Mapping[str, Any]) -> Backbone:
        """The backbone of that name with these options: the one that is held if it is that, else a new one.

        Raises as :func:`~napari_what_where.load_backbone`. Imports torch at first, so not for the GUI thread.
        """
        from napari_what_where.activations.registry import load_backbone

        fresh = load_backbone(name, **options)
        key = (name, repr(sorted(options.items())), _weights_of(fresh))
        with self._lock:
            if self._backbone is None or self._key != key:
                self._key, self._backbone = key, fresh
            return self._backbone

    def drop(self, unless: str | None = None) -> None:
        """Let go of the backbone, and its memory once no run uses it; not of one with the name ``unless``."""
        with self._lock:
            if self._key is not None and self._key[0] != unless:
                self._key = self._backbone = None


def _weights_of(backbone: Backbone) -> tuple[Any, Any]:
    """What changes when other weights are under the same name."""
    described = backbone.describe()
    return described.get("commit"), described.get("weights")
