"""The controls that say what to run on: image, axes, part, and the size of things; knows nothing of analyses."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QFormLayout, QHBoxLayout, QToolButton, QWidget

MOST_CHANNELS = 64
"""Longer axes are not offered as channels."""
PARTS = {"whole": "whole image", "screen": "what is on screen", "shape": "inside the selected shapes"}
_CHANNEL_NAMES = ("c", "ch", "channel", "channels")


class ObjectSize(QWidget):
    """A diameter in pixels or in the image's unit, typed or drawn; 0 means automatic."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.spin = QDoubleSpinBox()
        self.spin.setRange(0, 1e6)
        self.spin.setDecimals(1)
        self.spin.setKeyboardTracking(False)
        self.spin.setSpecialValueText("automatic")
        self.spin.setToolTip(
            "Diameter of the smallest thing you care about. Automatic looks at the whole image at once, at up to "
            "1024 pixels; small things in a large image take longer."
        )
        self.unit = QComboBox()
        self.unit.addItem("px", 1.0)
        self.draw = QToolButton()
        self.draw.setText("Draw")
        self.draw.setCheckable(True)
        self.draw.setToolTip("Draw it: press at one end of such a thing on the image, drag to the other")
        self.draw.setAccessibleName("Draw the smallest object on the image")
        line = QHBoxLayout(self)
        line.setContentsMargins(0, 0, 0, 0)
        line.addWidget(self.spin, 1)
        line.addWidget(self.unit)
        line.addWidget(self.draw)
        self._per_unit = 1.0
        self.spin.valueChanged.connect(lambda _: self.changed.emit())
        self.unit.currentIndexChanged.connect(self._change_unit)

    @property
    def pixels(self) -> float | None:
        """The diameter in pixels; None for automatic."""
        return float(self.spin.value()) * self._per_unit or None

    def set_pixels(self, pixels: float) -> None:
        """Show a diameter that is known in pixels."""
        self.spin.setValue(pixels / self._per_unit)

    def offer_unit(self, name: str | None, pixel_size: float) -> None:
        """Offer the unit of an image whose pixels have this size in it; None: it has none but pixels."""
        pixels = self.pixels
        self.unit.blockSignals(True)
        chosen = self.unit.currentIndex()
        while self.unit.count() > 1:
            self.unit.removeItem(1)
        if name is not None and pixel_size > 0:
            self.unit.addItem(
                {"micrometer": "µm", "nanometer": "nm", "millimeter": "mm"}.get(name, name), 1 / pixel_size
            )
        self.unit.setCurrentIndex(min(max(chosen, 0), self.unit.count() - 1))
        self.unit.blockSignals(False)
        self._show(pixels)

    def _change_unit(self) -> None:
        self._show(self.pixels)

    def _show(self, pixels: float | None) -> None:
        """The same diameter in the unit that is chosen now."""
        self._per_unit = float(self.unit.currentData())
        self.spin.blockSignals(True)
        self.spin.setValue((pixels or 0.0) / self._per_unit)
        self.spin.blockSignals(False)


class SourceInputs:
    """Image, axes and part, as attributes; they add themselves as rows to a form."""

    def __init__(self, form: QFormLayout) -> None:
        self._form = form
        self._offers: list[tuple[Any, ...]] = []
        self.image = _combo("The Image layer to analyse; select several in the layer list to use them as channels")
        self.channels = _combo("Which axis holds the channels of one image, if one does")
        self.planes = _combo("Of a stack: the plane on screen, or every one; linked, a number means one thing in all")
        self.part = _combo("Of a large image: all of it, what is on screen, or what lies inside shapes you drew")
        for key, text in PARTS.items():
            self.part.addItem(text, key)
        self.size = ObjectSize()
        form.addRow("Image", self.image)
        form.addRow("Channels", self.channels)
        form.addRow("Planes", self.planes)
        form.addRow("Part", self.part)
        form.addRow("Smallest object", self.size)
        self._described: tuple[Any, ...] | None = None
        self.image.currentIndexChanged.connect(lambda _: self.describe())
        self.channels.currentIndexChanged.connect(lambda _: self._offer_planes())

    def offer(self, layers: list[Any], together: tuple[Any, ...] = ()) -> None:
        """Fill the list of images, keeping the choice; ``together``: layers that may be channels of one image."""
        chosen = self.layers()
        self._offers = [(layer,) for layer in layers] + ([together] if len(together) > 1 else [])
        self.image.blockSignals(True)
        self.image.clear()
        self.image.addItems([layer.name for layer in layers])
        if len(together) > 1:
            self.image.addItem(f"{len(together)} selected layers, as channels")
        if not layers:
            self.image.setPlaceholderText("no image open")
        self.image.blockSignals(False)
        self.choose(chosen)
        self.describe()

    def choose(self, layers: tuple[Any, ...]) -> None:
        """Choose an offer, if it is one."""
        if layers in self._offers:
            self.image.setCurrentIndex(self._offers.index(layers))

    def layers(self) -> tuple[Any, ...]:
        """The chosen layer, or layers; empty if none is."""
        index = self.image.currentIndex()
        return self._offers[index] if 0 <= index < len(self._offers) else ()

    def describe(self) -> None:
        """Offer the axes and the unit of the chosen image."""
        layers = self.layers()
        if not layers:
            self._described = None
            self._show_row(self.channels, shown=False)
            self._show_row(self.planes, shown=False)
            return
        layer = layers[0]
        data = layer.data[0] if layer.multiscale else layer.data
        shape = tuple(data.shape[: layer.ndim])
        described = (*(each.unique_id for each in layers), shape, layer.axis_labels)
        if described != self._described:
            self._described = described
            self._offer_channels(layer, shape, together=len(layers) > 1)
            self._offer_planes()
        unit = str(layer.units[-1])
        self.size.offer_unit(None if unit in ("pixel", "dimensionless") else unit, abs(float(layer.scale[-1])))

    def _offer_channels(self, layer: Any, shape: tuple[int, ...], *, together: bool) -> None:
        self._axes = [(axis, size, _axis_name(layer, axis)) for axis, size in enumerate(shape)]
        self._spare = [each for each in self._axes if each[1] > 1] if len(shape) > 2 else []
        offered = [] if layer.rgb or together else [each for each in self._spare if each[1] <= MOST_CHANNELS]
        self.channels.blockSignals(True)
        self.channels.clear()
        self.channels.addItem("none", None)
        for axis, size, name in offered:
            self.channels.addItem(f"{name} ({size})", axis)
            if name.lower() in _CHANNEL_NAMES:
                self.channels.setCurrentIndex(self.channels.count() - 1)
        self.channels.blockSignals(False)
        self._show_row(self.channels, shown=bool(offered))

    def _offer_planes(self) -> None:
        """Axes along which every plane could be run: all but that of the channels, and the last two of the rest."""
        rest = [each for each in self._axes if each[0] != self.channels.currentData()]
        self.planes.blockSignals(True)
        self.planes.clear()
        self.planes.addItem("this one", None)
        for axis, size, name in rest[:-2]:
            if size > 1:
                self.planes.addItem(f"every {name} ({size}), numbers linked", (axis, True))
                self.planes.addItem(f"every {name} ({size}), each by itself", (axis, False))
        self.planes.blockSignals(False)
        self._show_row(self.planes, shown=self.planes.count() > 1)

    def _show_row(self, field: QWidget, *, shown: bool) -> None:
        self._form.setRowVisible(field, shown)


def _combo(tip: str) -> QComboBox:
    combo = QComboBox()
    combo.setToolTip(tip)
    # A long name must not make the dock wide.
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    combo.view().setTextElideMode(Qt.TextElideMode.ElideMiddle)
    return combo


def _axis_name(layer: Any, axis: int) -> str:
    label = str(layer.axis_labels[axis])
    # napari calls axes that nobody has named -1, -2, …
    return f"axis {axis}" if label.lstrip("-").isdigit() or not label else label
