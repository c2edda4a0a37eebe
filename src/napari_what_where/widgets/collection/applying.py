"""The kinds of a collection in other images: applied to one on screen, saved, loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject
from qtpy.QtWidgets import QFileDialog

from napari_what_where.progress import Progress, Report, checkpoints
from napari_what_where.widgets.collection.results import applied
from napari_what_where.widgets.source import source_of
from napari_what_where.widgets.task_dock import STILL_RUNNING

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.widgets.collection.dock import CollectionDock

NOTHING_YET = "Press Run first, or load a file with what was found in other images."
NO_TARGET = "Open an image to apply the kinds to."
ENDING = ".projection.pt"


class Applying(QObject):
    """Holds what applies the kinds, of the last run or loaded."""

    def __init__(self, dock: CollectionDock) -> None:
        super().__init__(dock)
        self._dock, panel = dock, dock.panel
        self.projection: CollectionAnalysis | None = None
        self.projection_of = ""
        """The name of the images that it was found in."""
        panel.apply.clicked.connect(self.apply)
        panel.save.clicked.connect(self._ask_save)
        panel.load.clicked.connect(self._ask_load)

    @property
    def able(self) -> bool:
        """Whether there is something to apply; the published method knows no other images."""
        return self.projection is not None and self.projection.projector.projection is not None

    def take(self, analysis: CollectionAnalysis | None, of: str) -> None:
        """From now on it is this."""
        self.projection, self.projection_of = analysis, of

    def apply(self) -> None:
        """Label one more image as those that were analysed."""
        dock, analysis, of = self._dock, self.projection, self.projection_of
        layer = dock.watch.target()
        if dock.task is not None or analysis is None or layer is None:
            said = STILL_RUNNING if dock.task is not None else NOTHING_YET if analysis is None else NO_TARGET
            dock.say(said, problem=dock.task is None)
            return
        try:
            source = source_of(dock.viewer, layer)
        except ValueError as problem:
            dock.say(str(problem), problem=True)
            return

        def work(report: Report) -> Any:
            report(progress := Progress("projection", 0, 0))
            with checkpoints(report, progress):
                pixels = source.pixels()
                vectors, labels = analysis.apply(pixels)
                return applied(source, labels, vectors, analysis, of)

        def finish(specs: Any) -> None:
            vectors, labels = specs
            image = dock.viewer.add_image(vectors.data, **vectors.attributes)
            try:
                layer = dock.viewer.add_labels(labels.data, **labels.attributes)
            except Exception:
                dock.viewer.layers.remove(image)
                raise
            dock.saving.watch(layer)
            dock.say(f"{layer.name!r}: the same numbers mean the same kinds as in {of}.")

        dock.begin(work, finish, what="Applying")

    def save(self, name: str) -> None:
        """Write what applies the kinds to other images."""
        dock, analysis = self._dock, self.projection
        if analysis is None or dock.task is not None:
            dock.say(NOTHING_YET if analysis is None else STILL_RUNNING, problem=analysis is None)
            return
        path = Path(name)
        dock.begin(lambda report: analysis.save(path), lambda _: dock.say(f"Saved {path}."), what="Saving")

    def load(self, name: str) -> None:
        """Read what was saved, to apply it."""
        dock = self._dock
        if dock.task is not None:
            dock.say(STILL_RUNNING)
            return
        path, device = Path(name), dock.panel.device.currentText()

        def work(report: Report) -> Any:
            from napari_what_where.collection.answer import CollectionAnalysis

            return CollectionAnalysis.load(path, device=device)

        def finish(analysis: Any) -> None:
            self.take(analysis, path.name.removesuffix(ENDING))
            dock.say(f"{analysis.clusters} kinds from {path.name} can be applied to any image.")

        dock.begin(work, finish, what="Loading")

    def _ask_save(self) -> None:
        name = f"{self.projection_of or 'collection'}{ENDING}"
        path, _ = QFileDialog.getSaveFileName(self._dock, "Save the kinds", name, f"Kinds (*{ENDING})")
        if path:
            self.save(path if path.endswith(".pt") else f"{path}{ENDING}")

    def _ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self._dock, "Load kinds", "", "Kinds (*.pt)")
        if path:
            self.load(path)
