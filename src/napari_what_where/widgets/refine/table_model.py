"""The objects of one plane as rows of a table: sorted, named, locked, chosen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QPainter, QPen, QPixmap

Index = Any
LOCK, LABEL, NAME, SCORE, SIZE, POSITION, KIND = range(7)
TITLES = ("", "Object", "Name", "Score", "Size", "Position", "Kind")
TIPS = (
    "Locked objects are never changed by these tools; click to lock or free",
    "The label, in its colour",
    "Double-click to name",
    "How distinct the object is from what is around it, 0 to 1",
    "Area",
    "Row and column of its middle, in pixels",
    "Objects that look alike share a kind",
)


class ObjectsModel(QAbstractTableModel):
    """Rows of :func:`~napari_what_where.refinement.table.objects_table`. Cost: thousands of rows, without a delay."""

    named = Signal(int, str)
    """A label was given a name by the user."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._columns: dict[str, np.ndarray] = {}
        self._order = np.zeros(0, np.int64)
        self._names: Mapping[int, str] = {}
        self._locked: Collection[int] = ()
        self._colour: Callable[[int], Any] = lambda label: None
        self._squares: dict[int, Any] = {}
        self._sorted = LABEL, Qt.SortOrder.AscendingOrder
        self._unit = "px"

    def show(
        self,
        columns: dict[str, np.ndarray],
        *,
        names: Mapping[int, str],
        locked: Collection[int],
        colour: Callable[[int], Any],
        unit: str | None,
    ) -> None:
        """Show other rows, sorted as before; ``colour``: (r, g, b, a) of a label, 0 to 1."""
        self.beginResetModel()
        self._columns, self._names, self._locked, self._colour = columns, names, frozenset(locked), colour
        self._squares.clear()
        self._unit = "px" if unit is None else f"{SHORT.get(unit, unit)}²"
        self._order = self._sorted_rows()
        self.endResetModel()

    def show_locked(self, locked: Collection[int]) -> None:
        """Show which objects are locked."""
        self._locked = frozenset(locked)
        if len(self._order):
            self.dataChanged.emit(self.index(0, LOCK), self.index(len(self._order) - 1, LOCK))

    def show_names(self, names: Mapping[int, str]) -> None:
        """Show other names."""
        self._names = names
        if len(self._order):
            self.dataChanged.emit(self.index(0, NAME), self.index(len(self._order) - 1, NAME))

    @property
    def labels(self) -> np.ndarray:
        """The labels of all rows, from the top."""
        return self._columns["label"][self._order] if self._columns else np.zeros(0, np.int64)

    def label_at(self, row: int) -> int:
        """The label of a row."""
        return int(self._columns["label"][self._order[row]])

    def row_of(self, label: int) -> int | None:
        """Where a label is; None if it is not there."""
        found = np.flatnonzero(self.labels == label)
        return int(found[0]) if len(found) else None

    def value(self, label: int, column: str) -> Any:
        """A measure of a label."""
        return self._columns[column][int(np.flatnonzero(self._columns["label"] == label)[0])]

    # What Qt asks for

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(self._order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(TITLES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.ToolTipRole:
            return TIPS[section]
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return f"Size ({self._unit})" if section == SIZE else TITLES[section]

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        row, column = int(self._order[index.row()]), index.column()
        label = int(self._columns["label"][row])
        if role == Qt.ItemDataRole.DecorationRole and column == LOCK:
            return _padlock() if label in self._locked else None
        if role == Qt.ItemDataRole.DecorationRole and column == LABEL:
            if label not in self._squares:  # napari takes a while
                colour = self._colour(label)
                self._squares[label] = None if colour is None else QColor.fromRgbF(*map(float, colour[:3]))
            return self._squares[label]
        if role == Qt.ItemDataRole.TextAlignmentRole and column in (SCORE, SIZE, KIND):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role == Qt.ItemDataRole.ToolTipRole:
            return TIPS[column]
        if role == Qt.ItemDataRole.AccessibleTextRole and column == LOCK:
            return "locked" if label in self._locked else "free"
        if role == Qt.ItemDataRole.EditRole and column == NAME:
            return self._names.get(label, "")
        return self._text(row, column, label) if role == Qt.ItemDataRole.DisplayRole else None

    def _text(self, row: int, column: int, label: int) -> str:
        columns = self._columns
        if column == LOCK:
            return ""
        if column == NAME:
            return self._names.get(label, "")
        if column == SCORE:
            return f"{columns['score'][row]:.2f}" if "score" in columns else "–"
        if column == SIZE:
            return _told_size(float(columns["area"][row]))
        if column == POSITION:
            return f"{columns['centroid_row'][row]:.0f}, {columns['centroid_column'][row]:.0f}"
        if column == LABEL:
            return str(label)
        return str(columns["kind"][row]) if "kind" in columns else "–"

    def flags(self, index: Index) -> Qt.ItemFlag:
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        return flags | Qt.ItemFlag.ItemIsEditable if index.column() == NAME else flags

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        if role != Qt.ItemDataRole.EditRole or index.column() != NAME:
            return False
        label = self.label_at(index.row())
        if str(value).strip() != self._names.get(label, ""):
            self.named.emit(label, str(value).strip())
        return True

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        self._sorted = column, order
        self.beginResetModel()
        self._order = self._sorted_rows()
        self.endResetModel()

    def _sorted_rows(self) -> np.ndarray:
        if not self._columns:
            return np.zeros(0, np.int64)
        column, order = self._sorted
        labels = self._columns["label"]
        if column in (LOCK, NAME):
            texts = [(label not in self._locked) if column == LOCK else self._names.get(label, "") for label in labels]
            keys: Any = np.array(texts)
        else:
            names = {LABEL: "label", SCORE: "score", SIZE: "area", POSITION: "centroid_row", KIND: "kind"}
            keys = self._columns.get(names[column], labels)
        rows = np.argsort(keys, kind="stable")
        return rows[::-1] if order == Qt.SortOrder.DescendingOrder else rows


def _padlock() -> QPixmap:
    """A small picture of a closed padlock; fonts may lack one."""
    picture = QPixmap(14, 14)
    picture.fill(Qt.GlobalColor.transparent)
    painter, colour = QPainter(picture), QColor("#e8b04b")
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QPen(colour, 1.6))
    painter.drawArc(4, 1, 6, 9, 0, 180 * 16)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QBrush(colour))
    painter.drawRoundedRect(2, 6, 10, 7, 1.5, 1.5)
    painter.end()
    return picture


SHORT = {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm"}


def _told_size(size: float) -> str:
    """Pixels, and large areas, in full; small areas to five digits."""
    return f"{size:,.0f}" if size >= 10_000 or size == round(size) else f"{size:.5g}"
