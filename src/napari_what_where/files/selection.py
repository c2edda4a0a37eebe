"""Some of the labels of an image: named in text, and taken out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

Ranges = tuple[tuple[int, int], ...]
"""First and last label of each."""


def parse_labels(text: str) -> Ranges:
    """Labels like ``3, 5-9``, as ranges that include their ends. ``ValueError`` for anything else, or none."""
    found = []
    for part in re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text.strip())):
        ends = part.split("-")
        if not all(end.isascii() and end.isdigit() for end in ends) or len(ends) > 2:
            raise ValueError(f"The labels are {text.strip()[:40]!r}; expected numbers and ranges, such as 3, 5-9.")
        first, last = int(ends[0]), int(ends[-1])
        if first < 1 or last < first:
            raise ValueError(f"The labels are {part!r}; expected numbers from 1 on, the smaller first.")
        found.append((first, last))
    return tuple(found)


def keep_labels(labels: np.ndarray, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
    """A copy in which all labels outside of ``ranges`` are 0. ``ValueError`` where nothing is left."""
    kept = np.zeros(labels.shape, bool)
    for first, last in ranges:
        kept |= (labels >= first) & (labels <= last)
    if not kept.any():
        said = ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
        raise ValueError(f"There are no pixels of labels {said}. Choose others, or all labels.")
    return np.where(kept, labels, labels.dtype.type(0))


def add_label(text: str, label: int) -> str:
    """The text with a label added, unless it names it already; what cannot be read is replaced."""
    try:
        ranges = parse_labels(text)
    except ValueError:
        return str(label)
    return text.strip() if any(first <= label <= last for first, last in ranges) else f"{text.strip()}, {label}"
