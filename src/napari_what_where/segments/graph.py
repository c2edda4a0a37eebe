"""Regions and the boundaries between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.segments.features import FeatureGroup


@dataclass(frozen=True, eq=False)
class RegionGraph:
    """Regions and the boundaries between them.

    Attributes
    ----------
    areas : (regions,) float64
        As fractions of the image.
    features : (regions, features) float64
        Means over each region.
    pairs : (boundaries, 2) int64
        Neighbouring regions, first < second, each pair once.
    lengths, edges : (boundaries,) float64
        Number of pixel pairs along each boundary, and the mean edge strength over them.
    """

    areas: np.ndarray
    features: np.ndarray
    pairs: np.ndarray
    lengths: np.ndarray
    edges: np.ndarray


def region_graph(leaves: np.ndarray, groups: Iterable[FeatureGroup], report: Report = ignore_progress) -> RegionGraph:
    """The graph of (rows, columns) ``leaves``, int with ids 0 … L − 1, compared by ``groups`` of features.

    The edge strength between two pixels is the larger of the two. ``report`` is called for each group.
    Cost: one pass over the planes of each group.
    """
    from scipy import sparse

    flat, count = leaves.ravel(), int(leaves.max()) + 1
    pixels = np.bincount(flat, minlength=count).astype(np.float64)
    order = (np.ones(flat.size, np.float32), (flat, np.arange(flat.size)))
    total = sparse.csr_array(order, shape=(count, flat.size))
    means, squared = [], np.zeros(leaves.shape)
    for done, group in enumerate(groups):
        report(Progress("segments", min(25 + 3 * done, 55), 100))
        means.append((total @ group.planes.reshape(flat.size, -1)) / pixels[:, None])
        squared += group.squared
    code, lengths, edges = _boundaries(leaves.astype(np.int64), np.sqrt(squared), count)
    pairs = np.stack([code // count, code % count], axis=1)
    features = np.concatenate(means, axis=1).astype(np.float64)
    return RegionGraph(pixels / flat.size, features, pairs, lengths, edges)


def _boundaries(leaves: np.ndarray, strength: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pair of neighbours its code (first · count + second), its length and its mean edge strength."""
    codes, weights = [], []
    for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:])):
        across = leaves[low] != leaves[high]
        first, second = leaves[low][across], leaves[high][across]
        codes.append(np.minimum(first, second) * count + np.maximum(first, second))
        weights.append(np.maximum(strength[low][across], strength[high][across]))
    code, index = np.unique(np.concatenate(codes), return_inverse=True)
    lengths = np.bincount(index, minlength=len(code)).astype(np.float64)
    sums = np.bincount(index, np.concatenate(weights), minlength=len(code))
    return code, lengths, sums / np.maximum(lengths, 1)
