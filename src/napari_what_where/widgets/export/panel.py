"""The controls of the Export dock, laid out; knows nothing of labels."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_what_where.files.formats.registry import LABEL_FORMATS
from napari_what_where.progress import Progress
from napari_what_where.widgets.controls import row_of
from napari_what_where.widgets.export.formats import GROUPS, boxes_of_formats, offer_formats, ticked_formats
from napari_what_where.widgets.panel import _line, _small_label, progress_text

ROOM = 30
"""Pixels that napari's style adds to the height of the list of formats."""


class Panel:
    """All controls, as attributes, in the order they are read."""

    def __init__(self, parent: QWidget) -> None:
        layout = QVBoxLayout(parent)
        layout.setSpacing(6)
        layout.addLayout(self._make_what())
        layout.addWidget(self.stack)
        layout.addWidget(self._make_formats(), 100)
        layout.addLayout(self._make_where())
        layout.addLayout(_line(self.export, self.cancel))
        layout.addWidget(self.progress)
        layout.addWidget(self.message)
        layout.addWidget(self.open_folder)
        layout.addStretch(1)
        self.set_busy(False)
        self.say("")

    def _make_what(self) -> QFormLayout:
        self.layer = _combo("The Labels layer to write; it follows the layer list")
        self.this, self.every = _choice("This layer", "All Labels layers")
        self.all_labels, self.some_labels = _choice("All labels", "These:")
        self.labels = QLineEdit()
        self.labels.setPlaceholderText("3, 5-9")
        self.labels.setToolTip("Numbers and ranges of labels; all others become background in the files")
        self.labels.setAccessibleName("Labels to write")
        self.add_selected = QPushButton("+ selected")
        self.add_selected.setToolTip("Add the label that is selected in the layer’s controls")
        self.image = _combo("What the labels are of: for intensities in the CSV, inside OME-Zarr, and for COCO’s names")
        self.scale = QLabel()
        self.scale.setToolTip("From the layer; File ▸ Open keeps it, or set it in the layer’s properties")
        self.stack = _small_label()
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Labels", self.layer)
        form.addRow("Layers", row_of(self.this, self.every, stretch=2))
        form.addRow("Which", row_of(self.all_labels, self.some_labels, self.labels, self.add_selected, stretch=2))
        form.addRow("Image", self.image)
        form.addRow("Pixel size", self.scale)
        self._groups = [_group(self.this, self.every), _group(self.all_labels, self.some_labels)]
        return form

    def _make_formats(self) -> QWidget:
        self.formats = boxes_of_formats()
        frame = QFrame()
        frame.setFrameShape(QFrame.Shape.StyledPanel)
        grid = QGridLayout(frame)
        grid.setVerticalSpacing(1)
        grid.setContentsMargins(9, 4, 9, 4)
        grid.setColumnStretch(1, 1)
        for title, names in GROUPS.items():
            heading = QLabel(f"<b>{title}</b>")
            grid.addWidget(heading, grid.rowCount(), 0, 1, 2)
            for name in names:
                row = grid.rowCount()
                grid.addWidget(self.formats[name], row, 0)
                about = _small_label()
                about.setText(LABEL_FORMATS[name].about)
                grid.addWidget(about, row, 1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(frame)
        # All of them where there is room; on a small screen they scroll, and Export stays in sight.
        area.setMinimumHeight(120)
        area.setMaximumHeight(frame.sizeHint().height() + ROOM)
        area.setMinimumWidth(frame.minimumSizeHint().width())
        return area

    def _make_where(self) -> QFormLayout:
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("where the files go")
        self.folder.setAccessibleName("Folder")
        self.browse = QPushButton("Browse…")
        self.name = QLineEdit()
        self.name.setToolTip("What the files are called, before their endings")
        self.name.setAccessibleName("Name of the files")
        self.files = _small_label()
        self.export = QPushButton("Export")
        self.export.setToolTip("Write the files; asks before any is replaced")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; every file stays as it was")
        self.progress = QProgressBar()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.open_folder = QPushButton("Open folder")
        self.open_folder.setToolTip("Show the files that were written")
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Folder", row_of(self.folder, self.browse, stretch=0))
        form.addRow("Name", self.name)
        form.addRow("Files", self.files)
        return form

    def chosen_formats(self) -> list[str]:
        """The names of the formats that are ticked and possible."""
        return ticked_formats(self.formats)

    def offer_formats(self, *, stacks: bool) -> None:
        """Disable those that hold no stack, if there is one."""
        offer_formats(self.formats, stacks=stacks)

    def set_busy(self, busy: bool) -> None:
        """While files are written: Cancel instead of Export, and a progress bar."""
        self.export.setEnabled(not busy)
        self.cancel.setEnabled(busy)
        self.cancel.setVisible(busy)
        self.progress.setVisible(busy)
        self.progress.setRange(0, 0)

    def show_progress(self, progress: Progress) -> None:
        """Show which file is written."""
        self.progress.setRange(0, progress.total)
        self.progress.setValue(progress.done)
        self.progress.setFormat(progress_text(progress))

    def say(self, text: str, *, problem: bool = False, written: bool = False) -> None:
        """One sentence to the user; ``written``: there are files to look at."""
        self.open_folder.setVisible(written)
        self.message.setText(text)
        self.message.setStyleSheet("color: #e07b53;" if problem else "")


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    combo.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return combo


def _choice(first: str, second: str) -> tuple[QRadioButton, QRadioButton]:
    buttons = QRadioButton(first), QRadioButton(second)
    buttons[0].setChecked(True)
    return buttons


def _group(*buttons: QRadioButton) -> QButtonGroup:
    group = QButtonGroup(buttons[0])
    for button in buttons:
        group.addButton(button)
    return group
