"""Colours that tell labels apart, where nobody has chosen any."""

from __future__ import annotations

import colorsys

_GOLDEN = 0.618033988749895
_TONES = ((0.75, 0.95), (0.55, 0.80), (0.90, 0.70), (0.40, 1.00))
"""Saturation and value: labels of like hue, which come every few, differ in these."""


def distinct_colour(label: int) -> tuple[int, int, int]:
    """Red, green and blue of a label, 0 … 255: always the same, far from those of the numbers around it."""
    saturation, value = _TONES[label % len(_TONES)]
    red, green, blue = colorsys.hsv_to_rgb(label * _GOLDEN % 1.0, saturation, value)
    return round(255 * red), round(255 * green), round(255 * blue)
