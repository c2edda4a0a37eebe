"""What regions are compared by: colour, texture and embedding, as planes whose region means are taken."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.image import soft_bins
from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.segments.coordinates import embedding_coordinates
from napari_what_where.segments.gradients import (
    blur,
    interpolate_to,
    leaf_side,
    squared_gradient,
    wide_squared_gradient,
)
from napari_what_where.working_plane.object_scale import Part

BINS = 8
CONTRASTS = (1e-3, 0.2)
"""Least and most local contrast that are told apart, as fractions of the intensity range."""


@dataclass(frozen=True)
class Recipe:
    """The weights behind a region tree; lengths are in units of a leaf's side, so that they scale with the image.

    Attributes
    ----------
    leaves : most leaves of the tree.
    regularity : pull of the leaves towards regular cells, in units of edge strength.
    colour, palette, texture, embedding : weights of the groups of features: mean colour, histogram of colours,
        histogram of local contrasts, eigenvectors; 0 leaves one out.
    colour_edge, palette_edge, texture_edge, embedding_edge : weights of their gradients along a boundary.
    spectral_edge : weight of the eigenvectors of the graph of leaves, in units of the image's contrast.
    edge_weights : how much edges weigh against features, for each of the trees whose consensus is taken.
    area_power : β of the merge cost: 0 ignores areas, 1 is Ward's criterion.
    compactness : γ of the merge cost: 0 ignores how much of its outline a region shares with the other.
    grain : regions smaller than this many average leaves are specks, merged first.
    calibration : power of the image's contrast that heights are divided by, so that one height suits most images.
    """

    leaves: int = 1500
    regularity: float = 0.02
    colour: float = 0.85
    palette: float = 0.23
    texture: float = 0.23
    embedding: float = 0.15
    colour_edge: float = 0.85
    palette_edge: float = 0.3
    texture_edge: float = 0.09
    embedding_edge: float = 0.12
    spectral_edge: float = 0.4
    edge_weights: tuple[float, ...] = (0.25, 1.0, 4.0)
    area_power: float = 0.23
    compactness: float = 0.15
    grain: float = 0.5
    calibration: float = 0.5


class FeatureGroup(NamedTuple):
    """One kind of features: weighted ``planes`` (rows, columns, features), and ``squared`` (rows, columns) edges."""

    planes: np.ndarray
    squared: np.ndarray


def leaf_strength(
    even: np.ndarray,
    embedding: Embedding,
    *,
    follow_edges: bool,
    recipe: Recipe,
    report: Report = ignore_progress,
    part: Part | None = None,
    tokens: np.ndarray | None = None,
) -> np.ndarray:
    """Edge strength that leaves are to follow, (rows, columns) float32, from :func:`even_channels`.

    ``part``: where ``even`` lies in a larger plane; by default it is all of it. ``tokens``: :func:`token_coordinates`,
    where they are at hand.
    """
    part = part or Part.whole(even.shape)
    side = leaf_side(part.shape, recipe.leaves)
    coordinates = interpolate_to(token_coordinates(embedding, follow_edges) if tokens is None else tokens, part)
    if not follow_edges:
        return np.sqrt(wide_squared_gradient(coordinates, side, (0.2,), part))
    squared = wide_squared_gradient(coordinates * np.float32(recipe.embedding_edge), side, (0.2,), part)
    for scale in (0.1, 0.2):
        report(Progress("segments", 8, 100))
        squared += squared_gradient(even, scale * side) / 2
    return np.sqrt(squared)


def feature_groups(
    even: np.ndarray,
    embedding: Embedding,
    *,
    follow_edges: bool,
    recipe: Recipe,
    part: Part | None = None,
    tokens: np.ndarray | None = None,
) -> Iterator[FeatureGroup]:
    """The groups of features, one at a time, so that few planes are in memory at once.

    ``even`` is (rows, columns, channels) from :func:`even_channels`; without ``follow_edges`` only its shape counts.
    ``part`` and ``tokens`` as for :func:`leaf_strength`.
    """
    part = part or Part.whole(even.shape)
    side = leaf_side(part.shape, recipe.leaves)
    coordinates = interpolate_to(token_coordinates(embedding, follow_edges) if tokens is None else tokens, part)
    group = partial(_group, side=side, part=part)
    yield group(coordinates, recipe.embedding, recipe.embedding_edge, scales=(0.4,))
    if not follow_edges:
        return
    fine = (squared_gradient(even, 0.2 * side) + squared_gradient(even, 0.4 * side)) / 2
    yield FeatureGroup(even * np.float32(recipe.colour), fine * np.float32(recipe.colour_edge**2))
    for channel in np.moveaxis(even, 2, 0):
        yield group(soft_bins(channel, BINS), recipe.palette, recipe.palette_edge, scales=(0.4, 0.8))
    for sigma in (0.1 * side, 0.2 * side, 0.4 * side):
        levels = soft_bins(contrast_level(even, sigma), BINS)
        yield group(levels, recipe.texture, recipe.texture_edge, scales=(0.8,))


def token_coordinates(embedding: Embedding, follow_edges: bool) -> np.ndarray:
    """Coordinates in which regions are compared, (grid_rows, grid_columns, coordinates) float32.

    Where nothing else is weighed, noise has to be kept out: see ``time`` of :func:`embedding_coordinates`.
    """
    return embedding_coordinates(embedding, time=0.5 if follow_edges else 1.0)


def _group(
    planes: np.ndarray, weight: float, edge_weight: float, *, side: float, scales: tuple[float, ...], part: Part
) -> FeatureGroup:
    squared = wide_squared_gradient(planes, side, scales, part)
    return FeatureGroup(planes * np.float32(weight), squared * np.float32(edge_weight**2))


def even_channels(channels: np.ndarray, *, colour: bool) -> np.ndarray:
    """Perceptual channels, (rows, columns, channels) float32, with an equal say: in colour images CIELAB's a and b
    are stretched, as they hardly leave ±0.5 where lightness fills [0, 1]. All lie within [0, 1], but for the most
    vivid colours.
    """
    if not colour:
        return channels
    return channels * np.array([1, 2, 2], np.float32) + np.array([0, 0.5, 0.5], np.float32)


def contrast_level(even: np.ndarray, sigma: float) -> np.ndarray:
    """Local contrast at the scale ``sigma`` pixels, logarithmic, 0 … 1 over ``CONTRASTS``: (rows, columns) float32."""
    detail = blur(even, sigma) - blur(even, 1.6 * sigma)
    energy = blur((detail**2).sum(axis=2, keepdims=True), 1.5 * sigma)[..., 0]
    low, high = np.log(CONTRASTS)
    return ((0.5 * np.log(energy + CONTRASTS[0] ** 2 / 100) - low) / (high - low)).astype(np.float32)
