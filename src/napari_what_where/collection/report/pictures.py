"""Pictures of a report: thumbnails, segments, eigenvectors, crops, and how they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_what_where.collection.report.types import Box, Picture
from napari_what_where.grids import fit_within
from napari_what_where.image import picture_channels

DISPLAY = 1024
"""Longest side of what pictures of an image are made from, in pixels."""
THUMBNAIL = 400
"""Longest side of pictures of images."""
CROP = 168
"""Side of pictures of regions."""
SHOWN_VECTORS = 8
_TILE = (64, 128)
"""Least and largest longest side of the picture of an eigenvector."""
_GAP = 4
_OPACITY = 0.7
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_FADED = 0.4
"""What is left of contrast outside of a region."""
_BLANK = 235
_OUTLINE = (255, 221, 0)


def displayed(pixels: np.ndarray) -> Picture:
    """An image to look at, at most ``DISPLAY`` pixels a side: colour as it is, data stretched, channels as lights."""
    return np.rint(255 * picture_channels(pixels, longest=DISPLAY)).astype(np.uint8)


def blank(shape: tuple[int, int]) -> Picture:
    """In place of the picture of an image of this shape."""
    return np.full((*fit_within(shape, DISPLAY), 3), _BLANK, np.uint8)


def thumbnail(picture: Picture) -> Picture:
    """A picture, at most ``THUMBNAIL`` pixels a side."""
    return _resized(picture, fit_within((picture.shape[0], picture.shape[1]), THUMBNAIL))


def sampled(labels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Labels (rows, columns) at the centres of the cells of another grid of this ``shape``."""
    index = [(2 * np.arange(cells) + 1) * size // (2 * cells) for cells, size in zip(shape, labels.shape, strict=True)]
    return labels[np.ix_(*index)]


def painted(picture: Picture, labels: np.ndarray, colours: np.ndarray) -> Picture:
    """A picture in grey with ``labels``, of any size, over it in their ``colours`` (count, 3); 0 has none."""
    shown = sampled(labels, picture.shape[:2])
    grey = np.repeat(picture.astype(np.float32) @ _LUMINANCE, 3).reshape(picture.shape)
    table = np.concatenate([np.zeros((1, 3), np.float32), colours.astype(np.float32)])
    blended = (1 - _OPACITY) * grey + _OPACITY * table[shown]
    return np.rint(np.where(shown[..., None] > 0, blended, grey)).astype(np.uint8)


def crop(picture: Picture, labels: np.ndarray, label: int, box: Box) -> Picture:
    """What lies in a square ``box`` of ``labels`` (rows, columns), (CROP, CROP, 3).

    One of the labels is outlined, the rest fades. ``picture``: of the whole image, of any size.
    """
    from skimage.segmentation import find_boundaries

    side = (CROP, CROP)
    scale = [shown / size for shown, size in zip(picture.shape, labels.shape, strict=False)]
    part = tuple(
        slice(int(each.start * factor), max(int(each.start * factor) + 1, round(each.stop * factor)))
        for each, factor in zip(box, scale, strict=True)
    )
    inside = sampled(labels[box] == label, side)
    region = _resized(picture[part], side)
    region = np.where(inside[..., None], region, np.rint(_FADED * region + (1 - _FADED) * 128)).astype(np.uint8)
    region[find_boundaries(inside, mode="inner")] = _OUTLINE
    return region


def vector_strip(vectors: np.ndarray, limits: np.ndarray) -> tuple[np.ndarray, int]:
    """Eigenvectors side by side: indices into the palette of :func:`save_strip`, and how many there are.

    Parameters
    ----------
    vectors : (count, grid_rows, grid_columns)
    limits : (count,) the size of a value that has the strongest colour

    Returns
    -------
    (rows, columns) uint8, 255 between the tiles; SHOWN_VECTORS at most
    """
    count, rows, columns = vectors[:SHOWN_VECTORS].shape
    least, largest = _TILE
    longest = max(rows, columns)
    size = -(-least // longest) * longest if longest < least else min(longest, largest)
    shape = (max(1, rows * size // longest), max(1, columns * size // longest))
    strip = np.full((shape[0], count * (shape[1] + _GAP) - _GAP), 255, np.uint8)
    for index in range(count):
        tile = np.clip(sampled(vectors[index], shape) / (limits[index] or 1.0), -1, 1)
        left = index * (shape[1] + _GAP)
        strip[:, left : left + shape[1]] = np.rint(127 + 127 * tile)
    return strip, count


def save_strip(path: Path, strip: np.ndarray) -> None:
    """As a PNG of blue (negative), white (zero) and red (positive), with nothing between the tiles."""
    from PIL import Image

    blue, white, red = np.array([(33, 102, 172), (247, 247, 247), (178, 24, 43)], np.float32)
    signed = np.linspace(-1, 1, 255)[:, None]
    palette = np.where(signed > 0, white + signed * (red - white), white - signed * (blue - white))
    picture = Image.fromarray(strip)
    picture.putpalette(np.rint(np.concatenate([palette, [white]])).astype(np.uint8).tobytes())
    picture.save(path, format="PNG", transparency=255, optimize=True)


def save_picture(path: Path, picture: Picture) -> None:
    """As JPEG, for what looks like a photograph, or PNG, by the suffix."""
    from PIL import Image

    options = {"quality": 85} if path.suffix == ".jpg" else {"optimize": True}
    Image.fromarray(picture).save(path, **options)


def _resized(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Smoothly, larger or smaller."""
    from PIL import Image

    return np.array(Image.fromarray(picture).resize(shape[::-1], Image.Resampling.LANCZOS))
