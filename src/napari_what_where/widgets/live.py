"""Our hold on the Labels layer that follows the dock, for as long as nobody else touches it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.protected import ProtectedLabels
from napari_what_where.widgets.results import LayerSpec

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer


class LiveLabels:
    """One Labels layer that is written again and again; once touched, it is left to the user and a new one made."""

    def __init__(self, viewer: Viewer) -> None:
        self._viewer = viewer
        self._held: ProtectedLabels | None = None

    @property
    def layer(self) -> Labels | None:
        """The layer, if it is there."""
        return self._held.layer if self._held and self._held.layer in self._viewer.layers else None

    @property
    def touched(self) -> bool:
        """Whether there is a layer that holds anything of the user's."""
        return self.layer is not None and self._held is not None and self._held.touched

    def show(
        self, spec: LayerSpec, features: dict[str, Any], expected: Callable[[], np.ndarray]
    ) -> tuple[Labels, str | None, bool]:
        """Show labels: in the layer there is, or in a new one.

        ``expected`` recomputes them. Returns the layer, the name of the touched layer that was left alone if there
        was one, and whether the layer is new.
        """
        before, touched = self.layer, self.touched
        if before is not None and not touched and before.data.shape == spec.data.shape and self._held is not None:
            self._held.write(spec.data, features, expected)
            before.metadata = {**before.metadata, **spec.attributes["metadata"]}
            return before, None, False
        layer = self._viewer.add_labels(spec.data, **spec.attributes)
        # Not while it is added: in a 3D display napari 0.9 fails to describe a new layer that has features.
        layer.features = features
        self.release()
        if before is not None and not touched:  # the same at another resolution
            self._viewer.layers.remove(before)
            layer.name = spec.attributes["name"]
        self._held = ProtectedLabels(layer, expected)
        return layer, before.name if before is not None and touched else None, True

    def release(self) -> None:
        """Stop watching; the layer stays as it is."""
        if self._held is not None:
            self._held.release()
            self._held = None
