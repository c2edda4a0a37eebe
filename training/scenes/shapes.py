"""Outlines of objects, as a radius in each direction, rasterised within their bounding box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHAPES = ("ellipse", "box", "polygon", "blob", "star", "leaf")


@dataclass(frozen=True)
class Outline:
    """A closed outline around a point: turned, stretched, and r(θ) in units of its size.

    ``shape``: one of SHAPES. ``size``: radius in pixels. ``aspect``: ≥ 1. ``corners``: of polygons and stars.
    """

    shape: str
    row: float
    column: float
    size: float
    aspect: float
    angle: float
    corners: int
    wobble: np.ndarray

    def box(self, shape: tuple[int, int]) -> tuple[slice, slice]:
        """Bounding box within an image, possibly empty."""
        reach = self.size * self.aspect**0.5 * 1.5
        return (
            slice(max(0, int(self.row - reach)), max(0, min(shape[0], int(self.row + reach) + 1))),
            slice(max(0, int(self.column - reach)), max(0, min(shape[1], int(self.column + reach) + 1))),
        )

    def depth(self, box: tuple[slice, slice]) -> np.ndarray:
        """1 at the centre, 0 on the outline, negative outside; float32 over the box."""
        rows = np.arange(box[0].start, box[0].stop, dtype=np.float32)[:, None] - np.float32(self.row)
        columns = np.arange(box[1].start, box[1].stop, dtype=np.float32)[None] - np.float32(self.column)
        cosine, sine = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        stretch = np.float32(self.aspect**0.5)
        along = (columns * cosine + rows * sine) / (np.float32(self.size) * stretch)
        across = (rows * cosine - columns * sine) * stretch / np.float32(self.size)
        if self.shape == "ellipse":
            return 1 - np.sqrt(along**2 + across**2)
        if self.shape == "box":
            return 1 - np.maximum(np.abs(along), np.abs(across))
        if self.shape == "leaf":  # two arcs that meet in points
            return 1 - np.sqrt(along**2 + (np.abs(across) + 0.4) ** 2) / np.float32(1.08)
        direction = np.arctan2(across, along)
        return 1 - np.sqrt(along**2 + across**2) / self._radius(direction)

    def _radius(self, direction: np.ndarray) -> np.ndarray:
        if self.shape == "polygon":
            sector = np.float32(2 * np.pi / self.corners)
            return np.cos(sector / 2) / np.cos(direction % sector - sector / 2)
        radius = np.ones_like(direction)
        if self.shape == "star":
            return radius + np.float32(0.35) * np.cos(self.corners * direction)
        for order, (cosine, sine) in enumerate(self.wobble, start=2):
            radius += np.float32(cosine) * np.cos(order * direction) + np.float32(sine) * np.sin(order * direction)
        return radius


def draw_outline(
    rng: np.random.Generator, shape: str, *, row: float, column: float, size: float, aspect: float, corners: int = 5
) -> Outline:
    """An outline at a random angle; blobs wobble at random, each as it will."""
    wobble = rng.normal(0, 0.16, (4, 2)) / np.arange(1, 5)[:, None]
    return Outline(shape, row, column, size, aspect, rng.uniform(0, 2 * np.pi), corners, np.clip(wobble, -0.2, 0.2))
