"""Charts as SVG, drawn by a few lines: bars of eigenvalues, and of what was kept of every network layer.

Colours come from the page's style sheet, so that they fit a dark page and print.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from napari_what_where.collection.report.types import LayerEnergy

_WIDTH, _HEIGHT = 640, 220
_TOWERING = 2
_NAME = 40
"""Letters of a network layer's name that there is room for."""


def eigenvalue_chart(values: Sequence[float] | np.ndarray) -> str:
    """A bar for each eigenvalue, from the first on; a first one that towers over the others is cut off, and says so."""
    numbers = np.asarray(values, np.float64)
    cut = len(numbers) > 1 and numbers[0] > _TOWERING * max(numbers[1], 0) > 0
    top, bottom = max(0.0, float(numbers[1] * 1.3 if cut else numbers.max())), min(0.0, float(numbers.min()))
    span = (top - bottom) or 1.0
    left, height = 44, _HEIGHT - 52
    step = (_WIDTH - left - 4) / len(numbers)
    parts = []
    for mark in np.linspace(bottom, top, 3):
        y = _place(20 + height * (top - mark) / span)
        parts.append(f'<line class="rule" x1="{left}" x2="{_WIDTH}" y1="{y}" y2="{y}"/>')
        parts.append(f'<text x="{left - 6}" y="{y}" dy="4" text-anchor="end">{mark:.2g}</text>')
    every = max(1, len(numbers) // 16)
    for index, value in enumerate(numbers):
        x, low, high = left + index * step + step * 0.15, min(value, 0.0), min(max(value, 0.0), top)
        y, tall = 20 + height * (top - high) / span, max(1.0, height * (high - low) / span)
        parts.append(
            f'<rect class="bar" x="{_place(x)}" y="{_place(y)}" width="{_place(step * 0.7)}" height="{_place(tall)}">'
            f"<title>eigenvector {index + 1}: {value:.4f}</title></rect>"
        )
        if index % every == 0:
            middle = _place(left + (index + 0.5) * step)
            parts.append(f'<text x="{middle}" y="{_HEIGHT - 14}" text-anchor="middle">{index + 1}</text>')
    if cut:
        parts.append(_cut_off(left + step * 0.15, step * 0.7, numbers[0]))
    summary = f"Bars of {len(numbers)} eigenvalues, from {numbers[0]:.3f} down to {numbers[-1]:.3f}."
    return _svg(_WIDTH, _HEIGHT, summary, parts)


def _cut_off(x: float, width: float, value: float) -> str:
    """A gap across the top of a bar that is taller than there is room for, and how tall it is."""
    right, middle = _place(x + width + 2), _place(x + width / 2)
    return (
        f'<line class="gap" x1="{_place(x - 2)}" x2="{right}" y1="36" y2="30"/>'
        f'<text x="{middle}" y="14" text-anchor="middle">{value:.2f}</text>'
    )


def energy_chart(layers: Sequence[LayerEnergy]) -> str:
    """A bar for each network layer: what was kept, and the rest up to all of it."""
    row, left = 24, 280
    width = _WIDTH - left - 56
    parts, short = [], _short_names([layer.name for layer in layers])
    for index, layer in enumerate(layers):
        top, kept = index * row + 4, float(np.clip(layer.kept, 0, 1))
        about = f"{layer.name}: {kept:.1%} kept, in {layer.rank} of {layer.width} directions"
        parts.append(
            f'<g><title>{escape(about)}</title><text x="{left - 8}" y="{top + 12}" text-anchor="end">'
            f'{escape(short[index])}</text><rect class="rest" x="{left}" y="{top}" width="{width}" '
            f'height="{row - 8}"/><rect class="bar" x="{left}" y="{top}" width="{_place(width * kept)}" '
            f'height="{row - 8}"/><text x="{_WIDTH}" y="{top + 12}" text-anchor="end">{kept:.1%}</text></g>'
        )
    least = min(layers, key=lambda layer: layer.kept)
    summary = f"Bars of {len(layers)} network layers; least was kept of {least.name}: {least.kept:.1%}."
    return _svg(_WIDTH, len(layers) * row + 4, summary, parts)


def _svg(width: int, height: int, summary: str, parts: Sequence[str]) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(summary)}">'
        f"{''.join(parts)}</svg>"
    )


def _short_names(names: Sequence[str]) -> list[str]:
    """Without the parts, between dots, that all begin and end with; the middle of what is still long is left out."""
    parts = [name.split(".") for name in names]
    shortest = min(map(len, parts))
    first = next((at for at in range(shortest) if len({part[at] for part in parts}) > 1), shortest - 1)
    last = next((at for at in range(shortest - first) if len({part[-1 - at] for part in parts}) > 1), 0)
    kept = [".".join(part[first : len(part) - last]) for part in parts]
    return [name if len(name) <= _NAME else f"{name[: _NAME // 2 - 1]}…{name[-_NAME // 2 :]}" for name in kept]


def _place(value: float) -> str:
    """A coordinate, to a hundredth of a pixel."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
