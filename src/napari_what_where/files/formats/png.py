"""PNG of one plane: grey values that are the labels, a palette, or a picture to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_what_where.files.encoding import label_dtype, png_text, write_png
from napari_what_where.files.formats.types import LabelImage

MOST_INDICES = 255
"""The largest label of a palette of 256."""


def write_grey(path: Path, given: LabelImage) -> None:
    """Grey values are labels: 8 bits up to 255, else 16. ``ValueError`` beyond 65,535, and for a stack."""
    write_png(path, given.labels.astype(label_dtype(given.labels, "png")), text=_text(given))


def write_indexed(path: Path, given: LabelImage) -> None:
    """Indices are labels, as in Pascal VOC and DAVIS; the palette has their colours. ``ValueError`` beyond 255."""
    from PIL import Image

    largest = int(given.labels.max())
    if largest > MOST_INDICES:
        raise ValueError(
            f"The largest label is {largest:,}; an indexed PNG holds labels up to {MOST_INDICES}. Write png, "
            "whose grey values go up to 65,535, or renumber the labels first."
        )
    _check_plane(given)
    palette = np.zeros((MOST_INDICES + 1, 3), np.uint8)
    palette[1:] = [given.colour(label) for label in range(1, MOST_INDICES + 1)]
    picture = Image.fromarray(given.labels.astype(np.uint8))
    picture.putpalette(palette.tobytes())
    picture.save(path, format="PNG", pnginfo=png_text(_text(given)))


def write_colour(path: Path, given: LabelImage) -> None:
    """Each label in its colour, background black, 8 bits of red, green and blue. Colours may meet twice."""
    from PIL import Image

    _check_plane(given)
    values, index = np.unique(given.labels, return_inverse=True)
    colours = np.array([given.colour(label) if label else (0, 0, 0) for label in values.tolist()], np.uint8)
    picture = Image.fromarray(colours[index.reshape(given.labels.shape)])
    picture.save(path, format="PNG", pnginfo=png_text(_text(given)))


def _check_plane(given: LabelImage) -> None:
    if given.labels.ndim != 2:
        raise ValueError(
            f"The labels have shape {given.labels.shape}; a PNG holds (rows, columns). Write a TIFF instead."
        )


def _text(given: LabelImage) -> dict[str, str]:
    text = {} if given.info is None else {"Description": given.info}
    if given.size("Y") is None:
        return text
    sizes = [given.size("Y"), given.size("X")]
    size = str(sizes[0]) if sizes[0] == sizes[1] else f"{sizes[0]} × {sizes[1]}"
    return {"Pixel size": f"{size} {given.unit('X') or 'pixel'}"} | text
