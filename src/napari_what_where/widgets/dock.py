"""The What & Where dock: image in, eigenvectors and editable segments out."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication

from napari_what_where.activations.registry import list_backbones
from napari_what_where.estimates.resources import Estimate, remember_speed
from napari_what_where.progress import Report
from napari_what_where.widgets.background import BackgroundPicker
from napari_what_where.widgets.choosing import Chooser
from napari_what_where.widgets.estimating import Estimator
from napari_what_where.widgets.exporting import Exporter
from napari_what_where.widgets.findings import find_all_objects, other_trees
from napari_what_where.widgets.handoff import Handoff
from napari_what_where.widgets.keeping import Keeper
from napari_what_where.widgets.models import Models
from napari_what_where.widgets.open_docks import announce
from napari_what_where.widgets.panel import Panel
from napari_what_where.widgets.picking import CanvasPicker
from napari_what_where.widgets.session import OBJECTS, Session, prepare
from napari_what_where.widgets.source import Source
from napari_what_where.widgets.task import Task
from napari_what_where.widgets.task_dock import STILL_RUNNING, TaskDock

if TYPE_CHECKING:
    from napari.viewer import Viewer

MUCH_MORE = 2
"""So many times the pixels of one view take long enough for the view to be shown first."""
FINER_SOON = "This is the whole at a glance; finer segments are being made. Cancel keeps what is here."


class WhatWhereDock(TaskDock):
    """Controller between the panel of controls, the session of results and the worker thread.

    The GUI thread only reads settings, moves layers and looks labels up; everything that takes time is a task.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # Through napari's proxy a layer is never identical with itself; only public attributes are used.
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.panel = Panel(self)
        self.keeper = Keeper(self)
        self.session = Session(self.viewer, on_written=self.keeper.note)
        self.picker = CanvasPicker(self.viewer)
        self.exporter = Exporter(self)
        self.handoff = Handoff(self)
        self.background = BackgroundPicker(self)
        self.estimator = Estimator(self)
        self.models = Models(self)
        self.chooser = Chooser(self)
        self._next: Callable[[], None] | None = None
        self._connect_panel()
        announce(self)

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

    # Running

    def start(self) -> None:
        """Analyse the chosen image with the current settings."""
        if self.task is not None:
            self.panel.say(STILL_RUNNING)
            return
        try:
            source = self.chooser.find_source()
            settings = self.chooser.settings_for(source)
        except ValueError as problem:
            self.panel.say(str(problem), problem=True)
            return
        if self.models.refuse():
            return
        estimate = self.estimator.of(source, settings)
        if not self.estimator.refuse(estimate, source, settings):
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

        options = dict(settings)
        model = options.pop("backbone"), options.pop("backbone_options")

        def work(report: Report) -> Any:
            options["backbone"] = self.models.load(*model)
            if source.plane_axis is None:
                from napari_what_where.pipeline import analyze

                analyses = [analyze(source.pixels(), report=report, **options)]
            else:
                from napari_what_where.planes import analyze_planes

                analyses = analyze_planes(source.planes, report=report, **options)
            return prepare(analyses, source, follow_edges=follow_edges)

        def finish(prepared: Any) -> None:
            if model[0] in list_backbones():  # of others nothing is known to compare with
                remember_speed(estimate, time.perf_counter() - started)
            self._show_findings(prepared, note)

        def fail(problem: Exception, said: str) -> bool:
            return self.models.explain(problem) or self.estimator.offer_smaller(problem, source, settings, said)

        self.begin(work, finish, on_failure=fail, quiet=quiet)

    def before_task(self) -> None:
        """See :class:`TaskDock`."""
        self.keeper.watch_window()

    def follow_up(self, task: Task) -> bool:
        """See :class:`TaskDock`."""
        following, self._next = self._next, None
        if following is not None and task.succeeded:
            following()
            return True
        return False

    def after_task(self, task: Task) -> None:
        """See :class:`TaskDock`."""
        findings = self.session.findings
        self.panel.set_ready(findings is not None, objects=self.session.mode == OBJECTS)
        if task.cancelled:
            self._show_tree_choice()
        elif findings is not None and self.panel.edges.isChecked() != findings.follow_edges:
            self._choose_trees(self.panel.edges.isChecked())

    def _fail(self, problem: Exception, what: str, told: Callable[[Exception, str], bool]) -> None:
        super()._fail(problem, what, told)
        self._show_tree_choice()

    def stop(self) -> None:
        """Stop all that runs: what it would find has nowhere to go."""
        self.handoff.stop()
        self.models.drop()
        if self.task is not None:
            self.task.cancel()

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
