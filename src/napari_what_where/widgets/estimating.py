"""What a run will take, said before it starts; and what to do when it is too much."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer

from napari_what_where.estimates.resources import Estimate, NotEnoughMemory, check_fits, estimate_run, smaller_settings
from napari_what_where.memory import OutOfMemory

if TYPE_CHECKING:
    from napari_what_where.widgets.dock import WhatWhereDock
    from napari_what_where.widgets.source import Source

_PAUSE_MS = 150
USUAL_RESOLUTION, LEAST_RESOLUTION = 512, 128
"""Of networks, in pixels: where a model does not say, and below which little is left to be seen."""
_ASKED = ("backbone", "backbone_options", "pathway", "count", "device", "smallest_object", "follow_edges")


class Estimator:
    """The line under Run, refusals of what cannot fit, and the button that agrees to something smaller."""

    def __init__(self, dock: WhatWhereDock) -> None:
        self._dock = dock
        self._agreed: dict[str, Any] = {}
        self._factor = 1.0
        self._pause = QTimer(dock)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._refresh)
        panel = dock.panel
        for combo in (panel.image, panel.inputs.channels, panel.inputs.planes, panel.inputs.part, panel.device):
            combo.currentIndexChanged.connect(self.refresh_soon)
        panel.models.combo.currentIndexChanged.connect(self.refresh_soon)
        panel.model_options.changed.connect(self.refresh_soon)
        panel.inputs.size.changed.connect(self.refresh_soon)
        panel.count.valueChanged.connect(self.refresh_soon)
        panel.edges.toggled.connect(self.refresh_soon)
        panel.consent.clicked.connect(self._run_agreed)

    def refresh_soon(self, *_: Any) -> None:
        """Estimate again, once the choices have come to rest."""
        self._pause.start()

    def of(self, source: Source, settings: dict[str, Any]) -> Estimate:
        """What running this will take."""
        return estimate_run(
            source.shape,
            source.arrays[0].dtype,
            channels=source.channels,
            planes=source.plane_count,
            **{name: settings[name] for name in _ASKED},
        )

    def refuse(self, estimate: Estimate, source: Source, settings: dict[str, Any]) -> bool:
        """Whether the run cannot fit; then the reason is said, and what would fit is offered."""
        try:
            check_fits(estimate)
        except NotEnoughMemory as problem:
            sizes = [change for change in problem.fits if "smallest_object" in change]
            coarser = self._coarser_view(settings, lambda other: _fits(self.of(source, other)))
            self._offer(str(problem), sizes[0] if sizes else coarser, source.factor)
            return True
        return False

    def offer_smaller(self, problem: Exception, source: Source, settings: dict[str, Any], said: str) -> bool:
        """After a run that ran out of memory: say so, and offer something smaller; nothing is done unasked."""
        if not isinstance(problem, OutOfMemory):
            return False
        self._dock.models.drop()  # what comes next may need its memory
        smaller = smaller_settings(settings, source.shape, problem)
        changes = {name: value for name, value in (smaller or {}).items() if settings.get(name) != value}
        self._offer(said, changes or self._coarser_view(settings), source.factor)
        return True

    def _coarser_view(
        self, settings: dict[str, Any], enough: Callable[[dict[str, Any]], bool] = lambda settings: True
    ) -> dict[str, Any] | None:
        """Half the resolution of a network, or the half of that, until it is ``enough``; None if nothing is."""
        entry, options = self._dock.models.entry, settings["backbone_options"]
        if "resolution" not in entry.options:
            return None
        resolution = int(options.get("resolution") or entry.resolution or USUAL_RESOLUTION) // 2
        while resolution >= LEAST_RESOLUTION:
            change = {"backbone_options": {**options, "resolution": resolution}}
            if enough({**settings, **change}):
                return change
            resolution //= 2
        return None

    def _offer(self, said: str, change: dict[str, Any] | None, factor: float) -> None:
        self._agreed, self._factor = change or {}, factor
        texts = {
            "smallest_object": lambda size: f"Run with a smallest object of {size:g} px",
            "device": lambda device: f"Run on the {str(device).upper()}",
            "backbone_options": lambda options: f"Run at a resolution of {options['resolution']}",
        }
        offers = [texts[name](value) for name, value in self._agreed.items() if name in texts]
        self._dock.panel.say(said, problem=True, details=change is None, consent=" and ".join(offers))

    def _run_agreed(self) -> None:
        panel, agreed = self._dock.panel, self._agreed
        if "smallest_object" in agreed:
            panel.inputs.size.set_pixels(agreed["smallest_object"] * self._factor)
        if "device" in agreed:
            panel.device.setCurrentText(agreed["device"])
        if "backbone_options" in agreed:
            panel.model_options.set_resolution(agreed["backbone_options"]["resolution"])
        panel.consent.setVisible(False)
        self._dock.start()

    def _refresh(self) -> None:
        dock = self._dock
        try:
            source = dock.chooser.find_source()
            estimate = self.of(source, dock.chooser.settings_for(source))
        except (ValueError, TypeError):  # what is wrong is said when Run is pressed
            dock.panel.estimate.setText("")
            return
        rows, columns = estimate.working
        text = estimate.text()
        parts = [text[0].upper() + text[1:], f"at {columns:,} × {rows:,} pixels"]
        parts += [f"{estimate.planes:,} planes"] if estimate.planes > 1 else []
        parts += [f"{estimate.tiles:,} tiles"] if estimate.tiles > 1 else []
        dock.panel.estimate.setText(" · ".join(parts))


def _fits(estimate: Estimate) -> bool:
    try:
        check_fits(estimate)
    except NotEnoughMemory:
        return False
    return True
