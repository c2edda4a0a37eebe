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
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.registry import list_backbones
from napari_what_where.device import DEVICES
from napari_what_where.progress import Progress
from napari_what_where.widgets.controls import SegmentCount

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
}


class Panel:
    """All controls, as attributes, in the order they are read."""

    def __init__(self, parent: QWidget) -> None:
        self.automatic = True
        """Whether the number of segments is chosen by us."""
        self._layers: list[Any] = []
        self._make_inputs()
        self._make_buttons()
        layout = QVBoxLayout(parent)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Image", self.image)
        form.addRow("Model", self.model)
        form.addRow("", self.model_status)
        form.addRow("Show", _row(*self.pathways.values()))
        form.addRow("", self.pathway_hint)
        layout.addLayout(form)
        layout.addWidget(self.more)
        layout.addLayout(_line(self.run, self.cancel))
        layout.addWidget(self.progress)
        segments = QFormLayout()
        segments.addRow("Segments", _row(self.segments, self.auto, stretch=0))
        segments.addRow("", self.edges)
        layout.addLayout(segments)
        layout.addLayout(_line(self.export, self.copy))
        layout.addWidget(self.message)
        layout.addWidget(self.copy_details, alignment=Qt.AlignmentFlag.AlignLeft)
        layout.addStretch(1)
        self.set_busy(False)
        self.set_ready(False)

    def _make_inputs(self) -> None:
        self.image = QComboBox()
        self.image.setToolTip("The Image layer to analyse; of a stack, the slice on screen")
        self.model = QComboBox()
        self.model.addItems(list_backbones())
        self.model_status = _small_label()
        self.pathways = {name: QRadioButton(text) for name, (text, _) in PATHWAY_TEXTS.items()}
        group = QButtonGroup(self.image)
        for button in self.pathways.values():
            group.addButton(button)
        self.pathways["what"].setChecked(True)
        self.pathway_hint = _small_label()
        self.count = QSpinBox()
        self.count.setRange(1, 200)
        self.count.setValue(16)
        self.count.setToolTip("How many eigenvectors to solve for")
        self.device = QComboBox()
        self.device.addItems(DEVICES)
        self.device.setToolTip("Where affinities and eigenvectors are computed; auto takes a GPU if there is one")
        self.normalization = QComboBox()
        self.normalization.addItems(["degree", "none"])
        self.normalization.setToolTip("degree: every part of the image counts alike; none: as in the paper")
        self.more = QCollapsible("More")
        options = QWidget()
        form = QFormLayout(options)
        form.addRow("Eigenvectors", self.count)
        form.addRow("Normalization", self.normalization)
        form.addRow("Device", self.device)
        self.more.addWidget(options)

    def _make_buttons(self) -> None:
        self.run = QPushButton("Run")
        self.run.setToolTip("Analyse the image; takes seconds and never blocks the window")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; every layer stays as it is")
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.segments = SegmentCount()
        self.auto = QPushButton("Auto")
        self.auto.setToolTip("Choose the number of segments from the image")
        self.edges = QCheckBox("follow image edges")
        self.edges.setChecked(True)
        self.edges.setToolTip(
            "Segments end at edges and colour changes of the image; off, the eigenvectors decide alone"
        )
        self.export = QPushButton("Export…")
        self.export.setToolTip("Write labels, edits included, with eigenvectors and a record of how they were made")
        self.copy = QPushButton("Copy as Python")
        self.copy.setToolTip("A script that makes the same segments again")
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy_details = QPushButton("Copy details")
        self.copy_details.setToolTip("The full error report, for a bug report")

    def settings(self) -> dict[str, Any]:
        """What the user chose, as options of ``analyze``."""
        return {
            "backbone": self.model.currentText(),
            "pathway": next(name for name, button in self.pathways.items() if button.isChecked()),
            "count": int(self.count.value()),
            "normalization": self.normalization.currentText(),
            "device": self.device.currentText(),
            "follow_edges": bool(self.edges.isChecked()),
        }

    def offer_images(self, layers: list[Any]) -> None:
        """Fill the list of images, keeping the choice."""
        chosen = self.image_layer()
        self._layers = list(layers)
        self.image.clear()
        self.image.addItems([layer.name for layer in layers])
        if not layers:
            self.image.setPlaceholderText("no image open")
        self.choose_image(chosen)

    def choose_image(self, layer: Any) -> None:
        """Choose ``layer`` if it is on offer."""
        if layer in self._layers:
            self.image.setCurrentIndex(self._layers.index(layer))

    def image_layer(self) -> Any:
        """The chosen layer, or None."""
        index = self.image.currentIndex()
        return self._layers[index] if 0 <= index < len(self._layers) else None

    def show_model(self, info: BackboneInfo) -> None:
        """Say what the model is, and allow only what it can give."""
        size = f"{info.size_bytes / 1e6:.0f} MB" if info.size_bytes else "no download"
        self.model_status.setText(f"{info.status} · {size}")
        self.model_status.setToolTip(info.description)
        for name, button in self.pathways.items():
            needed = ("what", "where") if name == "both" else (name,)
            possible = set(needed) <= set(info.pathways)
            button.setEnabled(possible)
            button.setToolTip(PATHWAY_TEXTS[name][1] if possible else _NEEDS_ATTENTION)
            if not possible and button.isChecked():
                self.pathways[info.pathways[0]].setChecked(True)
        without = "where" not in info.pathways
        self.pathway_hint.setText(f"Where needs a model with attention; {info.name} has none." if without else "")
        self.pathway_hint.setVisible(without)

    def set_busy(self, busy: bool) -> None:
        """While something runs: Cancel instead of Run, and a progress bar."""
        self.run.setEnabled(not busy)
        self.cancel.setEnabled(busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)
        if busy:
            self.export.setEnabled(False)

    def set_ready(self, ready: bool) -> None:
        """Whether there are segments to change and to take away."""
        for control in (self.segments, self.auto, self.export, self.copy):
            control.setEnabled(ready)

    def show_progress(self, progress: Progress) -> None:
        """Show the stage, and how far it is if that is known."""
        known = progress.total > 0
        self.progress.setRange(0, progress.total if known else 0)
        self.progress.setValue(progress.done if known else 0)
        steps = f" {progress.done}/{progress.total}" if known else ""
        self.progress.setFormat(f"{_STAGES.get(progress.stage, progress.stage)}{steps}")

    def say(self, text: str, *, problem: bool = False, details: bool = False) -> None:
        """One sentence to the user; ``details`` offers the full error report."""
        self.message.setText(text)
        self.message.setStyleSheet("color: #e07b53;" if problem else "")
        self.copy_details.setVisible(details)


def _small_label() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setStyleSheet("font-size: 10px; color: gray;")
    return label


def _line(*widgets: QWidget) -> QHBoxLayout:
    line = QHBoxLayout()
    for widget in widgets:
        line.addWidget(widget)
    return line


def _row(*widgets: QWidget, stretch: int | None = None) -> QWidget:
    """Widgets side by side; the one numbered ``stretch`` takes the spare room."""
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    for number, widget in enumerate(widgets):
        line.addWidget(widget, 1 if number == stretch else 0)
    return row
