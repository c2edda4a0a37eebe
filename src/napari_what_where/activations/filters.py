"""The backbone with no weights: colour, edge and texture statistics at several scales."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from napari_what_where.activations.backbone import Backbone, BackboneInfo
from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.grids import apply_weights, area_mean, fit_within, mean_weights
from napari_what_where.image import PerceptualScale, check_image, soft_bins, working_channels
from napari_what_where.progress import Progress, Report, checkpoint, ignore_progress
from napari_what_where.working_plane.lazy_channels import LazyChannels
from napari_what_where.working_plane.object_scale import WORKING_SIZE, Tile, WorkingPlane
from napari_what_where.working_plane.tiling import map_tiles

FINEST_TOKENS = 128 * 128
COLOUR_BINS = 8
ORIENTATIONS = 4
SCALES = (1.0, 2.0, 4.0)
"""Standard deviations in pixels."""
WIDEST_TOKEN = 8.0
"""Pixels across a token of a plane that an object size asked for, at most: as many as in one view of the image."""
TILE_SIDE = 1024
"""Longest side of a tile, in pixels of its plane; filters have more to smooth than others."""
FILTER_REACH, TOKEN_REACH = 60, 8
"""Pixels, and sides of the finest token, beyond which nothing changes what is measured: four standard deviations of
the widest filters, 1.6 · 4 and 2 · 4 pixels, and of the widest smoothing, two tokens."""


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
        for done, (name, factor, planes_of) in enumerate(STAGES):
            grid = token_grid(size, factor * side)
            pooled = []
            for planes in planes_of(channels, factor * side):
                report(Progress("activations", done, len(STAGES)))
                pooled.append(area_mean(planes, grid).reshape(grid[0] * grid[1], -1))
            receive(_tokens(name, grid, np.concatenate(pooled, axis=1)))
        report(Progress("activations", len(STAGES), len(STAGES)))

    def visit_plane(
        self,
        image: Any,
        plane: WorkingPlane,
        receive: Callable[[TokenActivations], None],
        *,
        scale: PerceptualScale | None = None,
        report: Report = ignore_progress,
    ) -> None:
        """Tokens of a leaf's side, two across the smallest object, tile by tile on one grid for all."""
        checked = check_image(image)
        scale = scale or PerceptualScale.fit([checked])
        fine = token_plane(plane)
        channels = LazyChannels(checked, scale, fine.plane.shape, partial(unit_channels, colour=scale.colour))
        tokens: list[list[np.ndarray]] = [[] for _ in STAGES]
        work = partial(_measure_tile, channels, fine)
        share = partial(_report_share, report)
        for tile, found in zip(fine.plane.tiles, map_tiles(work, fine.plane.tiles, share), strict=True):
            for stage, (_, factor, _) in enumerate(STAGES):
                grid = token_grid(fine.plane.shape, factor * fine.side)
                cells = _cells_touched(tile, grid, fine.plane.shape)
                if not tokens[stage]:
                    tokens[stage] = [np.zeros((*grid, sums.shape[2]), np.float32) for sums in found[stage]]
                for total, sums in zip(tokens[stage], found[stage], strict=True):
                    total[cells.rows, cells.columns] += sums
        for (name, _, _), parts in zip(STAGES, tokens, strict=True):
            pooled = np.concatenate([part.reshape(-1, part.shape[2]) for part in parts], axis=1)
            receive(_tokens(name, (parts[0].shape[0], parts[0].shape[1]), pooled))


def _tokens(name: str, grid: Grid, pooled: np.ndarray) -> TokenActivations:
    # Square roots make the cosine of two histograms their Bhattacharyya coefficient. Sums of tiles may round below 0.
    return TokenActivations(name, grid, value=np.sqrt(np.maximum(pooled, 0))[None])


def _report_share(report: Report, share: float) -> None:
    report(Progress("activations", int(100 * share), 100))


class TokenPlane(NamedTuple):
    """Where tokens are measured: a working plane, and the side of the finest tokens in its pixels."""

    plane: WorkingPlane
    side: float


def token_plane(plane: WorkingPlane) -> TokenPlane:
    """The plane for tokens of a leaf's side, but no larger than those of one view; so fewer than ``MOST_LEAVES``.

    Shrunk until they are at most ``WIDEST_TOKEN`` pixels wide: there is nothing to gain from more.
    """
    view = fit_within(plane.shape, WORKING_SIZE)
    side = min(max(4.0, plane.leaf_side), token_side(view) * plane.shape[0] / view[0])
    if side <= WIDEST_TOKEN:
        return TokenPlane(replace(plane, tile_side=min(plane.tile_side, TILE_SIDE)), side)
    shape = fit_within(plane.shape, max(1, round(max(plane.shape) * WIDEST_TOKEN / side)))
    return TokenPlane(replace(plane, shape=shape, tile_side=min(plane.tile_side, TILE_SIDE)), WIDEST_TOKEN)


def _measure_tile(channels: LazyChannels, fine: TokenPlane, tile: Tile) -> list[list[np.ndarray]]:
    """What the pixels of a tile add to the tokens of each stage: (rows, columns, values) of the tokens it touches."""
    shape = fine.plane.shape
    window = tile.grown(math.ceil(FILTER_REACH + TOKEN_REACH * fine.side), shape)
    around, inside = channels[window.rows, window.columns], tile.within(window)
    found = []
    for _, factor, planes_of in STAGES:
        grid = token_grid(shape, factor * fine.side)
        cells = _cells_touched(tile, grid, shape)
        over_rows = mean_weights(grid[0], shape[0])[cells.rows, tile.rows]
        over_columns = mean_weights(grid[1], shape[1])[cells.columns, tile.columns]
        sums = []
        for planes in planes_of(around, factor * fine.side):
            checkpoint()
            sums.append(apply_weights(over_rows, over_columns, planes[inside]))
        found.append(sums)
    return found


def _cells_touched(tile: Tile, grid: Grid, shape: tuple[int, int]) -> Tile:
    """The cells of a grid over a plane of ``shape`` that have pixels in the tile."""
    (rows, columns), (coarse_rows, coarse_columns) = shape, grid
    return Tile(
        tile.top * coarse_rows // rows,
        -(-tile.bottom * coarse_rows // rows),
        tile.left * coarse_columns // columns,
        -(-tile.right * coarse_columns // columns),
    )


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


STAGES: tuple[tuple[str, float, Callable[..., Iterator[np.ndarray]]], ...] = (
    ("colour", 1.0, colour_histograms),
    ("edges", 1.5, oriented_edges),
    ("texture", 2.0, contrast_histograms),
    ("surroundings", 4.0, colour_histograms),
)
"""Of each network layer its name, its tokens' side in units of the finest, and what is measured."""
