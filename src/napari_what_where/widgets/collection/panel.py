"""The controls of the Collection dock, laid out; knows nothing of analyses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QCheckBox,
    QFormLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_what_where.collection.kinds import Kind
from napari_what_where.progress import Progress
from napari_what_where.widgets.collection.inputs import PoolInputs
from napari_what_where.widgets.controls import choice_of_device, count_of_eigenvectors, row_of
from napari_what_where.widgets.inputs import ObjectSize, _combo
from napari_what_where.widgets.model_menu import ModelMenu
from napari_what_where.widgets.model_options import ModelOptions
from napari_what_where.widgets.panel import _NEEDS_ATTENTION, PATHWAY_TEXTS, _line, _small_label, progress_text

_IMAGE = re.compile(r"image (\d+) of (\d+): (.*)")
_ROWS_SHOWN, _LINES_OF_TIP = 8, 40
METHOD_TEXTS = {"streaming": "exact", "gradient": "gradient, far slower"}
_STAGES = {
    "activations": "features", "collection": "comparing", "collection, pass 2 of 3": "Comparing all images, 2 of 3",
    "collection, pass 3 of 3": "Comparing all images, 3 of 3", "embedding": "Eigenvectors of each image",
    "clusters": "Finding kinds", "labels": "Labels", "kinds": "Describing kinds", "projection": "Applying",
}  # fmt: skip


class Panel:
    """All controls, as attributes, in the order they are read."""

    def __init__(self, parent: QWidget) -> None:
        self._make_model()
        self._make_run()
        self._make_results()
        self._make_use()
        layout = QVBoxLayout(parent)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.inputs = PoolInputs(form)
        form.addRow("Model", self.models)
        form.addRow("Show", row_of(*self.pathways.values()))
        form.addRow("", self.pathway_hint)
        form.addRow("Kinds of things", row_of(self.clusters, self.automatic, stretch=0))
        layout.addLayout(form)
        layout.addWidget(self.more)
        layout.addLayout(_line(self.run, self.cancel))
        layout.addWidget(self.progress)
        layout.addWidget(self.message)
        layout.addWidget(self.copy_details)
        for each in (self.table, self.failures):
            layout.addWidget(each)
        layout.addWidget(self.only)
        layout.addWidget(row_of(self.regions, self.trace, stretch=0))
        layout.addWidget(row_of(self.current, self.edit, stretch=0))
        use = QFormLayout()
        use.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        use.addRow("Apply to", row_of(self.target, self.apply, self.save, self.load, stretch=0))
        layout.addLayout(use)
        layout.addStretch(1)
        self.say("")
        self.set_busy(False)
        self.set_ready(None, projection=False)

    def _make_model(self) -> None:
        self.models = ModelMenu()
        self.pathways = {name: QRadioButton(text.partition(" ")[0]) for name, (text, _) in PATHWAY_TEXTS.items()}
        self._group = QButtonGroup(self.models)
        for button in self.pathways.values():
            self._group.addButton(button)
        self.pathways["what"].setChecked(True)
        self.pathway_hint = _small_label()
        self.clusters = QSpinBox()
        self.clusters.setRange(1, 49)
        self.clusters.setValue(8)
        self.clusters.setToolTip("How many kinds of things are told apart, in all images together")
        self.automatic = QCheckBox("automatic")
        self.automatic.setToolTip("Choose the number from the images")
        self.automatic.toggled.connect(self.clusters.setDisabled)
        self.count = count_of_eigenvectors()
        self.size = ObjectSize()
        self.size.draw.hide()
        self.size.unit.setToolTip("Of each image; in files and layers of several resolutions those of the finest")
        self.method = _combo(
            "Exact finds the eigenvectors of all images from their statistics. Gradient is the published method, for "
            "comparison: it takes far longer, and what it finds cannot be applied to other images, nor saved for that."
        )
        for name, text in METHOD_TEXTS.items():
            self.method.addItem(text, name)
        self.edges = QCheckBox("follow image edges")
        self.edges.setChecked(True)
        self.edges.setToolTip("Labels end at edges and colour changes of the image; off, the eigenvectors decide alone")
        self.device = choice_of_device("Where the model and the comparison run")
        self.more = QCollapsible("More")
        options = QWidget()
        form = QFormLayout(options)
        form.addRow("Smallest object", self.size)
        form.addRow("Eigenvectors", self.count)
        form.addRow("Method", self.method)
        form.addRow("", self.edges)
        form.addRow("Device", self.device)
        self.model_options = ModelOptions(form)
        self.more.addWidget(options)

    def _make_run(self) -> None:
        self.run = QPushButton("Run")
        self.run.setToolTip("Analyse all images as one: a number and its colour mean the same in each; never blocks")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; every layer stays as it is, and Run goes on from here")
        self.progress = QProgressBar()
        self.progress.setTextVisible(True)
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.copy_details = QPushButton("Copy details")
        self.copy_details.setToolTip("The full error report, for a bug report")

    def _make_results(self) -> None:
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Kind", "Share", "Images"])
        self.table.setToolTip("Click a kind to see where it is most typical")
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.failures = QLabel()
        self.failures.setWordWrap(True)
        self.failures.setStyleSheet("font-size: 10px; color: #e07b53;")
        self.failures.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.only = QCheckBox("show the chosen kind only")
        self.regions = QSpinBox()
        self.regions.setRange(2, 1000)
        self.regions.setValue(60)
        self.regions.setSuffix(" regions a plane")
        self.regions.setKeyboardTracking(False)
        self.regions.setToolTip("More, smaller ones, or fewer, larger ones; with another number press Trace again")
        self.trace = QPushButton("Trace over planes")
        self.trace.setToolTip(
            "Cut every plane in connected regions, each with its kind and a number of its own: same thing, same number "
            "from frame to frame, where it overlaps with itself. The first time takes about a second a plane"
        )
        self.current = QLabel()
        self.current.setMinimumWidth(1)  # a long name must not make the dock wide
        self.edit = QPushButton("Edit this image")
        self.edit.setToolTip("Copy the labels of the image on screen to an ordinary Labels layer")

    def _make_use(self) -> None:
        self.target = _combo("An image that need not be among those that were analysed")
        self.apply = QPushButton("Apply")
        self.apply.setToolTip("Label this image as those that were analysed: the same numbers for the same kinds")
        self.save = QPushButton("Save…")
        self.save.setToolTip("Save what applies the kinds to other images, as one small file")
        self.load = QPushButton("Load…")
        self.load.setToolTip("Load such a file, to apply it without its images")

    def settings(self) -> dict[str, Any]:
        """What the user chose, as options of ``analyze_collection``. ``ValueError``, in words, for what is none."""
        return {
            "backbone": self.models.name,
            "backbone_options": self.model_options.values(),
            "pathway": next(name for name, button in self.pathways.items() if button.isChecked()),
            "count": int(self.count.value()),
            "smallest_object": self.size.pixels,
            "method": self.method.currentData(),
            "clusters": "auto" if self.automatic.isChecked() else int(self.clusters.value()),
            "follow_edges": bool(self.edges.isChecked()),
            "device": self.device.currentText(),
        }

    def offer_pathways(self, model: str, pathways: tuple[str, ...]) -> None:
        """Allow only what a model can give; the choice stays where that is possible."""
        for name, button in self.pathways.items():
            possible = {"both": ("what", "where")}.get(name, (name,))
            allowed = set(possible) <= set(pathways)
            button.setEnabled(allowed)
            button.setToolTip(PATHWAY_TEXTS[name][1] if allowed else _NEEDS_ATTENTION)
            if not allowed and button.isChecked():
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
        for control in (self.trace, self.apply, self.save, self.load):
            control.setEnabled(not busy)

    def set_ready(self, kind: str | None, *, projection: bool, editable: bool = False) -> None:
        """What there is to do: with a "stack", "layers" or a "folder" that was analysed, or with none."""
        for control in (self.table, self.only):
            control.setVisible(kind is not None)
        for control in (self.regions, self.trace):
            control.setVisible(kind == "stack" and editable)
        browsed = kind is not None and kind != "layers"
        self.current.setVisible(browsed)
        self.edit.setVisible(browsed and not editable)
        for control in (self.apply, self.save):
            control.setEnabled(projection)

    def show_kinds(self, kinds: Sequence[Kind], failures: Sequence[str], colours: Sequence[Any]) -> None:
        """List the kinds with their colours, and the images that were left out."""
        table = self.table
        table.blockSignals(True)
        table.clearSelection()
        table.setRowCount(len(kinds))
        for row, kind in enumerate(kinds):
            swatch = QPixmap(14, 14)
            swatch.fill(QColor(*colours[row]))
            cells = [QTableWidgetItem(QIcon(swatch), str(kind.number))]
            cells += [QTableWidgetItem(f"{kind.share:.1%}"), QTableWidgetItem(f"{kind.images:,}")]
            for column, cell in enumerate(cells):
                table.setItem(row, column, cell)
        table.blockSignals(False)
        height = table.horizontalHeader().sizeHint().height() + 22 * min(len(kinds), _ROWS_SHOWN) + 6
        table.setMinimumHeight(height)
        table.setMaximumHeight(height)
        named = "\n".join([f"Left out ({len(failures):,}):", *_first(failures, _ROWS_SHOWN)])
        self.failures.setText(named if failures else "")
        self.failures.setToolTip("\n".join(_first(failures, _LINES_OF_TIP)))
        self.failures.setVisible(bool(failures))

    def show_progress(self, progress: Progress) -> None:
        """Show the stage, and how far it is: by image where that is known."""
        image = _IMAGE.fullmatch(progress.stage)
        done, total = progress.done, progress.total
        if image:
            done, total = int(image[1]) - 1, int(image[2])
            text = f"Image {int(image[1]):,} of {total:,}: {_STAGES.get(image[3], image[3])}"
        else:
            text = progress_text(progress._replace(stage=_STAGES.get(progress.stage, progress.stage)))
        self.progress.setRange(0, total if total > 0 else 0)
        self.progress.setValue(done if total > 0 else 0)
        self.progress.setFormat(text)

    def say(self, text: str, *, problem: bool = False, details: bool = False, consent: str = "") -> None:
        """One sentence to the user; ``details`` offers the full error report."""
        self.message.setText(text)
        self.message.setStyleSheet("color: #e07b53;" if problem else "")
        self.message.setVisible(bool(text))
        self.copy_details.setVisible(details)


def _first(lines: Sequence[str], most: int) -> list[str]:
    """So many of them, and how many more there are."""
    return [*lines[:most], *([f"… and {len(lines) - most:,} more"] if len(lines) > most else [])]
