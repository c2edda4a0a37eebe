"""Results as pictures to look at: (rows, columns, 3) uint8 arrays, without matplotlib or a window."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from napari_what_where.files.encoding import atomic_path

_BLUE, _WHITE, _RED = np.array([(33, 102, 172), (247, 247, 247), (178, 24, 43)], dtype=np.float32)


def overlay(image: np.ndarray, labels: np.ndarray, *, colour: tuple[float, float, float] = (1, 0.85, 0)) -> np.ndarray:
    """``image`` (rows, columns[, 3]) with the boundaries of ``labels`` (rows, columns) drawn in ``colour``."""
    from skimage.segmentation import mark_boundaries

    return np.rint(255 * mark_boundaries(_as_grey_or_colour(image), labels, color=colour, mode="inner")).astype(
        np.uint8
    )


def composite(vectors: np.ndarray, shape: tuple[int, int], *, first: int = 1) -> np.ndarray:
    """Three eigenvectors of (count, grid_rows, grid_columns), from index ``first``, as red, green and blue.

    Eigenvector 0 is left out by default: under degree normalisation it says how connected a place is, not to what.
    Where there are fewer than three, the rest is black. ``shape``: (rows, columns) of the picture.
    """
    planes = [_stretched(plane) for plane in vectors[first : first + 3]]
    planes += [np.zeros(vectors.shape[1:], np.float32)] * (3 - len(planes))
    return np.rint(255 * _enlarged(np.stack(planes, axis=-1), shape)).astype(np.uint8)


def montage(vectors: np.ndarray, shape: tuple[int, int], *, columns: int = 4, gap: int = 4) -> np.ndarray:
    """All eigenvectors side by side, ``columns`` in a row, each (rows, columns) = ``shape``: blue − white + red."""
    tiles = [_diverging(_enlarged(plane, shape)) for plane in vectors]
    rows = -(-len(tiles) // columns)
    height, width = shape[0] + gap, shape[1] + gap
    picture = np.full((rows * height - gap, columns * width - gap, 3), 255, np.uint8)
    for index, tile in enumerate(tiles):
        top, left = index // columns * height, index % columns * width
        picture[top : top + shape[0], left : left + shape[1]] = tile
    return picture


def write_picture(path: str | os.PathLike[str], picture: np.ndarray) -> Path:
    """Write a (rows, columns[, 3]) uint8 picture as PNG, atomically; return its path."""
    from PIL import Image

    with atomic_path(path) as temporary:
        Image.fromarray(picture).save(temporary, format="PNG")
    return Path(path)


def _as_grey_or_colour(image: np.ndarray) -> np.ndarray:
    """Within [0, 1]; colour as it is, data by its first channel between its percentiles."""
    if image.dtype == np.uint8 and (image.ndim == 2 or image.shape[2] == 3):
        return image / np.float32(255)
    plane = image if image.ndim == 2 else image[..., 0]
    return _stretched(plane)


def _stretched(plane: np.ndarray) -> np.ndarray:
    low, high = np.percentile(plane, [1, 99])
    return np.clip((plane - low) / (high - low or 1.0), 0, 1).astype(np.float32)


def _enlarged(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(grid_rows, grid_columns[, channels]) repeated to ``shape``."""
    rows = np.arange(shape[0]) * planes.shape[0] // shape[0]
    columns = np.arange(shape[1]) * planes.shape[1] // shape[1]
    return planes[rows][:, columns]


def _diverging(plane: np.ndarray) -> np.ndarray:
    """(rows, columns) values as blue (negative), white (zero), red; the strongest hundredth saturates."""
    signed = np.clip(plane / (np.percentile(np.abs(plane), 99) or 1.0), -1, 1)[..., None]
    coloured = np.where(signed > 0, _WHITE + signed * (_RED - _WHITE), _WHITE - signed * (_BLUE - _WHITE))
    return np.rint(coloured).astype(np.uint8)
