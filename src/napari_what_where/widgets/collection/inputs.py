"""The controls that say which images: a stack, several layers, a folder; knows nothing of analyses."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QButtonGroup, QFormLayout, QLabel, QLineEdit, QPushButton, QRadioButton, QWidget

from napari_what_where.widgets.collection.places import MOST
from napari_what_where.widgets.controls import row_of
from napari_what_where.widgets.inputs import SourceInputs
from napari_what_where.widgets.panel import _small_label

STACK, LAYERS, FOLDER = "stack", "layers", "folder"
_TEXTS = {
    STACK: ("A stack", "Every plane of one layer along an axis: times, depths, or any list of images of one size"),
    LAYERS: ("Layers", "Several image layers, as they are on screen; their sizes may differ"),
    FOLDER: ("A folder", "All image files of a folder, also thousands; read one at a time, sizes may differ"),
}
_MOST_NAMED = 4


class StackInputs(SourceInputs):
    """Image, channels, and the axis along which its planes are the images."""

    def __init__(self, form: QFormLayout) -> None:
        self._wanted = True
        super().__init__(form)
        self.image.setToolTip("The Image layer whose planes are analysed together")
        self.planes.setToolTip("The axis along which each plane is an image")
        form.labelForField(self.planes).setText("Along")
        for field in (self.part, self.size):
            form.setRowVisible(field, False)

    def set_wanted(self, wanted: bool) -> None:
        """Show these rows, or hide them."""
        self._wanted = wanted
        self._form.setRowVisible(self.image, wanted)
        self._show_row(self.channels, shown=self.channels.count() > 1)
        self._show_row(self.planes, shown=self.planes.count() > 0)

    def _offer_planes(self) -> None:
        rest = [each for each in self._axes if each[0] != self.channels.currentData()]
        self.planes.blockSignals(True)
        self.planes.clear()
        for axis, size, name in rest[:-2]:
            if size > 1:
                self.planes.addItem(f"{name} ({size})", axis)
        self.planes.blockSignals(False)
        self._show_row(self.planes, shown=self.planes.count() > 0)

    def _show_row(self, field: QWidget, *, shown: bool) -> None:
        super()._show_row(field, shown=shown and self._wanted)


class PoolInputs:
    """Which of the three, and the rows of each, as attributes; they add themselves to a form."""

    def __init__(self, form: QFormLayout) -> None:
        self._form = form
        self.choices = {name: QRadioButton(text) for name, (text, _) in _TEXTS.items()}
        self._group = QButtonGroup(form)
        for name, button in self.choices.items():
            button.setToolTip(_TEXTS[name][1])
            self._group.addButton(button)
        form.addRow("Images", row_of(*self.choices.values()))
        self.stack = StackInputs(form)
        self.layers = QLabel()
        self.layers.setWordWrap(True)
        form.addRow("Selected", self.layers)
        self._make_folder(form)
        self.choices[STACK].setChecked(True)
        self._group.buttonToggled.connect(lambda *_: self.show_rows())
        self.offer_selected([])
        self.show_rows()

    def _make_folder(self, form: QFormLayout) -> None:
        self.folder, self.kept = QLineEdit(), QLineEdit()
        self.folder.setPlaceholderText("folder of images")
        self.folder.setAccessibleName("Folder of images")
        self.browse, self.browse_kept = QPushButton("Browse…"), QPushButton("Browse…")
        self.listing = _small_label()
        self.kept.setPlaceholderText("beside the images")
        self.kept.setAccessibleName("Where results are kept")
        self.kept.setToolTip(
            "What is computed is kept here: a run that was cancelled goes on from there, one that was finished is "
            f"found again at once, and another number of kinds is quick. Of other settings the last {MOST} choices "
            "stay; all of it may be deleted when no layer shows it."
        )
        self._folder_rows = (row_of(self.folder, self.browse, stretch=0), self.listing)
        self._kept_row = row_of(self.kept, self.browse_kept, stretch=0)
        form.addRow("Folder", self._folder_rows[0])
        form.addRow("", self.listing)
        form.addRow("Kept in", self._kept_row)

    @property
    def kind(self) -> str:
        """Which of the three is chosen."""
        return next(name for name, button in self.choices.items() if button.isChecked())

    def choose(self, kind: str) -> None:
        """As if the user had chosen it."""
        self.choices[kind].setChecked(True)

    def show_rows(self) -> None:
        """Show the rows of the choice."""
        kind = self.kind
        self.stack.set_wanted(kind == STACK)
        self._form.setRowVisible(self.layers, kind == LAYERS)
        for row in (*self._folder_rows, self._kept_row):
            self._form.setRowVisible(row, kind == FOLDER)

    def offer_selected(self, layers: list[Any]) -> None:
        """Name the image layers that are selected in the layer list."""
        if len(layers) < 2:
            self.layers.setText("Click one image in the layer list, then Ctrl-click the others.")
            return
        names = [layer.name for layer in layers]
        more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
        self.layers.setText(f"{len(names)}: {', '.join(names[:_MOST_NAMED])}{more}")
