"""Of what sort the images of a collection are: one scale for those of the commonest, and words about the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from napari_what_where.image import PerceptualScale, is_colour

_GOLDEN = (5**0.5 - 1) / 2


def spread(count: int, first: int) -> Iterator[int]:
    """All numbers below ``count``: at first so many at even distances, then the rest, everywhere in turn."""
    even = np.unique(np.linspace(0, count - 1, first).round().astype(int)).tolist()
    yield from even
    yield from sorted(set(range(count)).difference(even), key=lambda number: number * _GOLDEN % 1)


def fit_scale(sample: Sequence[np.ndarray]) -> PerceptualScale:
    """A scale of those images that are of the kind of most."""
    if not sample:
        raise ValueError("None of the images can be read; expected at least one.")

    def kind(pixels: np.ndarray) -> tuple[bool, int]:
        return is_colour(pixels), 1 if pixels.ndim == 2 else pixels.shape[2]

    kinds = [kind(pixels) for pixels in sample]
    most = max(kinds, key=kinds.count)
    return PerceptualScale.fit([pixels for pixels, each in zip(sample, kinds, strict=True) if each == most])


def check_fits(scale: PerceptualScale, pixels: np.ndarray) -> None:
    """``ValueError`` in words for an image of another kind than those that a scale was fitted to."""
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    if scale.colour != is_colour(pixels) or (not scale.colour and channels != len(scale.low)):
        wanted = "8-bit colour" if scale.colour else f"{len(scale.low)} channels of data"
        raise ValueError(
            f"The image has shape {pixels.shape} and dtype {pixels.dtype}; expected {wanted}, as the others of the "
            "collection. Convert all to one kind first."
        )


def depth_of(pixels: np.ndarray) -> str:
    """What the numbers of an image are."""
    return "floating point" if pixels.dtype.kind == "f" else f"{8 * pixels.dtype.itemsize} bits"


def tell_depths(depths: Iterable[str]) -> list[str]:
    """A sentence where those of several images differ.

    Their types do not tell what they may be scaled by: those of cameras with 12 bits lie in files with 16.
    """
    counts = Counter(depths)
    if len(counts) < 2:
        return []
    listed = ", ".join(f"{count:,} of {depth}" for depth, count in sorted(counts.items()))
    return [
        f"The images hold different kinds of numbers ({listed}), which are compared as they are: kinds may tell "
        "those apart instead of things. Convert all images to one kind first."
    ]
