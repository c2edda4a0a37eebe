"""What a folder holds, said while it is chosen; listed in a thread, as folders on a network take their time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QFileDialog

from napari_what_where.failures import explain
from napari_what_where.widgets.collection.pool import suggested_working
from napari_what_where.widgets.task import Task

if TYPE_CHECKING:
    from napari_what_where.progress import Report
    from napari_what_where.widgets.collection.dock import CollectionDock

_PAUSE_MS = 300


class Listing(QObject):
    """Follows the line with the folder."""

    def __init__(self, dock: CollectionDock) -> None:
        super().__init__(dock)
        self._dock, self._inputs = dock, dock.panel.inputs
        self.task: Task | None = None
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self.look)
        self._inputs.folder.textChanged.connect(lambda _: self._pause.start())
        self._inputs.browse.clicked.connect(lambda: self._browse(self._inputs.folder, "Folder of images"))
        self._inputs.browse_kept.clicked.connect(lambda: self._browse(self._inputs.kept, "Where results are kept"))

    def look(self) -> None:
        """List the folder that is chosen now."""
        text = self._inputs.folder.text().strip()
        self.stop()
        if not text:
            self._inputs.listing.setText("")
            return

        def work(report: Report) -> tuple[int, Path]:
            from napari_what_where.files.filenames import find_images

            folder = Path(text).expanduser()
            return len(find_images(folder)), suggested_working(folder)

        def show(found: Any) -> None:
            if self.task is task:
                count, working = found
                self._inputs.listing.setText(f"{count:,} image{'s' * (count != 1)}" if count else "no images in it")
                self._inputs.kept.setPlaceholderText(str(working))

        def fail(problem: Exception) -> None:
            if self.task is task:
                self._inputs.listing.setText(explain(problem))

        def end() -> None:
            if self.task is task:
                self.task = None

        self.task = task = Task(work, on_success=show, on_failure=fail, on_end=end)
        task.start()

    def stop(self) -> None:
        """Of what is being listed nothing is wanted any more."""
        self._pause.stop()
        if self.task is not None:
            self.task.cancel()
            self.task = None

    def _browse(self, line: Any, title: str) -> None:
        folder = QFileDialog.getExistingDirectory(self._dock, title, line.text())
        if folder:
            line.setText(folder)
