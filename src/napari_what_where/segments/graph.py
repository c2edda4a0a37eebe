"""Regions and the boundaries between them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from napari_what_where.progress import Progress, Report, checkpoint, ignore_progress
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


class LeafSums(NamedTuple):
    """What part of a plane contributes to the graph of all its leaves.

    ``first``: the lowest leaf, the others follow; ``pixels`` (leaves,) and ``totals`` (leaves, features): sums over its
    pixels; ``pairs``, ``lengths``, ``strengths``: for each boundary in it the two leaves, (boundaries, 2) int64 with
    the lower first, how many pixel pairs there are along it, and the sum of edge strength over them.
    """

    first: int
    pixels: np.ndarray
    totals: np.ndarray
    pairs: np.ndarray
    lengths: np.ndarray
    strengths: np.ndarray


def leaf_sums(
    leaves: np.ndarray, core: tuple[int, int], groups: Iterable[FeatureGroup], report: Report = ignore_progress
) -> LeafSums:
    """Sums over the leaves of part of a plane, and over the boundaries in it.

    Parameters
    ----------
    leaves : (rows, columns) int
        Of the pixels of the part, and of the row below and the column to the right of it, if there are any.
    core : (rows, columns)
        Of the part alone: its own pixels are summed, and each pair with the next pixel down or to the right.
    groups : iterable of FeatureGroup
        Planes of the shape of ``leaves``. ``report`` is called for each.
    """
    from scipy import sparse

    first, count = int(leaves.min()), int(leaves.max()) + 1 - int(leaves.min())
    inside = np.s_[: core[0], : core[1]]
    flat = leaves[inside].ravel() - first
    order = (np.ones(flat.size, np.float32), (flat, np.arange(flat.size)))
    total = sparse.csr_array(order, shape=(count, flat.size))
    totals, squared = [], np.zeros(leaves.shape)
    for done, group in enumerate(groups):
        report(Progress("segments", min(25 + 3 * done, 55), 100))
        checkpoint()
        totals.append(total @ group.planes[inside].reshape(flat.size, -1))
        squared += group.squared
    pixels = np.bincount(flat, minlength=count).astype(np.float64)
    return LeafSums(first, pixels, np.concatenate(totals, axis=1), *_boundaries(leaves, np.sqrt(squared), core))


def collect_graph(parts: Iterable[LeafSums], count: int) -> RegionGraph:
    """The graph of ``count`` leaves from the parts of a plane that cover it once."""
    pixels, totals, boundaries = np.zeros(count), None, []
    for part in parts:
        here = slice(part.first, part.first + len(part.pixels))
        totals = np.zeros((count, part.totals.shape[1])) if totals is None else totals
        pixels[here] += part.pixels
        totals[here] += part.totals
        boundaries.append((part.pairs[:, 0] * count + part.pairs[:, 1], part.lengths, part.strengths))
    checkpoint()
    codes, lengths, strengths = (np.concatenate(each) for each in zip(*boundaries, strict=True))
    code, index = np.unique(codes, return_inverse=True)
    checkpoint()
    lengths = np.bincount(index, lengths, minlength=len(code))
    edges = np.bincount(index, strengths, minlength=len(code)) / np.maximum(lengths, 1)
    pairs = np.stack([code // count, code % count], axis=1)
    features = np.zeros((count, 0)) if totals is None else totals / pixels[:, None]
    return RegionGraph(pixels / pixels.sum(), features, pairs, lengths, edges)


def region_graph(leaves: np.ndarray, groups: Iterable[FeatureGroup], report: Report = ignore_progress) -> RegionGraph:
    """The graph of (rows, columns) ``leaves``, int with ids 0 … L − 1, compared by ``groups`` of features.

    The edge strength between two pixels is the larger of the two. ``report`` is called for each group.
    Cost: one pass over the planes of each group.
    """
    sums = leaf_sums(leaves, (leaves.shape[0], leaves.shape[1]), groups, report)
    return collect_graph([sums], int(leaves.max()) + 1)


def _boundaries(
    leaves: np.ndarray, strength: np.ndarray, core: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs of neighbours, (boundaries, 2), and for each its length and its summed edge strength."""
    rows, columns = core
    count = int(leaves.max()) + 1
    codes, weights = [], []
    for low, high in ((np.s_[:-1, :columns], np.s_[1:, :columns]), (np.s_[:rows, :-1], np.s_[:rows, 1:])):
        across = leaves[low] != leaves[high]
        first, second = leaves[low][across].astype(np.int64), leaves[high][across].astype(np.int64)
        codes.append(np.minimum(first, second) * count + np.maximum(first, second))
        weights.append(np.maximum(strength[low][across], strength[high][across]))
    code, index = np.unique(np.concatenate(codes), return_inverse=True)
    lengths = np.bincount(index, minlength=len(code)).astype(np.float64)
    strengths = np.bincount(index, np.concatenate(weights), minlength=len(code))
    return np.stack([code // count, code % count], axis=1), lengths, strengths
