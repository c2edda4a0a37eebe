"""The controls of the dock, laid out; knows nothing of analyses."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_what_where.progress import Progress
from napari_what_where.widgets.controls import SegmentCount, choice_of_device, count_of_eigenvectors, row_of
from napari_what_where.widgets.inputs import SourceInputs
from napari_what_where.widgets.model_menu import ModelMenu
from napari_what_where.widgets.model_options import ModelOptions

PATHWAY_TEXTS = {
    "what": ("What – same kind", "Parts that look alike get alike values"),
    "where": ("Where – layout", "Parts that belong together in the layout get alike values"),
    "both": ("Both", "One analysis over both affinities, weighed equally"),
}
_NEEDS_ATTENTION = "Needs a model with attention: it compares queries with keys"
_STAGES = {
    "reading": "Reading",
    "activations": "Features",
    "affinity": "Affinity",
    "eigenvectors": "Eigenvectors",
    "segments": "Segments",
    "objects": "Objects",
}


class Panel:
    """All controls, as attributes, in the order they are read."""

    def __init__(self, parent: QWidget) -> None:
        self.automatic = True
        """Whether the number of segments is chosen by us."""
        self._make_model()
        self._make_buttons()
        self._make_results()
        layout = QVBoxLayout(parent)
        self.notices = QVBoxLayout()
        """Where a bar with something to decide is put, above everything else."""
        layout.addLayout(self.notices)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.inputs = SourceInputs(form)
        form.addRow("Model", self.models)
        form.addRow("Show", row_of(*self.pathways.values()))
        form.addRow("", self.pathway_hint)
        layout.addLayout(form)
        layout.addWidget(self.more)
        layout.addLayout(_line(self.run, self.cancel))
        layout.addWidget(self.estimate)
        layout.addWidget(self.progress)
        results = QFormLayout()
        results.addRow("Result", row_of(self.as_segments, self.as_objects))
        results.addRow("Segments", row_of(self.segments, self.auto, stretch=0))
        results.addRow("", self.edges)
        results.addRow("", row_of(self.by_kind, self.background))
        layout.addLayout(results)
        layout.addLayout(_line(self.export, self.copy, self.folder))
        layout.addWidget(self.message)
        layout.addLayout(_line(self.copy_details, self.consent))
        layout.addStretch(1)
        self.say("")
        self.set_busy(False)
        self.set_ready(False)

    @property
    def image(self) -> QComboBox:
        """The list of images."""
        return self.inputs.image

    def _make_model(self) -> None:
        self.models = ModelMenu()
        self.pathways = {name: QRadioButton(text) for name, (text, _) in PATHWAY_TEXTS.items()}
        group = QButtonGroup(self.models)
        for button in self.pathways.values():
            group.addButton(button)
        self.pathways["what"].setChecked(True)
        self.pathway_hint = _small_label()
        self.count = count_of_eigenvectors()
        self.device = choice_of_device("Where affinities and eigenvectors are computed")
        self.normalization = QComboBox()
        self.normalization.addItems(["degree", "none"])
        self.normalization.setToolTip("degree: every part of the image counts alike; none: as in the paper")
        self.more = QCollapsible("More")
        options = QWidget()
        form = QFormLayout(options)
        form.addRow("Eigenvectors", self.count)
        form.addRow("Normalization", self.normalization)
        form.addRow("Device", self.device)
        self.model_options = ModelOptions(form)
        self.more.addWidget(options)

    def _make_buttons(self) -> None:
        self.run = QPushButton("Run")
        self.run.setToolTip("Analyse the image; never blocks the window")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; every layer stays as it is")
        self.estimate = _small_label()
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.export = QPushButton("Export…")
        self.export.setToolTip(
            "Write labels, edits included, with eigenvectors and a record of how they were made. "
            "Plugins ▸ What & Where ▸ Export labels has more formats, some labels only, and measurements"
        )
        self.copy = QToolButton()
        self.copy.setText("Copy")
        self.copy.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.copy.setToolTip("Copy a Python script that makes the same again; the arrow offers a command, too")
        self.copy.setPopupMode(QToolButton.ToolButtonPopupMode.MenuButtonPopup)
        menu = QMenu(self.copy)
        self.copy_python = menu.addAction("Copy as Python")
        self.copy_command = menu.addAction("Copy as command")
        self.copy.setMenu(menu)
        self.folder = QPushButton("To a folder…")
        self.folder.setToolTip("Run all images of a folder with these settings")
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy_details = QPushButton("Copy details")
        self.copy_details.setToolTip("The full error report, for a bug report")
        self.consent = QPushButton()

    def _make_results(self) -> None:
        self.as_segments = QRadioButton("Segments")
        self.as_segments.setToolTip("Everything, in as many regions as you like")
        self.as_objects = QRadioButton("Objects")
        self.as_objects.setToolTip("What stands apart, each with a number of its own; the rest is background")
        self._results = QButtonGroup(self.models)
        self._results.addButton(self.as_segments)
        self._results.addButton(self.as_objects)
        self.as_segments.setChecked(True)
        self.segments = SegmentCount()
        self.auto = QPushButton("Auto")
        self.auto.setToolTip("Choose the number of segments from the image")
        self.edges = QCheckBox("follow image edges")
        self.edges.setChecked(True)
        self.edges.setToolTip(
            "Segments end at edges and colour changes of the image; off, the eigenvectors decide alone"
        )
        self.by_kind = QCheckBox("colour by kind")
        self.by_kind.setToolTip("One colour for all that look alike, instead of one for each")
        self.background = QPushButton("Background…")
        self.background.setCheckable(True)
        self.background.setToolTip("Then click what is background on the image: it becomes 0. Click it again to undo")

    def settings(self) -> dict[str, Any]:
        """What the user chose, as options of ``analyze``. Raises ``ValueError``, in words, for what is no option."""
        return {
            "backbone": self.models.name,
            "backbone_options": self.model_options.values(),
            "pathway": next(name for name, button in self.pathways.items() if button.isChecked()),
            "count": int(self.count.value()),
            "normalization": self.normalization.currentText(),
            "device": self.device.currentText(),
            "follow_edges": bool(self.edges.isChecked()),
            "smallest_object": self.inputs.size.pixels,
        }

    def choose_image(self, layer: Any) -> None:
        """Choose ``layer`` if it is on offer."""
        self.inputs.choose((layer,))

    def image_layer(self) -> Any:
        """The chosen layer, or the first of those chosen, or None."""
        return next(iter(self.inputs.layers()), None)

    def offer_pathways(self, model: str, pathways: tuple[str, ...]) -> None:
        """Allow only what a model can give; the choice stays where that is possible."""
        for name, button in self.pathways.items():
            needed = ("what", "where") if name == "both" else (name,)
            possible = set(needed) <= set(pathways)
            button.setEnabled(possible)
            button.setToolTip(PATHWAY_TEXTS[name][1] if possible else _NEEDS_ATTENTION)
            if not possible and button.isChecked():
                self.pathways[pathways[0]].setChecked(True)
        without = "where" not in pathways
        self.pathway_hint.setText(f"Where needs a model with attention; {model} has none." if without else "")
        self.pathway_hint.setVisible(without)

    def set_busy(self, busy: bool) -> None:
        """While something runs: Cancel instead of Run, and a progress bar."""
        self.run.setEnabled(not busy)
        self.cancel.setEnabled(busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)
        self.folder.setEnabled(not busy)
        if busy:
            self.export.setEnabled(False)

    def set_ready(self, ready: bool, *, objects: bool = False) -> None:
        """Whether there are results to change and to take away, and whether they are shown as objects."""
        results = (self.as_segments, self.as_objects, self.by_kind, self.background, self.export, self.copy)
        for control in results:
            control.setEnabled(ready)
        for control in (self.segments, self.auto, self.edges):
            control.setEnabled((ready or control is self.edges) and not objects)
        self.show_mode(objects=objects)

    def show_mode(self, *, objects: bool) -> None:
        """Show which result is on screen, without doing anything about it."""
        for button, chosen in ((self.as_segments, not objects), (self.as_objects, objects)):
            button.blockSignals(True)
            button.setChecked(chosen)
            button.blockSignals(False)

    def show_progress(self, progress: Progress) -> None:
        """Show the stage, and how far it is if that is known."""
        known = progress.total > 0
        self.progress.setRange(0, progress.total if known else 0)
        self.progress.setValue(progress.done if known else 0)
        self.progress.setFormat(progress_text(progress))

    def say(self, text: str, *, problem: bool = False, details: bool = False, consent: str = "") -> None:
        """One sentence to the user; ``details`` offers the full error report, ``consent`` something to agree to."""
        self.message.setText(text)
        self.message.setStyleSheet("color: #e07b53;" if problem else "")
        self.copy_details.setVisible(details)
        self.consent.setText(consent)
        self.consent.setVisible(bool(consent))


def progress_text(progress: Progress) -> str:
    """What the bar says: "Affinity 3/12", "Downloading dino-vits16: 12 of 87 MB, 14 %", "Loading dino-vits16"."""
    stage, done, total = progress
    text = _STAGES.get(stage, stage[:1].upper() + stage[1:])
    if stage.startswith(("downloading ", "checking ")):
        return f"{text}: {done:,} of {total:,} MB, {100 * done // max(total, 1)} %"
    return f"{text} {done}/{total}" if total > 0 else text


def _small_label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setStyleSheet("font-size: 10px; color: gray;")
    return label


def _line(*widgets: QWidget) -> QHBoxLayout:
    line = QHBoxLayout()
    for widget in widgets:
        line.addWidget(widget, 1)
    return line
