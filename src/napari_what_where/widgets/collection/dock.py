"""The Collection dock: many images in, kinds of things that mean the same in all of them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QApplication

from napari_what_where.collection.kept import Kept
from napari_what_where.progress import Report
from napari_what_where.widgets.collection.applying import NOTHING_YET, Applying
from napari_what_where.widgets.collection.inputs import FOLDER, LAYERS, STACK
from napari_what_where.widgets.collection.listing import Listing
from napari_what_where.widgets.collection.panel import Panel
from napari_what_where.widgets.collection.places import Places
from napari_what_where.widgets.collection.pool import (
    NO_FOLDER,
    NO_LAYERS,
    NO_STACK,
    Pool,
    pool_of_folder,
    pool_of_layers,
    pool_of_stack,
    suggested_working,
)
from napari_what_where.widgets.collection.results import prepare
from napari_what_where.widgets.collection.session import Session
from napari_what_where.widgets.collection.tracing import Traces, trace
from napari_what_where.widgets.collection.watching import Watch
from napari_what_where.widgets.models import Models
from napari_what_where.widgets.refine.saving import Saving
from napari_what_where.widgets.task import Task
from napari_what_where.widgets.task_dock import STILL_RUNNING, TaskDock
from napari_what_where.widgets.warming import warm_collection

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_what_where.widgets.collection.results import Found


class CollectionDock(TaskDock):
    """Controller between the panel of controls, the session of results and the worker thread.

    The GUI thread only reads settings and moves layers; everything that takes time is a task.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        # Through napari's proxy a layer is never identical with itself; only public attributes are used.
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.panel = Panel(self)
        self.saving = Saving(self)
        self.session = Session(self.viewer, on_written=self.saving.watch)
        self.places = Places()
        self._traces: tuple[Found, Traces] | None = None
        self.models = Models(self)
        self.listing = Listing(self)
        self.applying = Applying(self)
        self._connect_panel()
        self.watch = Watch(self)
        warm_collection()

    def _connect_panel(self) -> None:
        panel = self.panel
        panel.run.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.copy_details.clicked.connect(lambda: QApplication.clipboard().setText(self.details))
        panel.table.itemSelectionChanged.connect(self._show_kind)
        panel.only.toggled.connect(self.session.show_only_selected)
        panel.edit.clicked.connect(self._edit)
        panel.trace.clicked.connect(self.trace)

    def say(self, text: str, *, problem: bool = False) -> None:
        """One sentence to the user."""
        self.panel.say(text, problem=problem)

    # Running

    def start(self) -> None:
        """Analyse the chosen images with the current settings."""
        if self.task is not None:
            self.say(STILL_RUNNING)
            return
        try:
            make, settings = self._chosen(), self.panel.settings()
        except ValueError as problem:
            self.say(str(problem), problem=True)
            return
        if self.models.refuse():
            return

        places = self.places

        def work(report: Report) -> Any:
            from napari_what_where.collection.analysis import analyze_collection

            options = dict(settings)
            model = self.models.load(options.pop("backbone"), options.pop("backbone_options"))
            pool = make()
            size = options["smallest_object"]
            options["smallest_object"] = None if size is None else size / pool.factor
            with places.place(pool, settings) as place:
                record = Kept.of(place, settings).record
                before = _stamp(record)
                analysis = analyze_collection(
                    pool.images, backbone=model, folder=place, skip_bad=True, warn=False, report=report, **options
                )
                places.hold(analysis)
            return prepare(pool, analysis, report), before is not None and before == _stamp(record)

        def finish(answer: Any) -> None:
            found, earlier = answer
            said = self.session.show(found)
            self.applying.take(found.analysis, found.pool.name)
            if found.pool.working is not None:
                said += f" {'Found again' if earlier else 'Kept'} in {found.analysis.folder}."
            self.say(" ".join([*found.analysis.provenance.get("remarks", ()), said]))
            self.panel.only.setChecked(False)
            self._show_kinds()

        def stopped() -> str:
            return "Cancelled; no layer was changed. Run goes on from here."

        self.begin(work, finish, on_failure=lambda problem, said: self.models.explain(problem), on_cancel=stopped)

    def _chosen(self) -> Callable[[], Pool]:
        """What makes the pool of images, in the worker where that means reading a disk. ``ValueError`` in words."""
        inputs = self.panel.inputs
        if inputs.kind == FOLDER:
            text, kept = inputs.folder.text().strip(), inputs.kept.text().strip()
            if not text:
                raise ValueError(NO_FOLDER)
            folder = Path(text).expanduser()

            def of_folder() -> Pool:
                return pool_of_folder(folder, Path(kept).expanduser() if kept else suggested_working(folder))

            return of_folder
        if inputs.kind == LAYERS:
            selected = self.watch.selected()
            if len(selected) < 2:
                raise ValueError(NO_LAYERS)
            pool = pool_of_layers(self.viewer, selected, self.panel.size.pixels)
        else:
            layers, axis = inputs.stack.layers(), inputs.stack.planes.currentData()
            if not layers or layers[0] not in self.viewer.layers or axis is None:
                raise ValueError(NO_STACK)
            channels, size = inputs.stack.channels.currentData(), self.panel.size.pixels
            pool = pool_of_stack(self.viewer, layers[0], axis, channels, size)
        return lambda: pool

    def before_task(self) -> None:
        """See :class:`TaskDock`."""
        self.watch.watch_window()

    def after_task(self, task: Task) -> None:
        """See :class:`TaskDock`."""
        self.show_ready()

    def stop(self) -> None:
        """Stop all that runs, for good: what it would find has nowhere to go."""
        self.listing.stop()
        self.models.drop()
        if self.task is not None:
            self.task.cancel()
        self.applying.take(None, "")
        self.session.close()
        self.places.close()
        self.saving.close()

    # What was found

    def show_ready(self) -> None:
        """Offer what can be done with what there is."""
        if self.task is not None:
            return
        found, kind = self.session.found, None
        if found is not None and self.session.labels_layers:
            kind = STACK if found.pool.stack else LAYERS if found.pool.layers else FOLDER
        self.panel.set_ready(kind, projection=self.applying.able, editable=found is not None and not found.lazy)
        self.show_current()

    def show_current(self) -> None:
        """Name the image of a stack or folder that is on screen."""
        number, found = self.session.current(), self.session.found
        if number is not None and found is not None:
            text = f"{number + 1:,} of {len(found.analysis):,}: {found.pool.names[number]}"
            self.panel.current.setText(text)
            self.panel.current.setToolTip(found.analysis.failures.get(number, found.pool.names[number]))

    def _show_kinds(self) -> None:
        from napari_what_where.collection.report.colours import label_colours

        found = self.session.found
        assert found is not None
        colours = [[int(each) for each in colour] for colour in label_colours(len(found.kinds))]
        self.panel.show_kinds(found.kinds, found.failures, colours)

    def _show_kind(self) -> None:
        rows = self.panel.table.selectionModel().selectedRows()
        found = self.session.found
        if rows and found is not None:
            self.say(self.session.go_to(found.kinds[rows[0].row()]))

    def _edit(self) -> None:
        self.say(self.session.edit_current())

    def trace(self) -> None:
        """Cut every plane of a stack in regions that keep their number from frame to frame."""
        found, count = self.session.found, int(self.panel.regions.value())
        if self.task is not None or found is None or found.pool.stack is None:
            self.say(STILL_RUNNING if self.task is not None else NOTHING_YET)
            return
        known = self._traces[1] if self._traces is not None and self._traces[0] is found else None

        def work(report: Report) -> Any:
            traces = known or trace(found.analysis, report)
            return traces, *traces.cut(count)

        def finish(answer: Any) -> None:
            traces, labels, table = answer
            self._traces = found, traces
            self.say(self.session.show_regions(labels, table))

        self.begin(work, finish, what="Tracing")


def _stamp(path: Path) -> int | None:
    """When a file was written, if it is there."""
    return path.stat().st_mtime_ns if path.exists() else None
