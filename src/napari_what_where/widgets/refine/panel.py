"""The controls of the Refine dock, laid out; knows nothing of labels."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSlider,
    QSpinBox,
    QStackedWidget,
    QTableView,
    QVBoxLayout,
    QWidget,
)
from superqt import QCollapsible

from napari_what_where.progress import Progress
from napari_what_where.widgets.controls import row_of
from napari_what_where.widgets.panel import progress_text
from napari_what_where.widgets.refine.shortcuts import LEAVE, SHORTCUTS, TAKEN, key_of, tip, without_key
from napari_what_where.widgets.refine.table_model import KIND, LABEL, LOCK, NAME, POSITION, SCORE, SIZE, ObjectsModel

TOOLS = {
    "scribble": ("Scribble", "Draw a few strokes in any number of colours; the image carries them to the rest"),
    "merge": ("Merge", "Click an object, then all that belong to it; of a stack, on the planes chosen below"),
    "split": ("Split", "Click an object to cut it in two where the image parts; again goes deeper"),
    "grow": ("Grow", "Turn the wheel over an object to grow or shrink it by what the image holds together"),
    "similar": ("Similar", "Click one object to find all that are of its kind"),
}
TIDY = {
    "snap": (
        "Snap to edges",
        "Move borders to the edges of the image that are near them; of a stack, on the plane on screen",
    ),
    "holes": ("Fill holes", "Fill what an object encloses"),
    "largest": ("Keep largest", "Of each object only the largest connected part"),
    "separate": ("Separate", "Give each connected part a number of its own"),
    "relabel": ("Relabel", "Number objects 1, 2, 3 …; selected ones with the lowest numbers that no others have"),
    "small": ("Remove small", "Remove parts of fewer pixels than this"),
}
OBJECTS = {
    "delete": ("Delete", "Make the selected objects background; of a stack, on the planes chosen above"),
    "join": ("Merge", "Join the selected objects; of a stack, on the planes chosen above"),
    "rename": ("Name", "Name the selected object"),
    "lock": ("Lock", "Lock the selected objects against all tools here, or free them again"),
    "lock_others": ("Lock others", "Lock all but the selected objects; of a stack, all of the planes chosen above"),
}
WIDTHS = {LOCK: 24, LABEL: 66, SCORE: 46, SIZE: 78, POSITION: 74, KIND: 40}


class Panel:
    """All controls, as attributes, in the order they are read."""

    def __init__(self, parent: QWidget) -> None:
        self.buttons: dict[str, QPushButton] = {}
        """The button of each action, by its name."""
        layout = QVBoxLayout(parent)
        layout.setSpacing(4)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addLayout(self._make_layers())
        undo = self._button("undo", "Undo", "Undo the last step: the same as napari’s own Ctrl+Z")
        redo = self._button("redo", "Redo", "Do again what was undone")
        layout.addWidget(_heading("Correct", undo, redo))
        layout.addLayout(_grid([self._button(name, *TOOLS[name], checkable=True) for name in TOOLS], 5))
        layout.addWidget(self._make_options())
        layout.addLayout(self._make_decision())
        layout.addLayout(self._make_messages())
        layout.addWidget(_heading("Tidy up"))
        layout.addLayout(self._make_tidy())
        layout.addWidget(_heading("Objects"))
        layout.addWidget(self._make_table(), 1)
        layout.addLayout(_grid([self._button(name, *OBJECTS[name]) for name in OBJECTS], 5))
        layout.addWidget(self._make_shortcuts())
        self.show_tool(None)
        self.set_busy(False)
        self.set_deciding(False)

    def _button(self, name: str, text: str, tooltip: str, *, checkable: bool = False) -> QPushButton:
        button = QPushButton(text)
        button.setCheckable(checkable)
        button.setToolTip(tip(name, tooltip))
        button.setStyleSheet("padding: 3px 2px;")
        button.setMinimumWidth(10)
        button.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        button.setFocusPolicy(Qt.FocusPolicy.TabFocus)  # a click leaves keys with the canvas
        self.buttons[name] = button
        return button

    def _make_layers(self) -> QFormLayout:
        self.labels = _combo("The Labels layer to correct: any, ours or from elsewhere")
        self.labels.setPlaceholderText("no labels open")
        self.image = _combo("The image that the labels are of; automatic takes the one that lies below them")
        self.model = _combo("What looks at the image, where it was not analysed already")
        self.model.setMinimumContentsLength(6)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.setVerticalSpacing(4)
        form.addRow("Labels", self.labels)
        row = QWidget()
        line = QHBoxLayout(row)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.image, 3)
        line.addWidget(self.model, 2)
        form.addRow("Image", row)
        return form

    def _make_options(self) -> QWidget:
        """What a tool asks and offers, while it is on."""
        self.overrun = QCheckBox("over other objects, too")
        self.overrun.setToolTip("Off, an object grows into background only")
        self.threshold = QSlider(Qt.Orientation.Horizontal)
        self.threshold.setRange(0, 200)
        self.threshold.setToolTip(tip("less", tip("more", "How much like it: further right finds more")))
        self.threshold.setAccessibleName("How much alike")
        self.as_one = QCheckBox("as one")
        self.as_one.setToolTip("All get the label of the object that was clicked; off, each has one of its own")
        self.pages = QStackedWidget()
        self.pages.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        strokes = (
            self._button("new_stroke", "New object", "Draw with a number that is not used yet"),
            self._button("background_stroke", "Background", "Draw where no object is"),
        )
        steps = (
            self._button("less", "Shrink", "Shrink the object, by one step"),
            self._button("more", "Grow", "Grow the object, by one step"),
        )
        self._page_of = {
            "scribble": self.pages.addWidget(_alike(*strokes)),
            "grow": self.pages.addWidget(_alike(*steps, self.overrun)),
            "similar": self.pages.addWidget(_alike(self.threshold, self.as_one)),
        }
        options = QWidget()
        box = QVBoxLayout(options)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.pages)
        return options

    def _make_decision(self) -> QHBoxLayout:
        accept = self._button("accept", "Accept", "Put what the preview shows into the labels, as one step of undo")
        drop = self._button("drop", "Drop", "Forget the preview; the labels stay as they are")
        line = QHBoxLayout()
        line.addWidget(accept, 1)
        line.addWidget(drop, 1)
        return line

    def _make_tidy(self) -> QGridLayout:
        self.scope = _combo("What the tools below, and only they, work on")
        self.scope.addItem("all objects", False)
        self.scope.addItem("selected objects", True)
        self.planes = _combo(
            "Of a stack: the plane on screen, or every one, in one step of undo; for the tools below, and to merge, "
            "delete and lock others"
        )
        self.planes.addItem("this plane", False)
        self.planes.addItem("all planes", True)
        self.small = QSpinBox()
        self.small.setRange(1, 10**8)
        self.small.setValue(20)
        self.small.setPrefix("small: < ")
        self.small.setSuffix(" px")
        self.small.setButtonSymbols(QSpinBox.ButtonSymbols.NoButtons)
        self.small.setToolTip("Parts of fewer pixels are removed")
        buttons = [self._button(name, *TIDY[name]) for name in TIDY]
        grid = _grid([_alike(self.scope, self.planes, self.small)], 1)
        grid.addLayout(_grid(buttons, 3), 1, 0)
        return grid

    def _make_table(self) -> QTableView:
        self.model_of_objects = ObjectsModel()
        self.table = QTableView()
        self.table.setModel(self.model_of_objects)
        self.model_of_objects.setParent(self.table)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(LABEL, Qt.SortOrder.AscendingOrder)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(22)
        self.table.setMinimumHeight(120)
        self.table.setShowGrid(False)
        self.table.setAlternatingRowColors(False)
        header = self.table.horizontalHeader()
        header.setMinimumSectionSize(20)
        header.setHighlightSections(False)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        for column, width in WIDTHS.items():
            self.table.setColumnWidth(column, width)
        self.table.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return self.table

    def _make_messages(self) -> QVBoxLayout:
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.message.setMinimumHeight(2 * self.message.fontMetrics().lineSpacing() + 4)  # nothing moves when it wraps
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.progress = QProgressBar()
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop; nothing is changed")
        self._busy = row_of(self.progress, self.cancel, stretch=0, spacing=4)
        box = QVBoxLayout()
        box.addWidget(self.message)
        box.addWidget(self._busy)
        return box

    def _make_shortcuts(self) -> QCollapsible:
        self.shortcuts = QLabel(_shortcut_table())
        self.shortcuts.setStyleSheet("font-size: 10px;")
        fold = QCollapsible("Shortcuts")
        fold.addWidget(self.shortcuts)
        return fold

    # What is shown

    def show_taken(self, names: Collection[str]) -> None:
        """Say of these actions that their keys do something else."""
        self.shortcuts.setText(_shortcut_table(names))
        for name in names:
            for widget in filter(None, (self.buttons.get(name), self.threshold)):
                widget.setToolTip(without_key(name, widget.toolTip()))

    def show_tool(self, name: str | None) -> None:
        """Show which tool is on, and what it offers."""
        for each in TOOLS:
            self.buttons[each].blockSignals(True)
            self.buttons[each].setChecked(each == name)
            self.buttons[each].blockSignals(False)
        page = self._page_of.get(name or "")
        self.pages.setVisible(page is not None)
        if page is not None:
            self.pages.setCurrentIndex(page)

    def set_deciding(self, deciding: bool) -> None:
        """Whether there is a preview to accept or drop."""
        for name in ("accept", "drop"):
            self.buttons[name].setVisible(deciding)

    def set_ready(self, ready: bool) -> None:
        """Whether there are labels to work on."""
        for button in self.buttons.values():
            button.setEnabled(ready)

    def set_busy(self, busy: bool) -> None:
        """Show progress and Cancel while something takes long."""
        self._busy.setVisible(busy)
        self.progress.setRange(0, 0)
        self.progress.setFormat("")

    def show_progress(self, progress: Progress) -> None:
        """Show the stage, and how far it is if that is known."""
        known = progress.total > 0
        self.progress.setRange(0, progress.total if known else 0)
        self.progress.setValue(progress.done if known else 0)
        self.progress.setFormat(progress_text(progress))

    def say(self, text: str, *, problem: bool = False) -> None:
        """One sentence to the user."""
        self.message.setText(text)
        style = "color: #e07b53;" if problem else ""
        if style != self.message.styleSheet():  # setting it, even to the same, has all laid out and painted anew
            self.message.setStyleSheet(style)


def _shortcut_table(taken: Collection[str] = ()) -> str:
    """All keys and what they do, as rich text; ``taken``: actions whose keys do something else."""
    pairs = [(key_of(each.name), f"({TAKEN})" if each.name in taken else each.text) for each in SHORTCUTS]
    pairs.append((LEAVE, "Leave the tool"))
    rows = "".join(f"<tr><td><b>{key}</b>&nbsp;&nbsp;</td><td>{does}</td></tr>" for key, does in pairs)
    return f"<table>{rows}</table>"


def _heading(text: str, *widgets: QWidget) -> QWidget:
    """A word, a line, and small widgets at its end."""
    heading = QWidget()
    line = QHBoxLayout(heading)
    line.setContentsMargins(0, 4, 0, 0)
    word, rule = QLabel(f"<b>{text}</b>"), QFrame()
    rule.setFrameShape(QFrame.Shape.HLine)
    rule.setStyleSheet("color: #5a626c;")
    line.addWidget(word)
    line.addWidget(rule, 1)
    for widget in widgets:
        widget.setMinimumWidth(46)
        line.addWidget(widget)
    return heading


def _grid(widgets: list[Any], columns: int) -> QGridLayout:
    grid = QGridLayout()
    grid.setSpacing(4)
    for number, widget in enumerate(widgets):
        grid.addWidget(widget, number // columns, number % columns)
    for column in range(columns):
        grid.setColumnStretch(column, 1)
    return grid


_alike = partial(row_of, alike=True, spacing=4)


def _combo(tooltip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tooltip)
    # A long name must not make the dock wide.
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(8)
    combo.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
    return combo
