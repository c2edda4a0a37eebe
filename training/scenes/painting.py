"""Compositing from front to back, and what a camera does to it."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

from training.scenes.shapes import Outline, draw_outline
from training.scenes.textures import SIDE, tile, window
from training.scenes.world import VARIANTS, Kind

FLOAT = np.float32


class Canvas:
    """An image in the making: objects are put behind those that are there already, so each pixel is painted once."""

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int]) -> None:
        self.rng = rng
        self.colours = np.zeros((*shape, 3), FLOAT)
        self.labels = np.zeros(shape, np.int32)
        self.classes = [0]

    @property
    def shape(self) -> tuple[int, int]:
        rows, columns = self.labels.shape
        return rows, columns

    def free(self) -> float:
        """Fraction of the pixels that nothing covers yet."""
        return float(1 - np.count_nonzero(self.labels) / self.labels.size)

    def put(self, outline: Outline, kind: Kind, number: int) -> None:
        """An object of class ``number`` where ``outline`` is not covered."""
        box = outline.box(self.shape)
        uncovered = self.labels[box] == 0
        if not uncovered.any():
            return
        depth = outline.depth(box)
        self._fill(box, uncovered & (depth > 0), kind, number, depth)

    def fill(self, kind: Kind, number: int, where: np.ndarray | None = None) -> None:
        """What is still free, or still free ``where`` says, becomes one object."""
        everywhere = (slice(0, self.shape[0]), slice(0, self.shape[1]))
        free = self.labels == 0
        self._fill(everywhere, free if where is None else free & where, kind, number, None)

    def _fill(
        self, box: tuple[slice, slice], seen: np.ndarray, kind: Kind, number: int, depth: np.ndarray | None
    ) -> None:
        rows, columns = np.nonzero(seen)
        if not len(rows):
            return
        self.labels[box][rows, columns] = len(self.classes)
        self.classes.append(number)
        colours = paint(self.rng, kind, rows, columns)
        if depth is not None:
            roundness = self.rng.choice([0.0, 0.0, 0.25, 0.6])
            colours *= FLOAT(1 - roundness / 2) + FLOAT(roundness) * np.clip(depth[rows, columns], 0, 0.6)[:, None]
        self.colours[box][rows, columns] = colours


def paint(rng: np.random.Generator, kind: Kind, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(pixels, 3) float32: colours of a member of a class at these pixels, its texture and light by chance."""
    colour = kind.colour + rng.normal(0, kind.spread, 3) * 0.5 + rng.normal(0, kind.spread)
    offset = rng.integers(SIDE, size=2)
    pattern = window(kind.texture, kind.variant, rows + offset[0], columns + offset[1])
    slope = rng.normal(0, 0.12, 2)
    extent = max(1, int(np.ptp(rows)), int(np.ptp(columns)))
    light = ((rows - rows.mean()) * slope[0] + (columns - columns.mean()) * slope[1]) / extent
    painted = colour.astype(FLOAT) + np.multiply.outer(pattern, (kind.contrast * kind.tint).astype(FLOAT))
    return painted * (1 + light[:, None].astype(FLOAT))


def scattered_outline(
    rng: np.random.Generator, kind: Kind, shape: tuple[int, int], row: float, column: float, zoom: float
) -> Outline:
    """An outline of a member of a class, of about its size."""
    size = max(2.0, kind.size * zoom * min(shape) * float(np.exp(rng.normal(0, 0.25))))
    aspect = max(1.0, kind.aspect * float(np.exp(rng.normal(0, 0.1))))
    return draw_outline(rng, kind.shape, row=row, column=column, size=size, aspect=aspect, corners=kind.corners)


def photographed(rng: np.random.Generator, colours: np.ndarray) -> np.ndarray:
    """(rows, columns, 3) uint8: uneven light, blur, exposure and noise; a quarter of all pictures are grey."""
    rows, columns = colours.shape[:2]
    light = tile("clouds", int(rng.integers(VARIANTS)))[:rows, :columns] if max(rows, columns) <= SIDE else 0
    lit = colours * (1 + FLOAT(rng.uniform(0, 0.08)) * np.asarray(light, FLOAT)[..., None])
    if rng.random() < 0.25:
        lit = np.repeat(lit @ np.array([0.299, 0.587, 0.114], FLOAT)[:, None], 3, axis=2)
    return developed(rng, lit, blur=rng.uniform(0.4, 1.1), noise=rng.choice([0, 0.01, 0.02, 0.05]))


def developed(rng: np.random.Generator, colours: np.ndarray, *, blur: float, noise: float) -> np.ndarray:
    """(rows, columns, 3) uint8, blurred by ``blur`` pixels, with Gaussian ``noise``, at a random exposure."""
    blurred = gaussian_filter(colours, (blur, blur, 0), mode="nearest", truncate=3)
    gamma, gain = np.exp(rng.normal(0, 0.2)), rng.uniform(0.8, 1.15)
    exposed = gain * np.clip(blurred, 0, 1) ** FLOAT(gamma)
    same = bool((colours[..., 0] == colours[..., 1]).all() and (colours[..., 0] == colours[..., 2]).all())
    exposed += FLOAT(noise) * rng.standard_normal((*colours.shape[:2], 1 if same else 3), dtype=FLOAT)
    return (255 * np.clip(exposed, 0, 1) + 0.5).astype(np.uint8)
