"""Small controls that napari and superqt do not have."""

from __future__ import annotations

from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSlider, QSpinBox, QWidget

from napari_what_where.device import DEVICES

MOST_SEGMENTS = 1000
LONG_S = 0.1
"""A change that takes longer to show makes the slider rest before the next."""
_STEPS = 400


def count_of_eigenvectors() -> QSpinBox:
    """How many eigenvectors to solve for."""
    box = QSpinBox()
    box.setRange(1, 200)
    box.setValue(16)
    box.setToolTip("How many eigenvectors to solve for")
    return box


def choice_of_device(tip: str) -> QComboBox:
    """Where to compute."""
    box = QComboBox()
    box.addItems(DEVICES)
    box.setToolTip(f"{tip}; auto takes a GPU if there is one")
    return box


class SegmentCount(QWidget):
    """A number of segments, 1 to at most a thousand: a logarithmic slider with a spin box for the exact value."""

    changed = Signal(int)
    """Emitted when the user changes the number; not when :meth:`set_value` does."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setRange(0, _STEPS)
        self.slider.setToolTip("Fewer, larger segments to the left; more, smaller ones to the right (logarithmic)")
        self.slider.setAccessibleName("Number of segments")
        self.spin = QSpinBox()
        self.spin.setRange(1, MOST_SEGMENTS)
        self.spin.setKeyboardTracking(False)
        self.spin.setToolTip("Number of segments")
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.spin)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self._end_rest)
        self._told = self.value
        self.slider.valueChanged.connect(self._on_slider)
        self.spin.valueChanged.connect(self._on_spin)

    @property
    def value(self) -> int:
        """The number of segments."""
        return int(self.spin.value())

    def set_value(self, count: int) -> None:
        """Show ``count`` without emitting ``changed``."""
        self._show(count)
        self._told = count

    def rest_after(self, seconds: float) -> None:
        """Say how long it took to show the last change.

        On a large image the steps of a drag would queue up: after a long one the slider waits as long again, so that
        the window gets its turn, and then emits only where it has come to.
        """
        if seconds > LONG_S:
            self._rest.start(round(1e3 * seconds))

    def _tell(self, count: int) -> None:
        if not self._rest.isActive():
            self._told = count
            self.changed.emit(count)

    def _end_rest(self) -> None:
        if self._told != self.value:
            self._tell(self.value)

    def set_most(self, most: int) -> None:
        """The number at the right end, at most a thousand."""
        value = self.value
        self.spin.blockSignals(True)
        self.spin.setMaximum(max(1, min(most, MOST_SEGMENTS)))
        self.spin.blockSignals(False)
        self._show(min(value, self.spin.maximum()))

    def _show(self, count: int) -> None:
        for control, value in ((self.spin, count), (self.slider, self._position(count))):
            control.blockSignals(True)
            control.setValue(value)
            control.blockSignals(False)

    def _position(self, count: int) -> int:
        from math import log

        most = self.spin.maximum()
        return round(_STEPS * log(max(count, 1)) / log(most)) if most > 1 else 0

    def _on_slider(self, position: int) -> None:
        count = max(1, round(self.spin.maximum() ** (position / _STEPS)))
        if count != self.value:
            self.spin.blockSignals(True)
            self.spin.setValue(count)
            self.spin.blockSignals(False)
            self._tell(count)

    def _on_spin(self, count: int) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(self._position(count))
        self.slider.blockSignals(False)
        self._tell(count)


def row_of(*widgets: QWidget, stretch: int | None = None, alike: bool = False, spacing: int | None = None) -> QWidget:
    """Widgets side by side.

    The one numbered ``stretch`` takes the spare room, or the end of the row if there is none of that number; without
    it they share it as Qt has it, or, if they are ``alike``, equally. ``spacing``: pixels between them.
    """
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    if spacing is not None:
        line.setSpacing(spacing)
    for number, widget in enumerate(widgets):
        line.addWidget(widget, 1 if alike or number == stretch else 0)
    if stretch is not None and stretch >= len(widgets):
        line.addStretch(1)
    return row
