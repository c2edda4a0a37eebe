"""Pictures as microscopes make them: nuclei, tissue, membranes, filaments."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

from training.scenes.painting import FLOAT, developed
from training.scenes.scene import Scene, numbered_as_seen
from training.scenes.shapes import draw_outline
from training.scenes.textures import SIDE, window
from training.scenes.world import VARIANTS

CLASSES = ("background", "nucleus", "cell", "filament")


class _Field(NamedTuple):
    """What there is before it is imaged: one brightness, and the truth."""

    brightness: np.ndarray
    labels: np.ndarray
    classes: list[int]


def micrograph(rng: np.random.Generator, size: tuple[int, int]) -> Scene:
    """Nuclei on a dark or light ground, crowded cells with membranes, or filaments; classes as in CLASSES."""
    maker = rng.choice(np.array([_nuclei, _nuclei, _tissue, _tissue, _filaments], dtype=object))
    field = maker(rng, size)
    brightness = field.brightness + FLOAT(rng.uniform(0.01, 0.06)) * _texture(rng, size)
    colours = _stained(rng, brightness)
    labels, classes = numbered_as_seen(field.labels, np.array(field.classes, np.int32))
    image = developed(rng, colours, blur=rng.uniform(0.4, 1.6), noise=rng.choice([0.01, 0.03, 0.08]))
    return Scene(image, labels, classes)


def _texture(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    offset = rng.integers(SIDE, size=2)
    rows, columns = np.indices(size, sparse=True)
    texture = str(rng.choice(["clouds", "rough", "grain", "cells"]))
    return window(texture, int(rng.integers(VARIANTS)), rows + offset[0], columns + offset[1])


def _stained(rng: np.random.Generator, brightness: np.ndarray) -> np.ndarray:
    """Grey, one dye on black, or two stains on white."""
    bright = np.clip(brightness, 0, 1)[..., None].astype(FLOAT)
    way = rng.choice(["grey", "grey", "inverted", "dye", "stain"])
    if way == "inverted":
        bright = 1 - bright
    if way == "dye":
        return bright * rng.uniform(0.2, 1, 3).astype(FLOAT)
    if way == "stain":
        light, dark = rng.uniform(0.75, 1, 3).astype(FLOAT), rng.uniform(0.1, 0.6, 3).astype(FLOAT)
        return light + (dark - light) * bright
    return np.repeat(bright, 3, axis=2)


def _nuclei(rng: np.random.Generator, size: tuple[int, int]) -> _Field:
    """Bright bodies of about one size, some touching, some out of focus."""
    ground = rng.uniform(0.02, 0.25)
    brightness, labels, classes = np.full(size, ground, FLOAT), np.zeros(size, np.int32), [0]
    radius = float(np.exp(rng.uniform(np.log(4), np.log(max(5, 0.16 * min(size))))))
    wanted = rng.uniform(0.1, 0.7) * size[0] * size[1] / (np.pi * radius**2)
    shape, aspect = str(rng.choice(["ellipse", "blob"])), rng.uniform(1, 1.8)
    for _ in range(int(np.clip(wanted, 2, 300))):
        row, column = rng.uniform(0, 1, 2) * size
        own = radius * float(np.exp(rng.normal(0, 0.15)))
        outline = draw_outline(rng, shape, row=row, column=column, size=own, aspect=aspect)
        box = outline.box(size)
        depth = outline.depth(box)
        inside = (depth > 0) & (labels[box] == 0)
        if np.count_nonzero(inside) < 0.6 * np.count_nonzero(depth > 0):
            continue
        level = ground + rng.uniform(0.25, 0.75)
        brightness[box][inside] = level * (FLOAT(0.8) + FLOAT(0.3) * depth[inside])
        labels[box][inside] = len(classes)
        classes.append(CLASSES.index("nucleus"))
    return _Field(brightness, labels, classes)


def _tissue(rng: np.random.Generator, size: tuple[int, int]) -> _Field:
    """Cells that fill the plane, as Voronoi cells of points bent by a smooth field, with membranes and nuclei."""
    spacing = float(np.exp(rng.uniform(np.log(10), np.log(max(11, 0.35 * min(size))))))
    points = _jittered_grid(rng, size, spacing)
    at = np.moveaxis(np.indices(size), 0, -1).astype(FLOAT)
    bend = gaussian_filter(rng.standard_normal((*size, 2)), (spacing / 3, spacing / 3, 0), mode="reflect")
    distance, owner = cKDTree(points).query(at + bend / max(bend.std(), 1e-9) * 0.12 * spacing, k=2)
    membrane = np.exp(-(((distance[..., 1] - distance[..., 0]) / rng.uniform(1.5, 4)) ** 2))
    level = rng.uniform(0.25, 0.25 + rng.choice([0.05, 0.4]), len(points))
    dark = rng.choice([-1, 1])
    brightness = level[owner[..., 0]] + dark * rng.uniform(0.15, 0.35) * membrane + (0.3 if dark < 0 else 0)
    labels, classes = owner[..., 0].astype(np.int32) + 1, [0] + [CLASSES.index("cell")] * len(points)
    if rng.random() < 0.5:
        nuclei = distance[..., 0] < spacing * rng.uniform(0.2, 0.35)
        brightness = np.where(nuclei, brightness + rng.choice([-0.25, 0.3]), brightness)
        labels = np.where(nuclei, labels + len(points), labels).astype(np.int32)
        classes += [CLASSES.index("nucleus")] * len(points)
    return _Field(brightness.astype(FLOAT), labels, classes)


def _jittered_grid(rng: np.random.Generator, size: tuple[int, int], spacing: float) -> np.ndarray:
    rows, columns = np.arange(-1, size[0] / spacing + 2), np.arange(-1, size[1] / spacing + 2)
    grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    return (grid + rng.uniform(-0.4, 0.4, grid.shape)) * spacing


def _filaments(rng: np.random.Generator, size: tuple[int, int]) -> _Field:
    """Bent bright lines across the picture, the later under the earlier."""
    brightness, labels, classes = np.full(size, rng.uniform(0.05, 0.3), FLOAT), np.zeros(size, np.int32), [0]
    rows, columns = np.indices(size, sparse=True)
    width = rng.uniform(1.5, 5)
    for _ in range(int(rng.integers(3, 18))):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-0.7, 0.7) * max(size)
        down, right = rows - size[0] / 2, columns - size[1] / 2
        along, across = down * np.cos(angle) + right * np.sin(angle), right * np.cos(angle) - down * np.sin(angle)
        wave = rng.uniform(0, 0.1) * max(size) * np.sin(along * rng.uniform(2, 9) / max(size) + rng.uniform(0, 6))
        distance = np.abs(across - offset - wave)
        inside = (distance < width) & (labels == 0)
        brightness[inside] += (rng.uniform(0.3, 0.6) * (1 - 0.5 * distance / width))[inside].astype(FLOAT)
        labels[inside] = len(classes)
        classes.append(CLASSES.index("filament"))
    return _Field(brightness, labels, classes)
