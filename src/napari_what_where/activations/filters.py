"""The backbone with no weights: colour, edge and texture statistics at several scales."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from napari_what_where.activations.backbone import Backbone, BackboneInfo
from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.grids import area_mean
from napari_what_where.image import PerceptualScale, soft_bins, working_channels
from napari_what_where.progress import Progress, Report, ignore_progress

FINEST_TOKENS = 128 * 128
COLOUR_BINS = 8
ORIENTATIONS = 4
SCALES = (1.0, 2.0, 4.0)
"""Standard deviations in pixels."""


class FiltersBackbone(Backbone):
    """Classical image statistics, presented as network layers at token grids that do not nest.

    Every layer holds *values* only: there is no attention, so no queries and keys, and only the *what* pathway.
    Deterministic. Cost: some tens of Gaussian filters; under a second for 512² pixels in colour on two cores.

    ==============  ===========  ==========================================================
    network layer   token side   values
    ==============  ===========  ==========================================================
    colour          t            histogram of each channel
    edges           1.5 t        gradient energy by orientation and scale
    texture         2 t          histogram of local contrast at each scale
    surroundings    4 t          histogram of each channel, in a wide neighbourhood
    ==============  ===========  ==========================================================

    t is 4 pixels; more for images above 128² tokens, less for tiny ones.
    """

    info = BackboneInfo(
        name="filters",
        family="image filters",
        description="Colour, edge and texture statistics; no weights, nothing to download",
        pathways=("what",),
        size_bytes=0,
        licence="BSD-3-Clause",
    )

    def visit(
        self,
        image: Any,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        scale = scale or PerceptualScale.fit([image])
        channels = unit_channels(working_channels(image, scale, report=report), colour=scale.colour)
        size = (channels.shape[0], channels.shape[1])
        side = token_side(size)
        stages: tuple[tuple[str, float, Callable[..., Iterator[np.ndarray]]], ...] = (
            ("colour", 1.0, colour_histograms),
            ("edges", 1.5, oriented_edges),
            ("texture", 2.0, contrast_histograms),
            ("surroundings", 4.0, colour_histograms),
        )
        for done, (name, factor, planes_of) in enumerate(stages):
            grid = token_grid(size, factor * side)
            pooled = []
            for planes in planes_of(channels, factor * side):
                report(Progress("activations", done, len(stages)))
                pooled.append(area_mean(planes, grid).reshape(grid[0] * grid[1], -1))
            # Square roots make the cosine of two histograms their Bhattacharyya coefficient.
            receive(TokenActivations(name, grid, value=np.sqrt(np.concatenate(pooled, axis=1))[None]))
        report(Progress("activations", len(stages), len(stages)))


def unit_channels(channels: np.ndarray, *, colour: bool) -> np.ndarray:
    """Perceptual channels, (rows, columns, channels) float32, all but the most vivid colours within [0, 1]."""
    # CIELAB's a and b, at 1/100, hardly leave ±0.5; lightness and data lie in [0, 1].
    return channels + np.array([0, 0.5, 0.5], np.float32) if colour else channels


def token_side(size: tuple[int, int]) -> float:
    """Side of the finest tokens, in working pixels."""
    pixels = size[0] * size[1]
    return max(1.0, min(4.0, pixels**0.5 / 32), (pixels / FINEST_TOKENS) ** 0.5)


def token_grid(size: tuple[int, int], side: float) -> Grid:
    """The grid of about square tokens of the given side."""
    return max(1, round(size[0] / side)), max(1, round(size[1] / side))


def colour_histograms(channels: np.ndarray, side: float) -> Iterator[np.ndarray]:
    """Soft membership of each pixel in ``COLOUR_BINS`` bins of each unit channel, smoothed over about a token.

    Yields one (rows, columns, bins) float32 array a channel, entries in [0, 1], summing to 1 over the bins.
    """
    from scipy.ndimage import gaussian_filter

    for channel in np.moveaxis(channels, -1, 0):
        yield gaussian_filter(soft_bins(channel, COLOUR_BINS), (side / 2, side / 2, 0))


def oriented_edges(channels: np.ndarray, side: float) -> Iterator[np.ndarray]:
    """Gradient energy of the first channel by orientation, one (rows, columns, orientations) array a scale."""
    from scipy.ndimage import gaussian_filter

    for sigma in SCALES:
        down, across = (gaussian_filter(channels[..., 0], sigma, order=order) * sigma for order in ((1, 0), (0, 1)))
        angles = np.arange(ORIENTATIONS) * np.pi / ORIENTATIONS
        oriented = down[..., None] * np.sin(angles) + across[..., None] * np.cos(angles)
        yield gaussian_filter((oriented**2).astype(np.float32), (side / 2, side / 2, 0))


def contrast_histograms(channels: np.ndarray, side: float) -> Iterator[np.ndarray]:
    """Histogram of the local contrast of the first channel, one (rows, columns, bins) array a scale."""
    from scipy.ndimage import gaussian_filter

    for sigma in SCALES:
        detail = gaussian_filter(channels[..., 0], sigma) - gaussian_filter(channels[..., 0], 1.6 * sigma)
        energy = gaussian_filter(detail**2, 2 * sigma)
        # Half a percent to twenty percent of the intensity range, in equal ratios.
        level = (np.log10(np.sqrt(energy) + 1e-4) + 3) / 2.3
        yield gaussian_filter(soft_bins(level, COLOUR_BINS), (side / 2, side / 2, 0))
