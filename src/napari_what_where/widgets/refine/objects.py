"""The table of objects of the plane on screen: measured when the labels have been left alone for a moment."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QItemSelection, QItemSelectionModel, QModelIndex, QObject, QTimer

from napari_what_where.progress import Report
from napari_what_where.widgets.picking import camera_of
from napari_what_where.widgets.refine.editing import names_of
from napari_what_where.widgets.refine.table_model import LOCK, NAME
from napari_what_where.widgets.refine.target import Plane, plane_on_screen
from napari_what_where.widgets.task import Task

if TYPE_CHECKING:
    from napari_what_where.widgets.refine.dock import RefineDock

QUIET_MS = 250
FILL, CLOSER, FURTHER = 4.0, 24.0, 1.2
"""An object so many times smaller than what is on screen is brought closer, one that hardly fits is put further away,
until it takes a quarter."""


class Objects(QObject):
    """Fills the table, and does what is done in it."""

    def __init__(self, dock: RefineDock) -> None:
        super().__init__(dock)
        self._dock = dock
        self.model = dock.panel.model_of_objects
        self.view = dock.panel.table
        self.plane: Plane | None = None
        self._task: Task | None = None
        self._again = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(QUIET_MS)
        self._timer.timeout.connect(self._measure)
        self.view.clicked.connect(self._on_click)
        self.model.named.connect(self._on_named)

    @property
    def idle(self) -> bool:
        """Whether the table shows the labels as they are."""
        return self._task is None and not self._timer.isActive()

    def refresh_soon(self) -> None:
        """The labels, or what is known of them, have changed."""
        self._timer.start()

    def stop(self) -> None:
        """Measure no more."""
        self._timer.stop()
        if self._task is not None:
            self._task.cancel()

    def selected(self) -> list[int]:
        """The labels of the rows that are selected; else that of the layer, if it was chosen and is in the plane."""
        rows = sorted({index.row() for index in self.view.selectionModel().selectedRows()})
        if rows:
            return [self.model.label_at(row) for row in rows]
        layer = self._dock.layer
        with suppress(ValueError):
            label = None if layer is None else self._dock.choices.chosen_label(layer)
            if layer is not None and label is not None:
                plane = plane_on_screen(self._dock.viewer, layer, to_look=True)
                return [label] if self._dock.has_label(plane, label) else []
        return []

    def select(self, label: int) -> None:
        """Select the row of a label, if there is one."""
        row = self.model.row_of(label)
        if row is None:
            self.view.clearSelection()
            return
        chosen = self.view.selectionModel().selectedRows()
        if row not in [index.row() for index in chosen]:
            self.view.selectRow(row)
            self.view.scrollTo(self.model.index(row, NAME))

    def show_locked(self) -> None:
        """Show which objects are locked."""
        if self._dock.layer is not None:
            self.model.show_locked(self._dock.locks.of(self._dock.layer))

    def show_names(self) -> None:
        """Show the names of the layer's features."""
        if self._dock.layer is not None:
            self.model.show_names(names_of(self._dock.layer))

    def edit_name(self) -> None:
        """Let the user type the name of the selected object."""
        rows = self.view.selectionModel().selectedRows()
        chosen = self.selected()
        row = rows[0].row() if rows else self.model.row_of(chosen[0]) if chosen else None
        if row is None:
            self._dock.say("Select the object to name: click its row, or the object with a tool.")
        else:
            self.view.setFocus()
            self.view.edit(self.model.index(row, NAME))

    def go_to(self, label: int) -> None:
        """Bring an object to the middle of the screen, as large as is good."""
        plane, viewer = self.plane, self._dock.viewer
        if plane is None or plane.layer not in viewer.layers:
            return
        middle = plane.world_of(self.model.value(label, "centroid_row"), self.model.value(label, "centroid_column"))
        middle = np.concatenate([np.zeros(viewer.dims.ndim - len(middle)), middle])
        camera = camera_of(viewer)
        camera.center = tuple(float(middle[axis]) for axis in viewer.dims.displayed)
        sides = [float(self.model.value(label, f"bbox_{side}_max") - self.model.value(label, f"bbox_{side}_min"))
                 for side in ("row", "column")]  # fmt: skip
        seen = np.diff(np.asarray(plane.layer.corner_pixels, float), axis=0)[0][list(plane.axes)]
        times = float(np.min(np.maximum(seen, 1) / np.maximum(sides, 1)))
        if not FURTHER <= times <= CLOSER:
            camera.zoom *= times / FILL

    # The work

    def _measure(self) -> None:
        dock = self._dock
        if self._task is not None or not dock.work.idle:
            self._timer.start()  # clicks go first
            return
        try:
            if dock.layer is None:
                raise ValueError
            plane = plane_on_screen(dock.viewer, dock.layer, to_look=True)
        except ValueError:
            self.plane = None
            self._show({})
            return
        labels, size = plane.read().copy(), plane.pixel_size()
        known = dock.steps.known(plane)
        guide = None if known is None else known.guide

        def work(report: Report) -> Any:
            from napari_what_where.refinement.table import objects_table

            return objects_table(labels, guide, pixel_size=size)

        def show(columns: Any) -> None:
            if not task.cancelled and plane.layer is dock.layer:
                self.plane = plane
                self._show(columns)

        def end() -> None:
            self._task = None

        self._task = task = Task(work, on_success=show, on_failure=dock.fail, on_end=end)
        task.start()

    def _show(self, columns: dict[str, np.ndarray]) -> None:
        dock, chosen = self._dock, [index.row() for index in self.view.selectionModel().selectedRows()]
        layer, labels = dock.layer, {self.model.label_at(row) for row in chosen}
        if layer is None or self.plane is None:
            self.model.show({}, names={}, locked=(), colour=lambda label: None, unit=None)
            return
        self.model.show(
            columns, names=names_of(layer), locked=dock.locks.of(layer), colour=layer.get_color, unit=self.plane.unit()
        )
        rows = [row for row in map(self.model.row_of, labels) if row is not None]
        selection = QItemSelection()
        for row in rows:
            selection.select(self.model.index(row, 0), self.model.index(row, self.model.columnCount() - 1))
        self.view.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.Select)

    def _on_click(self, index: QModelIndex) -> None:
        dock, layer = self._dock, self._dock.layer
        if layer is None:
            return
        label = self.model.label_at(index.row())
        if index.column() == LOCK:
            dock.actions.lock([label])
            return
        self.go_to(label)
        dock.choose(layer, label)
        dock.say(f"Object {label}.")

    def _on_named(self, label: int, name: str) -> None:
        self._dock.actions.rename(label, name)
