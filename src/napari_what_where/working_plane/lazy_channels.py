"""Channels of a plane that is too large to hold: made from the image when and where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np

from napari_what_where.grids import area_mean_between
from napari_what_where.image import PerceptualScale


@runtime_checkable
class PlaneChannels(Protocol):
    """What both numpy arrays and :class:`LazyChannels` are: a (rows, columns, channels) float32 plane in parts.

    ``channels[rows, columns]``, with two slices of step 1, is a (rows, columns, channels) float32 array. For a numpy
    array it may be a view: do not write to it.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """(rows, columns, channels)."""

    @property
    def dtype(self) -> np.dtype:
        """float32."""

    def __getitem__(self, window: tuple[slice, slice], /) -> np.ndarray:
        """The channels of some rows and columns."""


class LazyChannels:
    """Perceptual channels of an image on a working plane, computed window by window (see :class:`PlaneChannels`).

    Holds the image itself, not a copy: it must not change meanwhile.

    Parameters
    ----------
    image : (rows, columns[, channels]) array
        As :func:`~napari_what_where.image.check_image` gives it.
    scale : PerceptualScale
    shape : (rows, columns)
        Of the working plane, at most the image's: its pixels are averaged over the area of each working pixel.
    finish : function of a (rows, columns, channels) float32 array, optional
        What becomes of each window's perceptual channels, pixel by pixel.

    Notes
    -----
    Cost of a window: in proportion to its pixels of the image, 10 to 20 ns for each value, colours ten times that.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        image: np.ndarray,
        scale: PerceptualScale,
        shape: tuple[int, int],
        finish: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self.image, self.scale, self.finish = image, scale, finish
        self.shape = (*shape, scale.channels)

    def __getitem__(self, window: tuple[slice, slice]) -> np.ndarray:
        if not isinstance(window, tuple) or len(window) != 2 or not all(isinstance(each, slice) for each in window):
            raise TypeError(f"The window is {window!r}; expected two slices, of rows and of columns.")
        spans = [each.indices(length) for each, length in zip(window, self.shape[:2], strict=True)]
        if any(step != 1 for _, _, step in spans):
            raise ValueError(f"The window is {window!r}; expected slices of step 1.")
        (top, bottom, _), (left, right, _) = spans
        if bottom <= top or right <= left:
            return np.zeros((max(bottom - top, 0), max(right - left, 0), self.shape[2]), np.float32)
        channels = self.scale.apply_checked(self._shrunk((top, bottom), (left, right)))
        return channels if self.finish is None else self.finish(channels)

    @cached_property
    def _bounds(self) -> tuple[float, float]:
        return self.image.min(), self.image.max()

    def _shrunk(self, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
        """Area mean in the image's own units, as :func:`~napari_what_where.image.working_channels` takes it."""
        image = self.image
        if self.shape[:2] == image.shape[:2]:
            return image[slice(*rows), slice(*columns)]
        wide = (image.dtype.kind == "f" and image.dtype.itemsize > 4) or image.dtype.itemsize > 2
        kind = np.dtype(np.float64 if wide else np.float32)
        shrunk = area_mean_between(image, self.shape[:2], rows, columns, kind)
        if image.dtype == np.uint8:
            return np.rint(shrunk).astype(np.uint8)
        return np.clip(shrunk, *self._bounds).astype(kind) if image.dtype.kind == "f" else shrunk
