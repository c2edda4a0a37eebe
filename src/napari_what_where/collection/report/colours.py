"""The colours in which napari shows labels, without napari."""

from __future__ import annotations

import numpy as np

_NAPARI = (
    "7825065bd5f89289e86c02c1473a9fabec8a8fadb286909afef71cf7443b034e3971b26069954a3c1b872e47105cb7de479d76474258ef5665"
    "b8507ba62a64f1b4ec4b1e20b4c53e9c602f8a431bd8be9ab47dbda65ea4607a34c1e357d795559e876f002cebcae6e0e18b1e78f0017b8e0f"
    "e5ddb2abec8a42d8a646ba8efef71cf7443baf4bf2b00c3f69954af687a7cb32c7"
)
"""Red, green and blue of labels 1 … 49 in ``napari.utils.colormaps.label_colormap(49, seed=0.5)``, its default."""


def label_colours(count: int) -> np.ndarray:
    """(count, 3) uint8: the colours of labels 1 … count of a new Labels layer; they come again every 49."""
    cycle = np.frombuffer(bytes.fromhex(_NAPARI), np.uint8).reshape(-1, 3)
    return cycle[np.arange(count) % len(cycle)]


def as_css(colour: np.ndarray) -> str:
    """A colour as style sheets have it: "#7825a6"."""
    return "#" + bytes(np.asarray(colour, np.uint8).tolist()).hex()


def ink_on(colour: np.ndarray) -> str:
    """Black or white, whichever reads better on a colour: relative luminance as in WCAG 2.2."""
    linear = np.where(colour <= 10, colour / 3294.6, ((colour / 255 + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"
