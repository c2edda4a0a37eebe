"""The What & Where dock: image in, eigenvectors and editable segments out."""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_what_where.activations.registry import backbone_info
from napari_what_where.progress import Report
from napari_what_where.widgets.exporting import Exporter
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
        self.exporter = Exporter(self)
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
        panel.export.clicked.connect(self.exporter.ask)
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

        self.begin(work, finish)

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

    def begin(self, work: Any, finish: Any, *, what: str = "The run", cancellable: bool = True) -> None:
        """Do ``work(report)`` in a thread, then ``finish(answer)`` here; ``what`` it is, should it fail."""
        for watched in (self, _main_window(self)):
            watched.installEventFilter(self)  # once is enough; more often does no harm
        self.panel.set_busy(True)
        self.panel.cancel.setEnabled(cancellable)
        self.panel.say("")

        def succeed(answer: Any) -> None:
            if task.cancelled:
                return
            try:
                finish(answer)
            except Exception as problem:
                fail(problem)

        def fail(problem: Exception) -> None:
            if not task.cancelled:
                self._fail(problem, what)

        self.task = task = Task(work, on_success=succeed, on_failure=fail, on_end=self._end)
        self.task.start()
        self._timer.start()

    def _end(self) -> None:
        task, self.task = self.task, None
        self._timer.stop()
        self.panel.set_busy(False)
        self.panel.set_ready(self.session.tree is not None)
        if task is not None and task.cancelled:
            self.panel.say("Cancelled; nothing has changed.")
            self._show_tree_choice()
        elif self.session.tree is not None and self.panel.edges.isChecked() != self.session.follow_edges:
            self._choose_tree(self.panel.edges.isChecked())

    def _fail(self, problem: Exception, what: str) -> None:
        self.details = "".join(traceback.format_exception(problem))
        if isinstance(problem, OSError) and problem.filename is not None:
            expected, said = True, f"{what} failed: {problem.strerror} ({problem.filename}). Choose another place."
        else:
            expected = isinstance(problem, (ValueError, TypeError))
            said = str(problem) if expected else f"{what} failed: {type(problem).__name__}: {problem}."
        self.panel.say(f"{said} No layer was changed.", problem=True, details=not expected)
        self._show_tree_choice()

    def _show_progress(self) -> None:
        if self.task is not None:
            self.panel.show_progress(self.task.progress)

    def _show_analysis(self, prepared: Any, follow_edges: bool) -> None:
        if self.session.source is None or self.session.source.layer_id != prepared.source.layer_id:
            self.panel.automatic = True  # a number chosen for one image means nothing for another
        chosen = None if self.panel.automatic else self.panel.segments.value
        said = self.session.show_analysis(prepared, follow_edges=follow_edges, segments=chosen)
        self._show_count()
        self.panel.say(" ".join([*prepared.analysis.provenance["remarks"], said]))

    # Segments

    def _show_segments(self, count: int) -> None:
        self.panel.automatic = False
        started = time.perf_counter()
        self.panel.say(self.session.show_segments(count))
        self.panel.segments.rest_after(time.perf_counter() - started)

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

            tree = region_tree(
                analysis.embedding,
                source.pixels(),
                follow_edges=follow_edges,
                report=report,
                what=analysis.what,
                channels=analysis.channels,
            )
            tree.features(tree.auto_count)
            return tree

        def finish(tree: Any) -> None:
            self.panel.say(self.session.add_tree(tree, follow_edges=follow_edges))
            self._show_count()

        self.begin(work, finish)

    def _show_tree_choice(self) -> None:
        """After what did not succeed, the box says again what is shown."""
        if self.session.tree is not None:
            self.panel.edges.blockSignals(True)
            self.panel.edges.setChecked(self.session.follow_edges)
            self.panel.edges.blockSignals(False)

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
        from_file = self.session.from_file
        text = as_python(self.session.analysis, self.session.source, self.session.shown, from_file=from_file)
        QApplication.clipboard().setText(text)
        self.panel.say("Copied a Python script that makes these segments again (without edits by hand).")

    def export(self, name: str) -> None:
        """Write the labels as they are now, edits included, with eigenvectors and provenance beside them."""
        self.exporter.export(name)


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
