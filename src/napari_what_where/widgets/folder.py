"""A window that runs all images of a folder with one set of settings: progress, one line a file, cancel, resume."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_what_where.failures import explain
from napari_what_where.progress import Report
from napari_what_where.widgets.export.formats import NO_FORMAT, boxes_of_formats, offer_formats, ticked_formats
from napari_what_where.widgets.task import Task

if TYPE_CHECKING:
    from napari_what_where.batch import BatchSettings, FilePart, FileResult

_POLL_MS = 100
_ACROSS = 4
"""Formats in a row."""
_WORDS = {"done": "done", "skipped": "done before", "failed": "failed"}


class FolderDialog(QDialog):
    """Choose a folder of images and one for results, and start; files that were done before are not done again."""

    def __init__(self, settings: BatchSettings, part: FilePart, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Same settings to a folder")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
        self.resize(640, 420)
        self._settings, self._part = settings, part
        self._results: list[FileResult] = []
        self._shown, self._failure = 0, ""
        self.task: Task | None = None
        self._lay_out()
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._look)
        self.source.textChanged.connect(self._suggest)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        said = QLabel(describe(self._settings, self._part))
        said.setWordWrap(True)
        layout.addWidget(said)
        form = QFormLayout()
        self.source, self.target = QLineEdit(), QLineEdit()
        for text, line in (("Images in", self.source), ("Results to", self.target)):
            row = QHBoxLayout()
            button = QPushButton("Browse…")
            button.clicked.connect(lambda _=False, line=line: self._browse(line))
            row.addWidget(line, 1)
            row.addWidget(button)
            form.addRow(text, row)
        written = QLabel("Labels as")
        written.setToolTip(
            "The formats that the labels of every image are written in, a file each; eigenvectors are TIFF.\n"
            "With other formats than before, images that were done are done again"
        )
        form.addRow(written, self._make_formats())
        layout.addLayout(form)
        self.files = QTreeWidget()
        self.files.setHeaderLabels(["File", "", "What happened"])
        self.files.setRootIsDecorated(False)
        self.files.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        layout.addWidget(self.files, 1)
        self.progress = QProgressBar()
        layout.addWidget(self.progress)
        self.message = QLabel()
        self.message.setWordWrap(True)
        layout.addWidget(self.message)
        buttons = QHBoxLayout()
        self.begin, self.stop, self.leave = QPushButton("Start"), QPushButton("Cancel"), QPushButton("Close")
        self.stop.setEnabled(False)
        self.begin.clicked.connect(self.start)
        self.stop.clicked.connect(self.cancel)
        self.leave.clicked.connect(self.close)
        for button in (self.begin, self.stop, self.leave):
            button.setAutoDefault(False)
            buttons.addWidget(button)
        layout.addLayout(buttons)

    def _make_formats(self) -> QGridLayout:
        self.formats = boxes_of_formats()
        offer_formats(self.formats, stacks=self._part.plane_axis is not None)
        grid = QGridLayout()
        for number, (name, box) in enumerate(self.formats.items()):
            box.setChecked(name in self._settings.formats)
            grid.addWidget(box, number // _ACROSS, number % _ACROSS)
        return grid

    def chosen_formats(self) -> list[str]:
        """The names of the formats that are ticked and possible."""
        return ticked_formats(self.formats)

    def start(self) -> None:
        """Run the folder, in a thread."""
        from napari_what_where.batch import find_images, run_batch

        if self.task is not None:
            return
        source, target = self.source.text().strip(), self.target.text().strip()
        try:
            files = find_images(source) if source else []
        except OSError as problem:
            self.message.setText(explain(problem))
            return
        if not files or not target:
            missing = (
                "Choose the folder of results." if files else "There are no images in this folder that can be read."
            )
            self.message.setText(missing if source else "Choose a folder of images.")
            return
        formats = self.chosen_formats()
        if not formats:
            self.message.setText(NO_FORMAT)
            return
        settings = replace(self._settings, formats=tuple(formats))
        self.files.clear()
        self._results, self._shown = [], 0
        self._failure = ""
        self.progress.setRange(0, len(files))
        self._set_busy(True)

        def work(report: Report) -> None:
            run_batch(
                files,
                target,
                settings,
                part=self._part,
                resume=True,
                report=report,
                on_result=self._results.append,
            )

        self.task = Task(work, on_success=lambda _: None, on_failure=self._fail, on_end=self._end, aside=True)
        self.message.setText("")
        self.task.start()
        self._timer.start()

    def cancel(self) -> None:
        """Stop; files that are done stay, and the next start goes on from there."""
        if self.task is not None:
            self.task.cancel()
            self.message.setText("Cancelling …")

    def closeEvent(self, event: Any) -> None:
        """Closing the window stops the run, too."""
        self.cancel()
        super().closeEvent(event)

    def _browse(self, line: QLineEdit) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Choose a folder", line.text())
        if folder:
            line.setText(folder)

    def _suggest(self, source: str) -> None:
        if source:
            self.target.setText(str(Path(source) / "what-where"))

    def _look(self) -> None:
        """Show the files that are done by now; the worker only appends to a list."""
        for result in self._results[self._shown :]:
            item = QTreeWidgetItem([result.path.name, _WORDS[result.status], result.message])
            item.setToolTip(2, result.message)
            self.files.addTopLevelItem(item)
            self.files.scrollToItem(item)
            self._shown += 1
        self.progress.setValue(self._shown)
        if self.task is not None:
            self.progress.setFormat(f"%v of %m · {self.task.progress.stage}")

    def _fail(self, problem: Exception) -> None:
        self._failure = explain(problem)

    def _end(self) -> None:
        self._timer.stop()
        task, self.task = self.task, None
        self._look()
        self._set_busy(False)
        self.progress.setFormat("%v of %m")
        counts = {status: sum(result.status == status for result in self._results) for status in _WORDS}
        said = ", ".join(f"{number} {_WORDS[status]}" for status, number in counts.items() if number)
        if self._failure:
            said = self._failure
        elif task is not None and task.cancelled:
            said = f"Cancelled; {said or 'nothing'} so far. Start goes on from here."
        self.message.setText(said)

    def _set_busy(self, busy: bool) -> None:
        self.begin.setEnabled(not busy)
        self.stop.setEnabled(busy)


def describe(settings: BatchSettings, part: FilePart) -> str:
    """The settings in a line."""
    size = "automatic" if settings.smallest_object is None else f"{settings.smallest_object:g} px"
    what = "objects and " if settings.objects else ""
    edges = "edges followed" if settings.follow_edges else "edges ignored"
    options = "".join(
        f", {name.replace('_', ' ')} {_plain(value)}" for name, value in settings.backbone_options.items()
    )
    said = (
        f"{what}{settings.segments} segments · {settings.backbone}{options}, {settings.pathway} · "
        f"{settings.count} eigenvectors · smallest object {size} · {edges}"
    )
    if part.channel_axis is not None:
        said += f" · channels on axis {part.channel_axis}"
    if part.plane_axis is not None:
        said += f" · every plane along axis {part.plane_axis}, {'linked' if settings.linked else 'each by itself'}"
    return said[0].upper() + said[1:]


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
