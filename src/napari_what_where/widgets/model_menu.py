"""The menu of models: groups, sizes, what is on this disk, and a line about the chosen one."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from qtpy.QtCore import QSize, Qt, Signal
from qtpy.QtGui import QPalette, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QStyledItemDelegate,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_what_where.widgets.model_entries import Entry

_NAME, _ASIDE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1
_MARGIN = 6
_LOG_IN = "then log in: “hf auth login” in a terminal, or press Token…"


class ModelMenu(QWidget):
    """The list, a button for models that are not in it, and below them the state of the one that is chosen."""

    chosen = Signal(str)
    """Name of the model that the user has chosen."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.combo = _Combo()
        self.other = QToolButton()
        self.other.setText("…")
        self.other.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self.other.setToolTip("Another model: of your own in a folder, or any of the hub")
        self.other.setAccessibleName("Another model")
        self.other.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        menu = QMenu(self.other)
        self.from_folder = menu.addAction("Model in a folder…")
        self.from_hub = menu.addAction("Model of the hub, by its name…")
        self.other.setMenu(menu)
        self.status = QLabel()
        self.status.setWordWrap(True)
        self.status.setOpenExternalLinks(True)
        self.status.setStyleSheet("font-size: 10px; color: gray;")
        self.download = QPushButton("Download")
        self.token = QPushButton("Token…")
        self.token.setToolTip("The access token of your account on the hub; used while this window is open, not saved")
        self._lay_out()
        self.combo.currentIndexChanged.connect(self._tell)

    def _lay_out(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(_line((self.combo, 1), (self.other, 0)))
        layout.addWidget(self.status)
        layout.addLayout(_line((self.download, 1), (self.token, 0)))

    @property
    def name(self) -> str:
        """Of the chosen model."""
        return str(self.combo.currentData(_NAME) or "")

    def fill(self, entries: Iterable[Entry]) -> None:
        """List these under the headings of their groups; the choice stays if it is among them."""
        chosen, items, group = self.name, QStandardItemModel(self.combo), None
        for entry in entries:
            if entry.group != group:
                group = entry.group
                items.appendRow(_heading(group))
            items.appendRow(_item(entry))
        self.combo.blockSignals(True)
        self.combo.setModel(items)
        self.combo.setCurrentIndex(max(1, self.combo.findData(chosen, _NAME)))
        self.combo.blockSignals(False)

    def update_entries(self, entries: Iterable[Entry]) -> None:
        """Say again what is on this disk, without a change of the choice."""
        for entry in entries:
            row = self.combo.findData(entry.name, _NAME)
            if row >= 0:
                self.combo.setItemData(row, _aside(entry), _ASIDE)
                self.combo.setItemData(row, _accessible(entry), Qt.ItemDataRole.AccessibleTextRole)

    def choose(self, name: str) -> None:
        """As if the user had chosen it."""
        self.combo.setCurrentIndex(self.combo.findData(name, _NAME))

    def show_entry(self, entry: Entry, *, busy: bool, free: str, token: bool) -> None:
        """Say of the chosen model what there is, and what to do about it.

        ``free``: disk space where downloads go; ``token``: whether the user is known to the hub.
        """
        self.status.setText(status_text(entry, free=free, token=token))
        self.combo.setToolTip(_tip(entry))
        self.download.setText("Resume" if entry.partly else "Download")
        self.download.setToolTip(f"{'Go on with' if entry.partly else 'Begin'} the download; Cancel stops it")
        self.download.setVisible(not entry.ready)
        self.download.setEnabled(not busy)
        self.token.setVisible(not entry.ready and entry.gated)
        self.token.setEnabled(not busy)

    def _tell(self, row: int) -> None:
        if self.name:
            self.chosen.emit(self.name)


def status_text(entry: Entry, *, free: str, token: bool) -> str:
    """One line about a model, with links: "ready · 87 MB · apache-2.0"."""
    if entry.ready:
        return escape(" · ".join(filter(None, ["ready", entry.size or "no download", entry.licence])))
    size = f"{entry.size} download" if entry.size else "download"
    said = f"{entry.status}; Resume goes on from there" if entry.partly else f"not on disk: {size}, {free} free"
    if not entry.gated:
        return f"{escape(said)}, licence {_licence(entry)}"
    accept = "with your account" if token else _LOG_IN
    return f"{escape(said)}. Gated: accept {_licence(entry)} on its page, {escape(accept)}"


def _licence(entry: Entry) -> str:
    if not entry.url:
        return escape(entry.licence)
    unbroken = escape(entry.licence).replace("-", "\N{NON-BREAKING HYPHEN}")
    return f'<a style="color: #5a9fd4" href="{escape(entry.url)}">{unbroken}</a>'


def _tip(entry: Entry) -> str:
    return "\n".join(filter(None, [entry.description, f"Licence: {entry.licence}" * bool(entry.licence), entry.url]))


def _aside(entry: Entry) -> str:
    """What stands at the right of the name: size, and whether it is on this disk."""
    if entry.partly:
        return entry.status.removeprefix("partly: ")
    return f"{entry.size} ✓".strip() if entry.ready else f"{'gated · ' * entry.gated}{entry.size}"


def _accessible(entry: Entry) -> str:
    return ", ".join(filter(None, [entry.label, entry.size, "on disk" if entry.ready else entry.status]))


def _item(entry: Entry) -> QStandardItem:
    item = QStandardItem(entry.label)
    item.setData(entry.name, _NAME)
    item.setData(_aside(entry), _ASIDE)
    item.setData(_accessible(entry), Qt.ItemDataRole.AccessibleTextRole)
    item.setToolTip(_tip(entry))
    return item


def _heading(text: str) -> QStandardItem:
    item = QStandardItem(text.upper())
    item.setFlags(Qt.ItemFlag.NoItemFlags)
    font = item.font()
    font.setBold(True)
    font.setPointSizeF(font.pointSizeF() * 0.8)
    item.setFont(font)
    return item


class _Combo(QComboBox):
    """A combo box whose list may be wider than itself."""

    opening = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.setItemDelegate(_WithSize(self))
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(12)
        self.setMaxVisibleItems(24)

    def showPopup(self) -> None:
        self.opening.emit()
        view = self.view()
        view.setMinimumWidth(max(self.width(), view.sizeHintForColumn(0) + 2 * _MARGIN + 20))
        super().showPopup()


class _WithSize(QStyledItemDelegate):
    """Writes the size of a model at the right of its name, fainter."""

    def paint(self, painter: Any, option: Any, index: Any) -> None:
        super().paint(painter, option, index)
        aside = index.data(_ASIDE)
        if aside:
            painter.save()
            colour = option.palette.color(QPalette.ColorRole.Text)
            colour.setAlphaF(0.6)
            painter.setPen(colour)
            place = option.rect.adjusted(0, 0, -_MARGIN, 0)
            painter.drawText(place, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, aside)
            painter.restore()

    def sizeHint(self, option: Any, index: Any) -> QSize:
        hint = super().sizeHint(option, index)
        aside = index.data(_ASIDE) or ""
        return QSize(hint.width() + option.fontMetrics.horizontalAdvance(f"    {aside}") + _MARGIN, hint.height())


def _line(*widgets: tuple[QWidget, int]) -> QHBoxLayout:
    line = QHBoxLayout()
    for widget, stretch in widgets:
        line.addWidget(widget, stretch)
    return line
