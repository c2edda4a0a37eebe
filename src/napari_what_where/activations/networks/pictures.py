"""An image of any kind as the picture that a network takes."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

import torch

from napari_what_where.image import PerceptualScale, check_image, picture_channels
from napari_what_where.progress import Report

Shape = tuple[int, int]


def picture_shape(shape: Shape, resolution: int, step: int, longest: int | None = None) -> Shape:
    """(rows, columns) of about resolution² pixels at the aspect of ``shape``, each a multiple of ``step``.

    The aspect is kept to within half a step. At extreme aspects the short side is one step and the long one ends at
    resolution² pixels in all, or at ``longest``.
    """
    rows, columns = shape
    most = max(1, round(resolution**2 / step**2))
    tall = min(most, max(1, round(resolution * (rows / columns) ** 0.5 / step)))
    wide = min(most, max(1, round(resolution * (columns / rows) ** 0.5 / step)))
    most = max(tall, wide) if longest is None else max(1, longest // step)
    return min(tall, most) * step, min(wide, most) * step


def picture_tensor(
    image: Any, scale: PerceptualScale | None, shape_of: Callable[[Shape], Shape], report: Report
) -> torch.Tensor:
    """The image as a (1, 3, rows, columns) float32 tensor in [0, 1], of the shape that ``shape_of`` gives for its own.

    Shrunk by area and then, as it is enlarged, by an antialiased cubic. Raises as
    :func:`~napari_what_where.image.check_image`.
    """
    checked = check_image(image)
    shape = shape_of((checked.shape[0], checked.shape[1]))
    # Twice as large as needed: the rest is for the better filter. No side falls below two pixels.
    aspect = ceil(max(checked.shape[:2]) / min(checked.shape[:2]))
    channels = picture_channels(checked, scale, longest=2 * max(*shape, aspect), report=report)
    picture = torch.from_numpy(channels).permute(2, 0, 1)[None]
    resized = torch.nn.functional.interpolate(picture, shape, mode="bicubic", antialias=True, align_corners=False)
    return resized.clamp_(0, 1)
