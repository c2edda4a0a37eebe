"""Make the synthetic time series of the samples: drifting cells with bright membranes, two of which divide.

``python scripts/make_sample_stack.py [FILE]`` writes src/napari_what_where/sample_data/dividing-cells.tif, the same
pixels every time. No photograph, no one's data: licence as the project.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

TIMES, SIDE = 6, 192
MICROMETERS, MINUTES = 0.25, 5.0
DESTINATION = Path(__file__).parents[1] / "src/napari_what_where/sample_data/dividing-cells.tif"


def make_stack(seed: int = 7) -> np.ndarray:
    """The (time, row, column) uint16 stack."""
    rng = np.random.default_rng(seed)
    starts = _spread(rng, count=9, distance=46)
    drifts = rng.uniform(-2.5, 2.5, (len(starts), 2))
    radii = rng.uniform(15, 20, len(starts))
    tones = rng.uniform(0.55, 1.0, len(starts))
    angles = rng.uniform(0, np.pi, len(starts))
    stack = np.zeros((TIMES, SIDE, SIDE))
    for time in range(TIMES):
        for cell, start in enumerate(starts):
            centre = start + time * drifts[cell]
            divided = time / (TIMES - 1) if cell < 2 else 0.0
            stack[time] += tones[cell] * _cell(centre, radii[cell], angles[cell], divided)
    return _photograph(stack, rng)


def _spread(rng: np.random.Generator, count: int, distance: float) -> np.ndarray:
    """``count`` random (row, column) centres, at least ``distance`` apart."""
    centres: list[np.ndarray] = []
    while len(centres) < count:
        candidate = rng.uniform(28, SIDE - 28, 2)
        if all(np.linalg.norm(candidate - centre) > distance for centre in centres):
            centres.append(candidate)
    return np.array(centres)


def _cell(centre: np.ndarray, radius: float, angle: float, divided: float) -> np.ndarray:
    """One cell: cytoplasm, nucleus and membrane; ``divided`` from 0 (one) to 1 (two daughters side by side)."""
    axis = np.array([np.sin(angle), np.cos(angle)])
    offsets = [divided * radius * 0.95 * side * axis for side in (-1, 1)] if divided else [np.zeros(2)]
    size = radius * (1 - 0.25 * divided)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    distance = np.min(
        [np.hypot(rows - centre[0] - row, columns - centre[1] - column) for row, column in offsets], axis=0
    )
    inside = 1 / (1 + np.exp((distance - size) / 0.8))
    nucleus = 1 / (1 + np.exp((distance - 0.42 * size) / 0.8))
    membrane = np.exp(-(((distance - size) / 1.6) ** 2))
    return 0.35 * inside + 0.75 * nucleus + 0.6 * membrane


def _photograph(light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """What a camera sees: blur, uneven ground, shot noise (as its normal limit), read noise."""
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    ground = 0.10 + 0.08 * columns + 0.05 * rows
    photons = 1800 * (np.stack([gaussian_filter(plane, 0.9) for plane in light]) + ground)
    counts = photons + rng.normal(size=light.shape) * np.sqrt(photons) + rng.normal(size=light.shape) * 8 + 100
    return np.clip(np.rint(counts), 0, 65535).astype(np.uint16)


def write_stack(path: Path, stack: np.ndarray) -> None:
    """Write as a compressed TIFF with ImageJ's metadata: the size of a pixel and the interval between planes."""
    tifffile.imwrite(
        path,
        stack,
        imagej=True,
        compression="zlib",
        predictor=True,
        resolution=(1 / MICROMETERS, 1 / MICROMETERS),
        metadata={"axes": "TYX", "unit": "um", "finterval": MINUTES * 60},
        software="scripts/make_sample_stack.py",
    )


if __name__ == "__main__":
    destination = Path(sys.argv[1]) if len(sys.argv) > 1 else DESTINATION
    write_stack(destination, make_stack())
    print(f"wrote {destination} ({destination.stat().st_size / 1000:.0f} kB)")
