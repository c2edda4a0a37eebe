"""Edits are saved while they are made: by the What & Where dock where there is one, else by ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_what_where.widgets.open_docks import docks_of

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_what_where.widgets.autosaving import Autosaver
    from napari_what_where.widgets.collection.dock import CollectionDock
    from napari_what_where.widgets.refine.dock import RefineDock


class Saving:
    """Watches every layer that is refined, from before the first edit."""

    def __init__(self, dock: RefineDock | CollectionDock) -> None:
        self._dock = dock
        self._own: Autosaver | None = None

    def watch(self, layer: Labels) -> None:
        """Save the edits of a layer from now on."""
        savers = [dock.keeper.autosaver for dock in docks_of(self._dock.viewer)]
        savers += [] if self._own is None else [self._own]
        if all(saver.changes(layer) is None for saver in savers):
            (savers[0] if savers else self._make()).watch(layer)

    def flush(self) -> None:
        """Save what is pending, before this returns."""
        if self._own is not None:
            self._own.flush()

    def close(self) -> None:
        """Save what is pending, and watch no more; what was saved is offered the next time."""
        if self._own is not None:
            self._own.close()
            self._own = None

    def _make(self) -> Autosaver:
        from napari_what_where.widgets.autosaving import Autosaver

        self._own = Autosaver(self._dock.viewer)
        self._own.setParent(self._dock)
        self._own.failed.connect(lambda said: self._dock.say(said, problem=True))
        return self._own
