"""Textures: large tiles made once, of which each object shows a window at an offset of its own."""

from __future__ import annotations

from functools import cache

import numpy as np

SIDE = 512
"""Of a tile, which continues at its opposite side."""
TEXTURES = ("plain", "clouds", "rough", "grain", "grating", "waves", "spots", "cells", "brush")


@cache
def tile(texture: str, variant: int) -> np.ndarray:
    """(SIDE, SIDE) float32 of mean 0 and standard deviation 1, periodic; the same at every call."""
    rng = np.random.default_rng([TEXTURES.index(texture), variant])
    made = _MAKERS[texture](rng)
    spread = made.std()
    return ((made - made.mean()) / (spread if spread > 0 else 1)).astype(np.float32)


def window(texture: str, variant: int, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The tile at whole positions ``rows`` × ``columns``, any integers of one shape."""
    return tile(texture, variant)[rows % SIDE, columns % SIDE]


def _noise(rng: np.random.Generator, slope: float, stretch: float = 1.0, angle: float = 0.0) -> np.ndarray:
    """Gaussian noise whose amplitude falls with frequency to the power ``slope``, drawn out along a direction."""
    rows, columns = np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None]
    along, across = _turned(rows, columns, angle)
    frequency = np.hypot(along * stretch, across)
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((SIDE, SIDE))) * frequency**-slope
    spectrum[0, 0] = 0
    return np.fft.irfft2(spectrum, (SIDE, SIDE))


def _turned(rows: np.ndarray, columns: np.ndarray, angle: float) -> tuple[np.ndarray, np.ndarray]:
    return rows * np.cos(angle) + columns * np.sin(angle), columns * np.cos(angle) - rows * np.sin(angle)


def _plain(rng: np.random.Generator) -> np.ndarray:
    return np.zeros((SIDE, SIDE))


def _clouds(rng: np.random.Generator) -> np.ndarray:
    return _noise(rng, 1.8)


def _rough(rng: np.random.Generator) -> np.ndarray:
    return _noise(rng, 1.0)


def _grain(rng: np.random.Generator) -> np.ndarray:
    return _noise(rng, rng.uniform(0.0, 0.4))


def _brush(rng: np.random.Generator) -> np.ndarray:
    return _noise(rng, 1.2, stretch=rng.uniform(4, 10), angle=rng.uniform(0, np.pi))


def _phase(rng: np.random.Generator, period: float) -> np.ndarray:
    """Phase of a plane wave that closes at the tile's sides."""
    angle, waves = rng.uniform(0, np.pi), SIDE / period
    down, right = round(waves * np.cos(angle)), round(waves * np.sin(angle)) or 1
    rows, columns = np.mgrid[:SIDE, :SIDE] / SIDE
    return 2 * np.pi * (down * rows + right * columns)


def _grating(rng: np.random.Generator) -> np.ndarray:
    wave = np.sin(_phase(rng, rng.uniform(5, 16)))
    return np.tanh(wave * rng.uniform(0.5, 4))


def _waves(rng: np.random.Generator) -> np.ndarray:
    bend = _noise(rng, 1.8)
    return np.sin(_phase(rng, rng.uniform(7, 20)) + 1.5 * bend / bend.std())


def _spots(rng: np.random.Generator) -> np.ndarray:
    first = _phase(rng, period := rng.uniform(7, 18))
    return np.tanh(3 * (np.cos(first) * np.cos(_phase(rng, period * rng.uniform(0.8, 1.2))) - 0.2))


def _cells(rng: np.random.Generator) -> np.ndarray:
    """Distance to the nearest of scattered points."""
    from scipy.spatial import cKDTree

    points = rng.uniform(0, SIDE, (round((SIDE / rng.uniform(8, 18)) ** 2), 2))
    at = np.indices((SIDE, SIDE)).reshape(2, -1).T
    return cKDTree(points, boxsize=SIDE).query(at)[0].reshape(SIDE, SIDE)


_MAKERS = {
    "plain": _plain,
    "clouds": _clouds,
    "rough": _rough,
    "grain": _grain,
    "grating": _grating,
    "waves": _waves,
    "spots": _spots,
    "cells": _cells,
    "brush": _brush,
}
