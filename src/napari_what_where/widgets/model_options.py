"""Options of a network, under More: shown where the chosen model has them."""

from __future__ import annotations

import re
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFormLayout, QHBoxLayout, QLineEdit, QPushButton, QSpinBox, QWidget

from napari_what_where.widgets.model_entries import Entry

DRAWN, MOST_DRAWN = 5, 250
"""How many timesteps are drawn, and up to where: as the paper does for one image."""


class ModelOptions(QWidget):
    """Rows of a form; what is set for a model is there again when it is chosen again."""

    changed = Signal()

    def __init__(self, form: QFormLayout) -> None:
        super().__init__()
        self.hide()  # it holds no controls itself; they are rows of the form
        self._form = form
        self._set: dict[str, dict[str, Any]] = {}
        self._name, self._draws = "", 0
        self._make_common()
        self._make_diffusion()
        rows = {
            "resolution": ("Resolution", self.resolution),
            "layers": ("Network layers", _row(self.layers, self.list_layers)),
            "precision": ("Precision", self.precision),
            "timesteps": ("Timesteps", _row(self.timesteps, self.draw)),
            "prompt": ("Prompt", self.prompt),
            "noise_seed": ("Noise seed", self.noise_seed),
        }
        self._rows = {name: field for name, (_, field) in rows.items()}
        for label, field in rows.values():
            form.addRow(label, field)
        self._fields: dict[str, Any] = {name: getattr(self, name) for name in rows}
        for field in self._fields.values():
            _changes(field).connect(lambda *_: self.changed.emit())
        self.show_entry(None)

    def _make_common(self) -> None:
        self.resolution = QSpinBox()
        self.resolution.setRange(0, 4096)
        self.resolution.setSingleStep(64)
        self.resolution.setKeyboardTracking(False)
        self.resolution.setSpecialValueText("automatic")
        self.layers = QLineEdit()
        self.layers.setPlaceholderText("all")
        self.layers.setToolTip("Names of network layers, or patterns such as up_blocks.*, with commas between")
        self.list_layers = QPushButton("Choose…")
        self.list_layers.setToolTip("List the network layers of the model, to choose from; loads it if it is not")
        self.precision = QComboBox()
        for text, value in (("automatic", "auto"), ("full", "full"), ("half", "half")):
            self.precision.addItem(text, value)
        self.precision.setToolTip("Of weights and activations; automatic takes half on a GPU")

    def _make_diffusion(self) -> None:
        self.timesteps = QLineEdit()
        self.timesteps.setToolTip(
            "How much noise the model sees, 0 (least) to 999; several, with commas between, are taken together, and "
            "take as many times as long"
        )
        self.draw = QPushButton("Draw")
        self.draw.setToolTip(f"Draw {DRAWN} timesteps of 0…{MOST_DRAWN} at random; press again for others")
        self.draw.clicked.connect(self._draw_timesteps)
        self.prompt = QLineEdit()
        self.prompt.setPlaceholderText("nothing")
        self.prompt.setToolTip("What the image shows, in words")
        self.noise_seed = QSpinBox()
        self.noise_seed.setRange(0, 2**31 - 1)
        self.noise_seed.setToolTip("Another number, another noise; the same number gives the same result")

    def values(self) -> dict[str, Any]:
        """What differs from the defaults, as ``load_backbone`` takes it. ``ValueError``, in words, for what is none."""
        found: dict[str, Any] = {
            "resolution": int(self.resolution.value()) or None,
            "layers": [part for part in re.split(r"[,;\s]+", self.layers.text()) if part] or None,
            "precision": self.precision.currentData() if self.precision.currentIndex() else None,
            "timesteps": self._parsed_timesteps() if "timesteps" in self._has else None,
            "prompt": self.prompt.text().strip() or None,
            "noise_seed": int(self.noise_seed.value()) or None,
        }
        return {name: value for name, value in found.items() if name in self._has and value is not None}

    def _parsed_timesteps(self) -> list[int] | None:
        """None for none, and for the model's own."""
        given = _parse_timesteps(self.timesteps.text())
        own = self.timesteps.placeholderText()
        return None if not given or [str(step) for step in given] == [own] else given

    def set_resolution(self, pixels: int) -> None:
        """Show a resolution."""
        self.resolution.setValue(pixels)

    def show_entry(self, entry: Entry | None) -> None:
        """Show the options that a model has, as they were set for it."""
        name = "" if entry is None else entry.name
        self._has = () if entry is None else entry.options
        if name != self._name:
            self._set[self._name] = {option: _read(field) for option, field in self._fields.items()}
            self._name = name
            raw = self._set.get(name) or {}
            for option, field in self._fields.items():
                _write(field, raw.get(option))
        for option, row in self._rows.items():
            self._form.setRowVisible(row, option in self._has)
        self.timesteps.setPlaceholderText("" if entry is None else str(entry.timestep))
        own = f": {entry.resolution}" if entry is not None and entry.resolution else ""
        self.resolution.setToolTip(
            f"The model sees about so many pixels squared, at the image's own aspect. Automatic is its own{own}. More "
            "shows finer detail and takes more time and memory."
        )

    def _draw_timesteps(self) -> None:
        from napari_what_where.activations.networks.noise import draw_timesteps

        drawn = draw_timesteps(DRAWN, MOST_DRAWN, seed=self._draws)
        self._draws += 1
        self.timesteps.setText(", ".join(map(str, drawn)))


def _parse_timesteps(text: str) -> list[int]:
    parts = [part for part in re.split(r"[,;\s]+", text) if part]
    if not all(re.fullmatch(r"\d{1,3}", part) for part in parts):
        raise ValueError(f"Timesteps are {text!r}; expected whole numbers in 0…999, such as 50 or 50, 150, 250.")
    return [int(part) for part in parts]


def _changes(field: Any) -> Any:
    if isinstance(field, QLineEdit):
        return field.textChanged
    return field.valueChanged if isinstance(field, QSpinBox) else field.currentIndexChanged


def _read(field: Any) -> Any:
    if isinstance(field, QLineEdit):
        return field.text()
    return field.value() if isinstance(field, QSpinBox) else field.currentIndex()


def _write(field: Any, value: Any) -> None:
    """Show a value; None is the default."""
    if isinstance(field, QLineEdit):
        field.setText(value or "")
    elif isinstance(field, QSpinBox):
        field.setValue(value or 0)
    else:
        field.setCurrentIndex(value or 0)


def _row(field: QWidget, button: QPushButton) -> QWidget:
    row = QWidget()
    line = QHBoxLayout(row)
    line.setContentsMargins(0, 0, 0, 0)
    line.addWidget(field, 1)
    line.addWidget(button)
    return row
