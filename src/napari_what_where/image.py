"""The door: what counts as an image, and one perceptual scale for all of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_what_where.grids import area_mean, fit_within
from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.working_plane.object_scale import WORKING_SIZE

MAX_DATA_CHANNELS = 6
"""Data images with more channels are projected on this many principal components, so that cost stays bounded."""

_WANTED = "expected a real-valued array of shape (rows, columns) or (rows, columns, channels)"


def check_image(image: Any) -> np.ndarray:
    """Return ``image`` as a (rows, columns[, channels]) array with its alpha, if any, composited over white.

    Accepts anything ``numpy.asarray`` understands, of any real dtype (bool counts as the data 0 and 1, int8; what is
    longer than float64 becomes float64).

    Raises
    ------
    TypeError
        For text, objects, dates, complex numbers, or what is no array at all.
    ValueError
        For a wrong number of axes, fewer than 2 × 2 pixels, no channels, NaN or infinite pixels.
    """
    array = _as_array(image)
    if array.dtype.kind == "c":
        raise TypeError(f"The image is complex ({array.dtype}); {_WANTED}. Pass its abs, real or angle.")
    if array.dtype.kind not in "buif":
        is_path = isinstance(image, (str, os.PathLike))
        remedy = "Read the file first, for example with skimage.io.imread" if is_path else "Convert it to numbers first"
        raise TypeError(f"The image is {type(image).__name__} of dtype {array.dtype}; {_WANTED}. {remedy}.")
    if array.ndim not in (2, 3):
        raise ValueError(
            f"The image has {array.ndim} axes (shape {array.shape}); {_WANTED}. For a stack, pass one plane at a time."
        )
    if array.size == 0 or min(array.shape[:2]) < 2:
        raise ValueError(f"The image has shape {array.shape}; {_WANTED}, with at least 2 × 2 pixels.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        bad = int(array.size - np.isfinite(array).sum())
        raise ValueError(
            f"The image has {bad} NaN or infinite values of {array.size}; expected finite pixels. "
            "Replace them first, for example with numpy.nan_to_num(image)."
        )
    if array.dtype == np.bool_:
        array = array.astype(np.int8)
    if array.ndim == 3 and array.shape[2] == 4 and array.dtype == np.uint8:
        return composite_alpha(array)
    if array.ndim == 3 and array.shape[2] == 1:
        return array[..., 0]
    return array


def describe_image(pixels: np.ndarray) -> dict[str, Any]:
    """Shape, dtype and SHA-256 of a checked image, ready for JSON: the same whatever its byte order and strides.

    Row by row, so that a view is never copied as a whole.
    """
    native = pixels.dtype.newbyteorder("=")
    digest = hashlib.sha256()
    step = max(1, 2**20 // pixels[0].size)
    for first in range(0, len(pixels), step):
        digest.update(np.ascontiguousarray(pixels[first : first + step], native).data)
    return {"shape": list(pixels.shape), "dtype": str(native), "sha256": digest.hexdigest()}


def _as_array(image: Any) -> np.ndarray:
    try:
        array = np.asarray(image)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(
            f"The image is {type(image).__name__}, which numpy cannot read as one array ({error}); {_WANTED}."
        ) from error
    if array.dtype.kind == "f" and array.dtype.itemsize > 8:
        with np.errstate(over="ignore"):
            return array.astype(np.float64)
    return array


def composite_alpha(rgba: np.ndarray) -> np.ndarray:
    """Composite a (rows, columns, 4) integer or [0, 1] float image over white; same dtype, three channels."""
    top = np.iinfo(rgba.dtype).max if rgba.dtype.kind in "ui" else 1
    composited = np.empty((*rgba.shape[:2], 3), rgba.dtype)
    # A few rows at a time, as floats of a large image would be many times as large.
    step = max(1, 2**18 // rgba.shape[1])
    for first in range(0, len(rgba), step):
        rows = rgba[first : first + step]
        opacity = rows[..., 3:] / np.float32(top)
        blended = rows[..., :3] * opacity + top * (1 - opacity)
        composited[first : first + step] = np.rint(blended) if rgba.dtype.kind in "ui" else blended
    return composited


def data_channels(image: np.ndarray) -> np.ndarray:
    """(rows, columns, channels) measured data such that it is not taken for colour, whatever it looks like.

    Three channels of 8 bits, or of floats within [0, 1], mean red, green and blue elsewhere, and a fourth is alpha.
    Eight bits become sixteen, and floats within [0, 1] are multiplied by 256: data is stretched anyway.
    """
    if image.dtype == np.uint8:
        return image.astype(np.uint16)
    within = image.dtype.kind == "f" and image.size > 0 and image.min() >= 0 and image.max() <= 1
    return image * image.dtype.type(256) if within else image


def is_colour(image: np.ndarray) -> bool:
    """Whether a checked image is red, green and blue: three channels, of 8 bits or floats within [0, 1]."""
    if image.ndim != 3 or image.shape[2] != 3:
        return False
    if image.dtype == np.uint8:
        return True
    return bool(image.dtype.kind == "f" and image.min() >= 0 and image.max() <= 1)


@dataclass(frozen=True)
class PerceptualScale:
    """Maps pixels to channels of comparable size; fitted once, it applies to every image of a collection.

    Colour becomes CIELAB / 100. Data channels (fluorescence, raw counts, spectra) are stretched to [0, 1] between
    the percentiles 0.1 and 99.9 of each channel; more than ``MAX_DATA_CHANNELS`` are projected on the leading
    principal components, centred on 0.5 and shrunk alike so that the widest fills [0, 1].
    """

    colour: bool
    low: np.ndarray
    high: np.ndarray
    components: np.ndarray | None = None
    offset: float | np.ndarray = 0.0
    """Of the components."""

    @classmethod
    def fit(cls, images: Sequence[Any]) -> PerceptualScale:
        """Fit to one or more images, which must agree in their number of channels (else ``ValueError``)."""
        checked = [check_image(image) for image in images]
        if not checked:
            raise ValueError("Received no images; expected at least one.")
        channels = {1 if image.ndim == 2 else image.shape[2] for image in checked}
        if len(channels) > 1:
            raise ValueError(
                f"The images have {sorted(channels)} channels; expected one number for all. "
                "Convert them to the same kind first."
            )
        if all(is_colour(image) for image in checked):
            return cls(colour=True, low=np.zeros(3), high=np.ones(3))
        sample = np.concatenate([_sample_pixels(image) for image in checked])
        low, high = _robust_range(sample)
        scale = cls(colour=False, low=low, high=high)
        if sample.shape[1] <= MAX_DATA_CHANNELS:
            return scale
        components, offset = _principal(scale._stretch(sample))
        return cls(colour=False, low=low, high=high, components=components, offset=offset)

    @property
    def channels(self) -> int:
        """How many perceptual channels :meth:`apply` gives."""
        return len(self.low) if self.components is None else self.components.shape[1]

    def apply(self, image: Any) -> np.ndarray:
        """Return the image as (rows, columns, channels) float32 perceptual channels."""
        checked = check_image(image)
        if self.colour and not is_colour(checked):
            raise ValueError(
                f"The image has shape {checked.shape} and dtype {checked.dtype}; expected colour like the "
                "images this scale was fitted to. Fit a scale to all images together."
            )
        count = 1 if checked.ndim == 2 else checked.shape[2]
        if not self.colour and count != len(self.low):
            raise ValueError(f"The image has {count} channels; this scale was fitted to {len(self.low)}.")
        return self.apply_checked(checked)

    def apply_checked(self, part: np.ndarray) -> np.ndarray:
        """:meth:`apply` to any part of an image that is known to fit."""
        if self.colour:
            from skimage.color import rgb2lab

            return (rgb2lab(part) / 100).astype(np.float32)
        stretched = self._stretch(part[..., None] if part.ndim == 2 else part)
        if self.components is None:
            return stretched
        return np.clip(stretched @ self.components + self.offset, 0, 1).astype(np.float32)

    def _stretch(self, planes: np.ndarray) -> np.ndarray:
        # Halved before subtracting: the span of a float64 image may itself overflow.
        span = self.high / 2 - self.low / 2
        span = np.where(span > 0, span, 1.0)
        stretched = (planes / 2.0 - self.low / 2) / span
        return np.clip(stretched, 0, 1).astype(np.float32)


def working_channels(
    image: Any,
    scale: PerceptualScale | None = None,
    *,
    longest: int = WORKING_SIZE,
    report: Report = ignore_progress,
    stage: str = "reading",
) -> np.ndarray:
    """Perceptual channels of ``image``, averaged down until no side exceeds ``longest`` pixels.

    Parameters
    ----------
    image : (rows, columns[, channels]) array of any real dtype
        Anything :func:`check_image` takes; its errors are raised here.
    scale : PerceptualScale, optional
        Maps pixels to perceptual channels; by default one fitted to this image.
    longest : int
        Longest side of the result in pixels.
    report, stage
        Told after every strip of an image that is averaged down, as this stage; may raise.

    Returns
    -------
    (working_rows, working_columns, channels) float32

    Notes
    -----
    Peak memory beside the image: one strip of about 8 million values, whatever the image's size.
    """
    checked = check_image(image)
    scale = scale or PerceptualScale.fit([checked])
    return scale.apply(_shrink(checked, fit_within(checked.shape[:2], longest), report, stage))


def picture_channels(
    image: Any,
    scale: PerceptualScale | None = None,
    *,
    longest: int = WORKING_SIZE,
    report: Report = ignore_progress,
    stage: str = "reading",
) -> np.ndarray:
    """Red, green and blue of ``image`` as a model that was trained on photographs wants it.

    Colour stays as it is. Data is stretched as :class:`PerceptualScale` says; one channel becomes grey, three become
    red, green and blue, and any other number is blended as lights of evenly spaced hues, as microscopes' channels are.

    Parameters and errors are those of :func:`working_channels`. Returns (rows, columns, 3) float32 in [0, 1], averaged
    down until no side exceeds ``longest`` pixels.
    """
    checked = check_image(image)
    scale = scale or PerceptualScale.fit([checked])
    shrunk = _shrink(checked, fit_within(checked.shape[:2], longest), report, stage)
    if scale.colour:
        top = 255 if shrunk.dtype == np.uint8 else 1
        return np.clip(shrunk / np.float32(top), 0, 1).astype(np.float32)
    channels = scale.apply(shrunk)
    count = channels.shape[2]
    if count in (1, 3):
        return np.broadcast_to(channels, (*channels.shape[:2], 3)).copy()
    return np.clip(channels @ _hues(count), 0, 1).astype(np.float32)


def _hues(count: int) -> np.ndarray:
    """(count, 3) colours whose sum is white; green and magenta for two."""
    angles = (np.arange(count)[:, None] / count + np.array([2 / 3, 0, 1 / 3]) - 1 / 3) % 1
    lights = np.clip(2 - 6 * np.minimum(angles, 1 - angles), 0, 1)
    return lights / np.maximum(lights.sum(axis=0), 1e-9)


def soft_bins(values: np.ndarray, bins: int) -> np.ndarray:
    """Linear membership of float32 values in ``bins`` bins of [0, 1]; (*values.shape, bins) float32, summing to 1.

    Means of these over a region or a token are soft histograms, by which textures compare better than by their mean.
    """
    position = np.clip(values, 0, 1)[..., None] * np.float32(bins - 1)
    return np.clip(1 - np.abs(position - np.arange(bins, dtype=np.float32)), 0, 1)


def _shrink(image: np.ndarray, shape: tuple[int, int], report: Report, stage: str) -> np.ndarray:
    """Area mean in the image's own units, strip by strip; 8-bit images stay 8-bit, so that colour stays colour."""
    if shape == image.shape[:2]:
        return image
    wide = (image.dtype.kind == "f" and image.dtype.itemsize > 4) or image.dtype.itemsize > 2
    kind = np.dtype(np.float64 if wide else np.float32)
    # Columns first, for a few rows at a time: what is kept is (rows, working columns), never the whole in floats.
    strip = max(1, 2**23 // max(1, image[0].size))
    parts = []
    for first in range(0, len(image), strip):
        report(Progress(stage, first, len(image)))
        rows = image[first : first + strip].astype(kind)
        parts.append(area_mean(rows, (len(rows), shape[1])).astype(kind))
    shrunk = area_mean(np.concatenate(parts), shape)
    if image.dtype == np.uint8:
        return np.rint(shrunk).astype(np.uint8)
    if image.dtype.kind == "f":
        return np.clip(shrunk, image.min(), image.max()).astype(kind)
    return shrunk


def perceptual_channels(image: Any, scale: PerceptualScale | None = None) -> np.ndarray:
    """The image's (rows, columns, channels) float32 perceptual channels, at ``scale`` or its own."""
    return (scale or PerceptualScale.fit([image])).apply(image)


def _sample_pixels(image: np.ndarray, most: int = 1_000_000) -> np.ndarray:
    """Up to ``most`` pixels, (pixels, channels) float64, from a regular lattice (no randomness)."""
    planes = image[..., None] if image.ndim == 2 else image
    step = max(1, int(np.ceil(np.sqrt(planes.shape[0] * planes.shape[1] / most))))
    lattice = planes[::step, ::step]
    return lattice.reshape(-1, planes.shape[2]).astype(np.float64)


def _robust_range(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.percentile(sample, [0.1, 99.9], axis=0, method="nearest")
    # A few bright pixels on an even ground lie outside the percentiles: then their full range is the signal.
    even = low == high
    return np.where(even, sample.min(axis=0), low), np.where(even, sample.max(axis=0), high)


def _principal(stretched: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Leading principal directions, (channels, MAX_DATA_CHANNELS), each with a sum ≥ 0, and the offset that goes with
    them: pixels times directions plus offset lie around 0.5, the widest component filling [0, 1].
    """
    covariance = np.cov(stretched.astype(np.float64), rowvar=False)
    directions = np.linalg.eigh(covariance)[1][:, ::-1][:, :MAX_DATA_CHANNELS]
    directions = directions * np.where(directions.sum(axis=0) < 0, -1.0, 1.0)
    low, high = _robust_range(stretched @ directions)
    widest = float((high - low).max()) or 1.0
    return directions / widest, 0.5 - (low + high) / (2 * widest)
