"""The What & Where dock: image in, eigenvectors and editable segments out."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QWidget

from napari_what_where.activations.registry import backbone_info
from napari_what_where.progress import Report
from napari_what_where.widgets.exporting import existing_others, export_labels, suggested_name
from napari_what_where.widgets.panel import Panel
from napari_what_where.widgets.results import METADATA_KEY
from napari_what_where.widgets.script import as_python
from napari_what_where.widgets.session import Session, prepare
from napari_what_where.widgets.source import source_of
from napari_what_where.widgets.task import Task

if TYPE_CHECKING:
    from napari.viewer import Viewer

_POLL_MS = 50
NO_IMAGE = "Open an image first: File ▸ Open File(s), or File ▸ Open Sample ▸ What & Where."

NO_SEGMENTS = "There are no segments to export; press Run first."
STILL_RUNNING = "Still running; press Cancel first."


class WhatWhereDock(QWidget):
    """Controller between the panel of controls, the session of results and the worker thread.

    The GUI thread only reads settings, moves layers and looks labels up; everything that takes time is a
    :class:`Task`.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # Through napari's proxy a layer is never identical with itself; only public attributes are used.
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.session = Session(self.viewer)
        self.panel = Panel(self)
        self.task: Task | None = None
        self.details = ""
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._show_progress)
        self._connect_panel()
        self._connect_viewer()
        _warm_up()

    # Settings and layers

    def _connect_panel(self) -> None:
        panel = self.panel
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.segments.changed.connect(self._show_segments)
        panel.auto.clicked.connect(self._show_automatic)
        panel.edges.toggled.connect(self._choose_tree)
        panel.export.clicked.connect(self._ask_and_export)
        panel.copy.clicked.connect(self.copy_as_python)
        panel.copy_details.clicked.connect(lambda: QApplication.clipboard().setText(self.details))
        panel.model.currentTextChanged.connect(self._describe_model)
        self._describe_model(panel.model.currentText())

    def _connect_viewer(self) -> None:
        layers = self.viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            event.connect(self._refresh_images)
        layers.events.inserted.connect(self._follow_name)
        for layer in layers:
            layer.events.name.connect(self._refresh_images)
        layers.selection.events.active.connect(self._follow_selection)
        self._refresh_images()
        self._follow_selection()

    def _follow_name(self, event: Any) -> None:
        event.value.events.name.connect(self._refresh_images)

    def _refresh_images(self, event: Any = None) -> None:
        self.panel.offer_images(_images(self.viewer))

    def _follow_selection(self, event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active is not None:
            self.panel.choose_image(active)

    def _describe_model(self, name: str) -> None:
        self.panel.show_model(backbone_info(name))

    # Running

    def start(self) -> None:
        """Analyse the chosen image with the current settings."""
        if self.task is not None:
            self.panel.say(STILL_RUNNING)
            return
        layer = self.panel.image_layer()
        if layer is None or layer not in self.viewer.layers:
            self.panel.say(NO_IMAGE, problem=True)
            return
        try:
            source = source_of(self.viewer, layer)
        except ValueError as problem:
            self.panel.say(str(problem), problem=True)
            return
        settings = self.panel.settings()

        def work(report: Report) -> Any:
            from napari_what_where.pipeline import analyze

            analysis = analyze(source.pixels(), report=report, **settings)
            return prepare(analysis, source)

        def finish(prepared: Any) -> None:
            self._show_analysis(prepared, bool(settings["follow_edges"]))

        self._begin(work, finish)

    def cancel(self) -> None:
        """Stop what is running; every layer stays as it is."""
        if self.task is not None:
            self.task.cancel()
            self.panel.say("Cancelling …")

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Stop what is running when napari's window is closed: results would have nowhere to go."""
        if event.type() in (QEvent.Type.Close, QEvent.Type.DeferredDelete):
            self._stop()
        return bool(super().eventFilter(watched, event))

    def _stop(self) -> None:
        if self.task is not None:
            self.task.cancel()

    def _begin(self, work: Any, finish: Any) -> None:
        for watched in (self, _main_window(self)):
            watched.installEventFilter(self)  # once is enough; more often does no harm
        self.panel.set_busy(True)
        self.panel.say("")

        def succeed(answer: Any) -> None:
            if not task.cancelled:
                finish(answer)

        self.task = task = Task(work, on_success=succeed, on_failure=self._fail, on_end=self._end)
        self.task.start()
        self._timer.start()

    def _end(self) -> None:
        task, self.task = self.task, None
        self._timer.stop()
        self.panel.set_busy(False)
        self.panel.set_ready(self.session.tree is not None)
        if task is not None and task.cancelled:
            self.panel.say("Cancelled; nothing has changed.")
        elif self.session.tree is not None and self.panel.edges.isChecked() != self.session.follow_edges:
            self._choose_tree(self.panel.edges.isChecked())

    def _fail(self, problem: Exception) -> None:
        self.details = "".join(traceback.format_exception(problem))
        expected = isinstance(problem, (ValueError, TypeError))
        said = str(problem) if expected else f"The run failed: {type(problem).__name__}: {problem}"
        self.panel.say(f"{said} No layer was changed.", problem=True, details=not expected)

    def _show_progress(self) -> None:
        if self.task is not None:
            self.panel.show_progress(self.task.progress)

    def _show_analysis(self, prepared: Any, follow_edges: bool) -> None:
        chosen = None if self.panel.automatic else self.panel.segments.value
        said = self.session.show_analysis(prepared, follow_edges=follow_edges, segments=chosen)
        self._show_count()
        self.panel.say(" ".join([*prepared.analysis.provenance["remarks"], said]))

    # Segments

    def _show_segments(self, count: int) -> None:
        self.panel.automatic = False
        self.panel.say(self.session.show_segments(count))

    def _show_automatic(self) -> None:
        tree = self.session.tree
        if tree is not None:
            self.panel.automatic = True
            self.panel.say(self.session.show_segments(tree.auto_count))
            self._show_count()

    def _choose_tree(self, follow_edges: bool) -> None:
        analysis, source = self.session.analysis, self.session.source
        if analysis is None or source is None or self.task is not None or follow_edges == self.session.follow_edges:
            return
        if follow_edges in self.session.trees:
            self.panel.say(self.session.use_tree(follow_edges))
            self._show_count()
            return

        def work(report: Report) -> Any:
            from napari_what_where.segments.tree import region_tree

            tree = region_tree(analysis.embedding, source.pixels(), follow_edges=follow_edges, report=report)
            tree.features(tree.auto_count)
            return tree

        def finish(tree: Any) -> None:
            self.panel.say(self.session.add_tree(tree, follow_edges=follow_edges))
            self._show_count()

        self._begin(work, finish)

    def _show_count(self) -> None:
        tree = self.session.tree
        if tree is not None:
            self.panel.segments.set_most(tree.leaf_count)
            self.panel.segments.set_value(self.session.shown)

    # Taking results away

    def copy_as_python(self) -> None:
        """Put a script that reproduces the segments shown on the clipboard."""
        if self.session.analysis is None or self.session.source is None:
            self.panel.say("Press Run first.", problem=True)
            return
        text = as_python(self.session.analysis, self.session.source, self.session.shown)
        QApplication.clipboard().setText(text)
        self.panel.say("Copied a Python script that makes these segments again (without edits by hand).")

    def _ask_and_export(self) -> None:
        layer = self._layer_to_export()
        made = self.session.made_by(layer)
        if made is None:
            self.panel.say(NO_SEGMENTS, problem=True)
            return
        name, _ = QFileDialog.getSaveFileName(
            self, "Export segments", suggested_name(made[1]), "TIFF (*.tif *.tiff);;PNG (*.png)"
        )
        if not name:
            return
        others = existing_others(name)
        if others and QMessageBox.StandardButton.Yes != QMessageBox.question(
            self, "Replace files?", "These files are there already and would be replaced:\n" + "\n".join(others)
        ):
            return
        self.export(name)

    def export(self, name: str) -> None:
        """Write the labels as they are now, edits included, with eigenvectors and provenance beside them."""
        layer = self._layer_to_export()
        made = self.session.made_by(layer)
        if made is None or self.task is not None:
            self.panel.say(NO_SEGMENTS if made is None else STILL_RUNNING, problem=True)
            return
        labels = np.array(layer.data)

        def work(report: Report) -> Any:
            return export_labels(*made, labels, name)

        def finish(paths: Any) -> None:
            self.panel.say("Wrote " + ", ".join(path.name for path in paths) + f" in {paths[0].parent}.")

        self._begin(work, finish)

    def _layer_to_export(self) -> Any:
        """The selected Labels layer if it is one of ours, else the live one."""
        active = self.viewer.layers.selection.active
        if active is not None and self.session.made_by(active) is not None:
            return active
        return self.session.labels_layer


def _main_window(widget: QWidget) -> QWidget:
    """The main window that a dock belongs to, also while it floats."""
    ancestor = widget
    while ancestor.parentWidget() is not None:
        ancestor = ancestor.parentWidget()
    return ancestor


def _images(viewer: Viewer) -> list[Any]:
    from napari.layers import Image

    # Our own eigenvectors and composites are results, not images to analyse.
    return [layer for layer in viewer.layers if isinstance(layer, Image) and METADATA_KEY not in layer.metadata]


def _warm_up() -> None:
    """Import what the first run needs, in the background, so that Run itself does not wait for it."""
    from superqt.utils import FunctionWorker

    def load() -> None:
        import napari_what_where.embedding.spectral
        import napari_what_where.segments.tree  # noqa: F401

    FunctionWorker(load).start()
