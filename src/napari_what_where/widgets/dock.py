"""The What & Where dock: image in, eigenvectors and editable segments out."""

from __future__ import annotations

import time
import traceback
import weakref
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QApplication, QWidget

from napari_what_where.activations.registry import backbone_info
from napari_what_where.failures import explain
from napari_what_where.progress import Report
from napari_what_where.resources import Estimate, remember_speed
from napari_what_where.widgets.autosaving import Autosaver
from napari_what_where.widgets.background import BackgroundPicker
from napari_what_where.widgets.estimating import Estimator
from napari_what_where.widgets.exporting import Exporter
from napari_what_where.widgets.findings import find_all_objects, other_trees
from napari_what_where.widgets.handoff import Handoff
from napari_what_where.widgets.panel import Panel
from napari_what_where.widgets.parts import part_in_shapes, part_on_screen
from napari_what_where.widgets.picking import CanvasPicker
from napari_what_where.widgets.recovering import offer_recovery
from napari_what_where.widgets.results import METADATA_KEY
from napari_what_where.widgets.session import OBJECTS, Session, prepare
from napari_what_where.widgets.source import Source, Use, check_together, source_of
from napari_what_where.widgets.task import Task

if TYPE_CHECKING:
    from napari.viewer import Viewer

_POLL_MS = 50
NO_IMAGE = "Open an image first: File ▸ Open File(s), or File ▸ Open Sample ▸ What & Where."

STILL_RUNNING = "Still running; press Cancel first."
MUCH_MORE = 2
"""So many times the pixels of one view take long enough for the view to be shown first."""
FINER_SOON = "This is the whole at a glance; finer segments are being made. Cancel keeps what is here."


class WhatWhereDock(QWidget):
    """Controller between the panel of controls, the session of results and the worker thread.

    The GUI thread only reads settings, moves layers and looks labels up; everything that takes time is a
    :class:`Task`.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # Through napari's proxy a layer is never identical with itself; only public attributes are used.
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.panel = Panel(self)
        self.autosaver = Autosaver(self.viewer)
        self.autosaver.setParent(self)  # so that it goes with the window, with all that it listens to
        self.session = Session(self.viewer, on_written=self._on_written)
        self.picker = CanvasPicker(self.viewer)
        self.exporter = Exporter(self)
        self.handoff = Handoff(self)
        self.background = BackgroundPicker(self)
        self.estimator = Estimator(self)
        self.task: Task | None = None
        self._next: Callable[[], None] | None = None
        self.details = ""
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._show_progress)
        # Weak: a window that its own dock holds would never go.
        self._window: weakref.ref[QWidget] | None = None
        self._connect_panel()
        self._connect_viewer()
        self.recovery = offer_recovery(self.viewer, self.autosaver, self)
        self.panel.notices.addWidget(self.recovery)
        self.autosaver.failed.connect(self._tell_trouble)
        _warm_up()

    # Settings and layers

    def _connect_panel(self) -> None:
        panel = self.panel
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.segments.changed.connect(self._show_segments)
        panel.auto.clicked.connect(self._show_automatic)
        panel.edges.toggled.connect(self._choose_trees)
        panel.as_objects.toggled.connect(self._choose_result)
        panel.by_kind.toggled.connect(self.session.set_by_kind)
        panel.background.toggled.connect(self.background.listen)
        panel.export.clicked.connect(self.exporter.ask)
        panel.copy.clicked.connect(self.handoff.copy_as_python)
        panel.copy_python.triggered.connect(self.handoff.copy_as_python)
        panel.copy_command.triggered.connect(self.handoff.copy_as_command)
        panel.folder.clicked.connect(self.handoff.ask)
        panel.copy_details.clicked.connect(lambda: QApplication.clipboard().setText(self.details))
        panel.model.currentTextChanged.connect(self._describe_model)
        panel.inputs.size.draw.toggled.connect(self._measure)
        self._describe_model(panel.model.currentText())

    def _connect_viewer(self) -> None:
        layers = self.viewer.layers
        for event in (layers.events.inserted, layers.events.removed, layers.events.reordered):
            event.connect(self._refresh_images)
        layers.events.inserted.connect(self._follow_layer)
        for layer in layers:
            self._follow(layer)
        layers.selection.events.changed.connect(self._refresh_images)
        layers.selection.events.active.connect(self._follow_selection)
        self._refresh_images()
        self._follow_selection()

    def _follow_layer(self, event: Any) -> None:
        self._follow(event.value)

    def _follow(self, layer: Any) -> None:
        for event in (layer.events.name, layer.events.axis_labels, layer.events.units, layer.events.scale):
            event.connect(self._refresh_images)

    def _refresh_images(self, event: Any = None) -> None:
        images = _images(self.viewer)
        chosen = [layer for layer in images if layer in self.viewer.layers.selection]
        try:
            check_together(chosen or images[:1])
        except (ValueError, IndexError):
            chosen = []
        self.panel.inputs.offer(images, tuple(chosen))
        self.estimator.refresh_soon()

    def _follow_selection(self, event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active is not None:
            self.panel.choose_image(active)

    def _describe_model(self, name: str) -> None:
        self.panel.show_model(backbone_info(name))

    def _measure(self, wanted: bool) -> None:
        """Let the user draw the smallest object on the image."""
        layer, draw = self.panel.image_layer(), self.panel.inputs.size.draw
        if not wanted:
            self.picker.stop()
            return
        if layer is None:
            draw.setChecked(False)
            self.panel.say(NO_IMAGE, problem=True)
            return
        self.panel.background.setChecked(False)

        def take(pixels: float) -> None:
            draw.setChecked(False)
            if pixels >= 1:
                self.panel.inputs.size.set_pixels(pixels)
            self.panel.say(f"The smallest object is {pixels:.0f} px across." if pixels >= 1 else "Drag over it.")

        self.panel.say("Press at one end of the smallest thing you care about, and drag to the other.")
        self.picker.measure(layer, take)

    # Running

    def find_source(self) -> Source:
        """What is chosen to run on. Raises ``ValueError``, in words, where that cannot be."""
        inputs = self.panel.inputs
        layers = inputs.layers()
        if not layers or any(layer not in self.viewer.layers for layer in layers):
            raise ValueError(NO_IMAGE)
        channel_axis, planes = inputs.channels.currentData(), inputs.planes.currentData()
        plane_axis, linked = planes or (None, False)
        find_part = {"screen": part_on_screen, "shape": part_in_shapes}.get(inputs.part.currentData())
        part = None if find_part is None else find_part(self.viewer, layers[0], channel_axis)
        return source_of(self.viewer, layers, Use(channel_axis, plane_axis, linked, part, inputs.size.pixels))

    def settings_for(self, source: Source) -> dict[str, Any]:
        """The options of ``analyze``, in the pixels of the source."""
        settings = self.panel.settings()
        size = settings["smallest_object"]
        return settings | {"smallest_object": None if size is None else size / source.factor}

    def start(self) -> None:
        """Analyse the chosen image with the current settings."""
        if self.task is not None:
            self.panel.say(STILL_RUNNING)
            return
        try:
            source = self.find_source()
        except ValueError as problem:
            self.panel.say(str(problem), problem=True)
            return
        settings = self.settings_for(source)
        estimate = self.estimator.of(source, settings)
        if not self.estimator.refuse(estimate, source):
            self._run(source, settings, estimate)

    def _run(self, source: Source, settings: dict[str, Any], estimate: Estimate) -> None:
        glance = {**settings, "smallest_object": None}
        first = self.estimator.of(source, glance)
        if prod(estimate.working) > MUCH_MORE * prod(first.working):
            # The whole at a glance first; the fine result takes its place when it is there.
            self._next = lambda: self._analyze(source, settings, estimate, quiet=True)
            self._analyze(source, glance, first, note=FINER_SOON)
        else:
            self._analyze(source, settings, estimate)

    def _analyze(
        self, source: Source, settings: dict[str, Any], estimate: Estimate, *, note: str = "", quiet: bool = False
    ) -> None:
        follow_edges, started = bool(settings["follow_edges"]), time.perf_counter()

        def work(report: Report) -> Any:
            if source.plane_axis is None:
                from napari_what_where.pipeline import analyze

                analyses = [analyze(source.pixels(), report=report, **settings)]
            else:
                from napari_what_where.planes import analyze_planes

                analyses = analyze_planes(source.planes, report=report, **settings)
            return prepare(analyses, source, follow_edges=follow_edges)

        def finish(prepared: Any) -> None:
            remember_speed(estimate, time.perf_counter() - started)
            self._show_findings(prepared, note)

        def fail(problem: Exception, said: str) -> bool:
            return self.estimator.offer_smaller(problem, source, settings, said)

        self.begin(work, finish, on_failure=fail, quiet=quiet)

    def cancel(self) -> None:
        """Stop what is running; every layer stays as it is."""
        if self.task is not None:
            self.task.cancel()
            self.panel.say("Cancelling …")

    def showEvent(self, event: Any) -> None:
        """Once there is a window, its closing is watched for: results would have nowhere to go."""
        super().showEvent(event)
        self._watch_window()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Stop what is running, and save what is not saved yet, when the window or the dock is closed."""
        if event.type() in (QEvent.Type.Close, QEvent.Type.DeferredDelete):
            self._stop()
            self.autosaver.flush()
            if watched is self and event.type() == QEvent.Type.DeferredDelete:
                self._leave_autosaver()
        return bool(super().eventFilter(watched, event))

    def _watch_window(self) -> None:
        window = _main_window(self)
        self._window = weakref.ref(window)
        for watched in (self, window):
            watched.installEventFilter(self)  # once is enough; more often does no harm

    def _leave_autosaver(self) -> None:
        """Without the dock, edits of its layers are saved as long as the window is there."""
        window = None if self._window is None else self._window()
        if window is not None and window is not self and window.isVisible():
            self.autosaver.setParent(window)
        else:
            self.autosaver.close()

    def _stop(self) -> None:
        self.handoff.stop()
        if self.task is not None:
            self.task.cancel()

    def _tell_trouble(self, said: str) -> None:
        self.panel.say(said, problem=True)

    def _on_written(self, layer: Any, *, new: bool, edited: bool) -> None:
        """We wrote a Labels layer; ``edited``: with what the user said of it in it."""
        if new:
            self.autosaver.watch(layer)
        elif not edited:
            self.autosaver.accept(layer)

    def begin(
        self,
        work: Callable[[Report], Any],
        finish: Callable[[Any], None],
        *,
        what: str = "The run",
        cancellable: bool = True,
        on_failure: Callable[[Exception, str], bool] = lambda problem, said: False,
        quiet: bool = False,
    ) -> None:
        """Do ``work(report)`` in a thread, then ``finish(answer)`` here; ``what`` it is, should it fail.

        ``on_failure`` is given the exception and a sentence about it, and answers whether it has told the user;
        ``quiet`` leaves on the panel what was said before.
        """
        self._watch_window()
        self.panel.set_busy(True)
        self.panel.cancel.setEnabled(cancellable)
        if not quiet:
            self.panel.say("")

        def succeed(answer: Any) -> None:
            if task.cancelled:
                return
            try:
                finish(answer)
                task.succeeded = True
            except Exception as problem:
                fail(problem)

        def fail(problem: Exception) -> None:
            if not task.cancelled:
                self._fail(problem, what, on_failure)

        self.task = task = Task(work, on_success=succeed, on_failure=fail, on_end=self._end)
        self.task.start()
        self._timer.start()

    def _end(self) -> None:
        task, self.task = self.task, None
        findings, following, self._next = self.session.findings, self._next, None
        if following is not None and task is not None and task.succeeded:
            following()
            return
        self._timer.stop()
        self.panel.set_busy(False)
        self.panel.set_ready(findings is not None, objects=self.session.mode == OBJECTS)
        if task is not None and task.cancelled:
            self.panel.say("Cancelled; nothing has changed.")
            self._show_tree_choice()
        elif findings is not None and self.panel.edges.isChecked() != findings.follow_edges:
            self._choose_trees(self.panel.edges.isChecked())

    def _fail(self, problem: Exception, what: str, told: Callable[[Exception, str], bool]) -> None:
        self.details = "".join(traceback.format_exception(problem))
        clear = isinstance(problem, ValueError | TypeError)
        sentence = explain(problem).rstrip(".")
        said = f"{sentence if clear else f'{what} failed: {sentence}'}. No layer was changed."
        if not told(problem, said):
            self.panel.say(said, problem=True, details=not clear and not isinstance(problem, OSError))
        self._show_tree_choice()

    def _show_progress(self) -> None:
        if self.task is not None:
            self.panel.show_progress(self.task.progress)

    def _show_findings(self, prepared: Any, note: str = "") -> None:
        before, now = self.session.findings, prepared.findings
        if before is None or before.source.layer_ids != now.source.layer_ids:
            self.panel.automatic = True  # a number chosen for one image means nothing for another
        chosen = None if self.panel.automatic else self.panel.segments.value
        said = self.session.show_findings(prepared, segments=chosen)
        self._show_count()
        remarks = dict.fromkeys(remark for each in now.analyses for remark in each.provenance["remarks"])
        self.panel.say(" ".join(filter(None, [*remarks, said, note])))

    # Segments and objects

    def _show_segments(self, count: int) -> None:
        self.panel.automatic = False
        started = time.perf_counter()
        self.panel.say(self.session.show_segments(count))
        self.panel.segments.rest_after(time.perf_counter() - started)

    def _show_automatic(self) -> None:
        stack = self.session.stack
        if stack is not None:
            self.panel.automatic = True
            self.panel.say(self.session.show_segments(stack.auto_count))
            self._show_count()

    def _choose_result(self, as_objects: bool) -> None:
        """Show segments, or objects; these are found when they are first asked for."""
        findings = self.session.findings
        if findings is None or self.task is not None or as_objects == (self.session.mode == OBJECTS):
            self.panel.show_mode(objects=self.session.mode == OBJECTS)
            return
        if not as_objects or findings.objects is not None:
            self._show_result(as_objects)
            return

        def finish(found: Any) -> None:
            findings.objects, findings.object_rows = found
            self._show_result(True)

        self.begin(lambda report: find_all_objects(findings, report), finish, what="Finding objects")

    def _show_result(self, as_objects: bool) -> None:
        session = self.session
        self.panel.say(session.show_objects() if as_objects else session.show_segments(session.shown))
        self.panel.set_ready(True, objects=as_objects)

    def _choose_trees(self, follow_edges: bool) -> None:
        findings = self.session.findings
        if findings is None or self.task is not None or follow_edges == findings.follow_edges:
            return
        if follow_edges in findings.stacks:
            self.panel.say(self.session.use_trees(follow_edges))
            self._show_count()
            return

        def work(report: Report) -> Any:
            return other_trees(findings, follow_edges, report)

        def finish(stack: Any) -> None:
            self.panel.say(self.session.add_trees(stack, follow_edges=follow_edges))
            self._show_count()

        self.begin(work, finish)

    def _show_tree_choice(self) -> None:
        """After what did not succeed, the box says again what is shown."""
        findings = self.session.findings
        if findings is not None:
            self.panel.edges.blockSignals(True)
            self.panel.edges.setChecked(findings.follow_edges)
            self.panel.edges.blockSignals(False)

    def _show_count(self) -> None:
        stack = self.session.stack
        if stack is not None:
            self.panel.segments.set_most(stack.leaf_count)
            self.panel.segments.set_value(self.session.shown)

    # Taking results away

    def copy_as_python(self) -> None:
        """Put a script that reproduces what is shown on the clipboard."""
        self.handoff.copy_as_python()

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
