"""The Export dock: Labels layers in every format, all of a layer or some labels, one layer or all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, QUrl
from qtpy.QtGui import QDesktopServices
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_what_where.failures import explain
from napari_what_where.files.many import export_all, file_stem, file_stems, planned_files
from napari_what_where.files.selection import Ranges, add_label, parse_labels
from napari_what_where.progress import Report
from napari_what_where.widgets.export.formats import NO_FORMAT
from napari_what_where.widgets.export.layers import LayerCopy, copy_layer
from napari_what_where.widgets.export.panel import Panel
from napari_what_where.widgets.export.watching import LayerWatch
from napari_what_where.widgets.open_docks import docks_of
from napari_what_where.widgets.results import METADATA_KEY
from napari_what_where.widgets.task import Task

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer

    from napari_what_where.widgets.autosaving import Autosaver

_POLL_MS = 50
NO_LAYER = "There is no Labels layer to export. Add one, or press Run in the What & Where dock."
NO_FOLDER = "Choose the folder that the files go to."
_NO_LABELS = frozenset({"csv", "png-colour"})
"""Formats that labels cannot be read back from: edits that are only there are not safe."""
MOST_NAMED = 6
"""Files that a message names; of more it says how many."""


class ExportDock(QWidget):
    """Controller between the panel of controls, the viewer's layers and the worker thread that writes."""

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer: Viewer = getattr(napari_viewer, "__wrapped__", napari_viewer)
        self.panel = Panel(self)
        self.task: Task | None = None
        self.written: Path | None = None
        """The folder that was written to last."""
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._show_progress)
        panel = self.panel
        panel.export.clicked.connect(self.start)
        panel.cancel.clicked.connect(self.cancel)
        panel.browse.clicked.connect(self._browse)
        panel.open_folder.clicked.connect(self._open_folder)
        panel.add_selected.clicked.connect(self.add_selected)
        panel.labels.textEdited.connect(lambda _: panel.some_labels.setChecked(True))
        for changed in (panel.every.toggled, panel.folder.textChanged, panel.name.textChanged):
            changed.connect(self.show_files)
        for box in panel.formats.values():
            box.toggled.connect(self.show_files)
        self.layers = LayerWatch(self.viewer, panel, self.show_files)
        self.layers.setParent(self)
        self.installEventFilter(self.layers)
        self.layers.ending.connect(self.cancel)
        self.layers.refresh()

    def add_selected(self) -> None:
        """Add the label that is selected in the layer to those that are written."""
        layer = self.layers.chosen()
        if layer is not None and layer.selected_label > 0:
            self.panel.some_labels.setChecked(True)
            self.panel.labels.setText(add_label(self.panel.labels.text(), int(layer.selected_label)))

    def show_files(self, *_: object) -> None:
        """Show what the files will be called."""
        panel = self.panel
        panel.name.setEnabled(panel.this.isChecked())
        paths = self._planned(self.layers.wanted(), panel.chosen_formats())
        panel.files.setText(_named(paths))

    def start(self) -> None:
        """Write what is chosen, in a thread; asks before files are replaced."""
        panel = self.panel
        try:
            layers, ranges = self.layers.wanted(), self._ranges()
            formats = panel.chosen_formats()
            for problem in (
                None if layers else NO_LAYER,
                None if formats else NO_FORMAT,
                None if panel.folder.text().strip() else NO_FOLDER,
                None if self.task is None else "Still writing; press Cancel first.",
            ):
                if problem is not None:
                    raise ValueError(problem)
            copies = [copy_layer(layer, self.layers.image_for(layer)) for layer in layers]
            kept = _kept_edits(self.viewer, layers)
            planned = self._planned(layers, formats)
        except ValueError as problem:
            panel.say(str(problem), problem=True)
            return
        if self._may_replace([path.name for path in planned if path.exists()]):
            whole = ranges is None and not _NO_LABELS.issuperset(formats)
            self._write(copies, self._stems(layers), ranges, formats, kept if whole else [])

    def cancel(self) -> None:
        """Stop; every file stays as it was."""
        if self.task is not None:
            self.task.cancel()

    def _write(
        self,
        copies: Sequence[LayerCopy],
        stems: Sequence[str],
        ranges: Ranges | None,
        formats: Sequence[str],
        kept: Sequence[tuple[Autosaver, Labels, int | None]],
    ) -> None:
        panel, folder = self.panel, Path(self.panel.folder.text().strip()).expanduser()

        def work(report: Report) -> list[Path]:
            exports = [copy.prepare(stem, ranges) for copy, stem in zip(copies, stems, strict=True)]
            return export_all(exports, folder, formats, report=report)

        def finish(paths: list[Path]) -> None:
            self.written = folder
            for autosaver, layer, changes in kept:
                autosaver.exported(layer, changes)
            panel.say(f"Wrote {_named(paths)} in {folder}.", written=True)

        def fail(problem: Exception) -> None:
            panel.say(f"{explain(problem).rstrip('.')}. Nothing was written.", problem=True)

        panel.say("")
        panel.set_busy(True)
        self.task = Task(work, on_success=finish, on_failure=fail, on_end=self._end)
        self.task.start()
        self._timer.start()

    def _end(self) -> None:
        task, self.task = self.task, None
        self._timer.stop()
        self.panel.set_busy(False)
        if task is not None and task.cancelled:
            self.panel.say("Cancelled; every file is as it was.")

    def _show_progress(self) -> None:
        if self.task is not None:
            self.panel.show_progress(self.task.progress)

    def _ranges(self) -> Ranges | None:
        return parse_labels(self.panel.labels.text()) if self.panel.some_labels.isChecked() else None

    def _stems(self, layers: Sequence[Labels]) -> list[str]:
        if self.panel.every.isChecked():
            return file_stems([layer.name for layer in layers])
        return [file_stem(self.panel.name.text()) for _ in layers]

    def _planned(self, layers: Sequence[Labels], formats: Sequence[str]) -> list[Path]:
        stems = self._stems(layers)
        recorded = [stem for stem, layer in zip(stems, layers, strict=True) if METADATA_KEY in layer.metadata]
        return planned_files(Path(self.panel.folder.text().strip()).expanduser(), stems, formats, recorded)

    def _may_replace(self, names: Sequence[str]) -> bool:
        if not names:
            return True
        shown = "\n".join(names[:MOST_NAMED]) + ("\n…" if len(names) > MOST_NAMED else "")
        text = f"These files are there already and would be replaced:\n{shown}"
        return bool(QMessageBox.question(self, "Replace files?", text) == QMessageBox.StandardButton.Yes)

    def _browse(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", self.panel.folder.text())
        if folder:
            self.panel.folder.setText(folder)

    def _open_folder(self) -> None:
        if self.written is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self.written)))


def _kept_edits(viewer: Viewer, layers: Sequence[Labels]) -> list[tuple[Autosaver, Labels, int | None]]:
    """The What & Where docks' savers of edits, with each layer and how often it has changed so far."""
    savers = [dock.keeper.autosaver for dock in docks_of(viewer)]
    return [(saver, layer, saver.changes(layer)) for saver in savers for layer in layers]


def _named(paths: Sequence[Path]) -> str:
    """File names in a row; of many the first, and how many more."""
    names = [path.name for path in paths]
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
