"""What a region is described by: colour, texture and embedding, as planes whose region means are compared."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import Progress, Report, ignore_progress


@dataclass(frozen=True)
class Recipe:
    """The weights behind a region tree; lengths are in units of a leaf's side, so that they scale with the image.

    Attributes
    ----------
    leaves : most leaves of the tree.
    colour, texture, embedding : weights of the three kinds of features; 0 leaves one out.
    edge : weight of the mean strength along the boundary of two regions beside the difference of their features.
    area_power : β of the merge cost: 0 ignores areas, 1 is Ward's criterion.
    regularity : pull of the leaves towards regular cells, in units of edge strength.
    auto_height : where ``"auto"`` cuts the tree.
    """

    leaves: int = 1500
    colour: float = 1.0
    texture: float = 2.0
    embedding: float = 0.1
    edge: float = 1.0
    area_power: float = 0.3
    regularity: float = 0.01
    auto_height: float = 0.01
    edge_scales: tuple[float, ...] = (0.1, 0.2)
    texture_scales: tuple[float, ...] = (0.1, 0.2, 0.4)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What the regions of one image are made from, on one (rows, columns) plane.

    Attributes
    ----------
    features : (rows, columns, features) float32
        Weighted, so that the squared difference of two region means is their dissimilarity.
    strength : (rows, columns) float32
        Edge strength ≥ 0, in the same units as the features.
    """

    features: np.ndarray
    strength: np.ndarray


def gather_evidence(
    channels: np.ndarray, embedding: Embedding, *, follow_edges: bool, recipe: Recipe, report: Report = ignore_progress
) -> Evidence:
    """Features and edge strength from (rows, columns, channels) perceptual ``channels`` and an embedding.

    With ``follow_edges`` off the channels only give the shape. Cost: some fifteen Gaussian filters of each channel.
    """
    shape = channels.shape[:2]
    side = leaf_side(shape, recipe.leaves)
    report(Progress("segments", 0, 100))
    coordinates = embedding_planes(embedding, shape) * np.float32(recipe.embedding)
    features, squared = [coordinates], _squared_gradient(coordinates, 0.2 * side)
    if follow_edges:
        report(Progress("segments", 5, 100))
        texture = texture_energy(channels, side, recipe) * np.float32(recipe.texture)
        colour = channels * np.float32(recipe.colour)
        features += [colour, texture]
        report(Progress("segments", 10, 100))
        for scale in recipe.edge_scales:
            squared = squared + _squared_gradient(colour, scale * side) / len(recipe.edge_scales)
        squared = squared + _squared_gradient(texture, 0.4 * side)
    return Evidence(np.concatenate(features, axis=2), np.sqrt(squared))


def leaf_side(shape: tuple[int, int], leaves: int) -> float:
    """Side in pixels of a square leaf, where ``leaves`` of them tile a (rows, columns) ``shape``; at least 1."""
    return max(1.0, float(np.sqrt(shape[0] * shape[1] / leaves)))


def embedding_coordinates(embedding: Embedding) -> np.ndarray:
    """Dimensionless coordinates of the tokens, (grid_rows, grid_columns, coordinates) float32.

    Under degree normalisation the first eigenvector is D^½ 1, and the others divided by it are the eigenvectors of
    the random walk, in which a cluster is constant (Shi & Malik 2000, eq. 9). Where the first vector is not of one
    sign, all are kept, times √tokens. Each is weighted by its eigenvalue relative to the first.
    """
    values = np.asarray(embedding.sharp_values, np.float64)
    vectors = np.asarray(embedding.sharp_vectors, np.float64)
    first = vectors[0] * np.sign(vectors[0].sum() or 1.0)
    typical = np.sqrt(np.mean(first**2))
    weights = np.clip(values / max(abs(values[0]), 1e-12), 0, 1) if values.any() else np.zeros(len(values))
    if typical > 0 and first.min() > 0.05 * typical:
        coordinates, weights = vectors[1:] / first, weights[1:]
    else:
        coordinates = vectors * np.sqrt(first.size)
    coordinates = np.clip(coordinates, -4, 4) * weights[:, None, None]
    return np.moveaxis(coordinates, 0, 2).astype(np.float32)


def embedding_planes(embedding: Embedding, shape: tuple[int, int]) -> np.ndarray:
    """The tokens' coordinates, interpolated to (rows, columns, coordinates) float32."""
    return interpolate(embedding_coordinates(embedding), shape)


def interpolate(planes: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(grid_rows, grid_columns, channels) cell means → (rows, columns, channels), linear between cell centres."""
    over_rows = _linear_weights(planes.shape[0], shape[0])
    over_columns = _linear_weights(planes.shape[1], shape[1])
    return np.einsum("ri,ijc->rjc", over_rows, planes).transpose(0, 2, 1).dot(over_columns.T).transpose(0, 2, 1)


def _linear_weights(coarse: int, fine: int) -> np.ndarray:
    """(fine, coarse) float32 weights of linear interpolation between the centres of ``coarse`` cells."""
    position = np.clip((np.arange(fine) + 0.5) * coarse / fine - 0.5, 0, coarse - 1)
    low = np.minimum(position.astype(np.int64), max(coarse - 2, 0))
    high = np.minimum(low + 1, coarse - 1)
    weights = np.zeros((fine, coarse), np.float32)
    weights[np.arange(fine), low] = 1 - (position - low)
    weights[np.arange(fine), high] += position - low
    return weights


def texture_energy(channels: np.ndarray, side: float, recipe: Recipe) -> np.ndarray:
    """Amplitude of the detail at several scales, (rows, columns, scales) float32, in units of the channels.

    For each scale the difference of two Gaussians an octave apart, its norm over the channels.
    """
    planes = []
    for scale in recipe.texture_scales:
        detail = _blur(channels, scale * side) - _blur(channels, 2 * scale * side)
        planes.append(np.sqrt((detail**2).sum(axis=2)))
    return np.stack(planes, axis=2)


def _blur(planes: np.ndarray, sigma: float) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    for axis in (0, 1):
        planes = gaussian_filter1d(planes, sigma, axis=axis, mode="nearest", truncate=3.0)
    return planes


def _squared_gradient(planes: np.ndarray, sigma: float) -> np.ndarray:
    """|∇|² of (rows, columns, channels) planes blurred by ``sigma``, summed over channels, per (2σ + 1)² pixels.

    The unit makes a step edge of height h count about h², whatever the blur.
    """
    blurred = _blur(planes, sigma)
    squared = np.zeros(planes.shape[:2], np.float32)
    for axis in (0, 1):
        squared += (np.gradient(blurred, axis=axis) ** 2).sum(axis=2)
    return squared * np.float32((2 * sigma + 1) ** 2)
