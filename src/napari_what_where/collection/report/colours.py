"""The colours of clusters, told apart at a glance: the same on pages, in files and in the window."""

from __future__ import annotations

import numpy as np

_DISTINCT = (
    "4363d8f582313cb44be6194bffe119911eb446f0f09a6324f032e6bcf60cfabebe008080e6beff800000aaffc380800000a8ff000075fffac8"
    "808080"
)
"""Red, green and blue of twenty (after Sasha Trubetskoy, "List of 20 simple, distinct colors", 2017, but for one)."""


DISTINCT = 20


def label_colours(count: int) -> np.ndarray:
    """(count, 3) uint8: the colours of clusters 1 … count; they come again after ``DISTINCT``."""
    cycle = np.frombuffer(bytes.fromhex(_DISTINCT), np.uint8).reshape(-1, 3)
    return cycle[np.arange(count) % len(cycle)]


def as_css(colour: np.ndarray) -> str:
    """A colour as style sheets have it: "#7825a6"."""
    return "#" + bytes(np.asarray(colour, np.uint8).tolist()).hex()


def ink_on(colour: np.ndarray) -> str:
    """Black or white, whichever reads better on a colour: relative luminance as in WCAG 2.2."""
    linear = np.where(colour <= 10, colour / 3294.6, ((colour / 255 + 0.055) / 1.055) ** 2.4)
    luminance = float(linear @ np.array([0.2126, 0.7152, 0.0722]))
    return "#000000" if (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) else "#ffffff"
