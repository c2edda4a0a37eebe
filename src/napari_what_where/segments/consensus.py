"""The tree of the leaves: several trees of one graph, and the one on which they agree."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from napari_what_where.progress import Progress, Report, checkpoint, checkpoints, ignore_progress
from napari_what_where.segments.features import Recipe
from napari_what_where.segments.globalisation import contrast, spectral_gradient
from napari_what_where.segments.graph import RegionGraph
from napari_what_where.segments.merging import MergeCost, merge_regions

PERCENT = (58, 95)
"""Where merging begins and ends in the progress of a region tree."""

TYPICAL_CONTRAST, LEAST_CONTRAST = 0.5, 0.2
"""Heights stay as they are in an image of the former contrast; below the latter, less than photographs have, they are
raised no further, so that a flat image stays flat."""


def merge_leaves(graph: RegionGraph, recipe: Recipe, report: Report = ignore_progress) -> tuple[np.ndarray, np.ndarray]:
    """Merge the graph of leaves until one region is left.

    Edges that eigenvectors of the whole graph confirm are raised (:func:`spectral_gradient`), trees that weigh edges
    differently are brought to a consensus, and heights are taken relative to the contrast of the image: what is a
    faint boundary among strong ones counts where there are no others.

    Returns
    -------
    children : (regions − 1, 2) int64, heights : (regions − 1,) float64, as :func:`merge_regions`

    Notes
    -----
    Cost: one merging for each edge weight, one more for the consensus, and a tenth of that for the eigenvectors:
    0.1 s a thousand leaves, 0.3 s where there are tens of thousands.
    """
    scale = contrast(graph)
    if recipe.spectral_edge:
        with checkpoints(report, Progress("segments", PERCENT[0], 100)):
            gradient = spectral_gradient(graph)
        edges = np.hypot(graph.edges, recipe.spectral_edge * scale * gradient)
        graph = replace(graph, edges=edges)
    costs = [
        MergeCost(recipe.area_power, recipe.compactness, recipe.grain / len(graph.areas), weight)
        for weight in recipe.edge_weights
    ]
    children, heights = merge_by_consensus(graph, costs, report)
    return children, heights * (TYPICAL_CONTRAST / max(scale, LEAST_CONTRAST)) ** recipe.calibration


def merge_by_consensus(
    graph: RegionGraph, costs: list[MergeCost], report: Report = ignore_progress
) -> tuple[np.ndarray, np.ndarray]:
    """Merge once with each of ``costs``, then by how high, on average, those trees keep two regions apart.

    A tree is an ultrametric on the leaves: the height at which two of them meet. The roots of the trees' ultrametrics
    are averaged for each boundary between leaves, and the consensus merges by their mean along the boundary of two
    regions, as Arbelaez et al. 2011, section 4, do with contour strengths. Trees that lean on different cues err in
    different places. A single cost's own tree is given back as it is.

    Returns and costs as :func:`merge_leaves`.
    """
    if len(costs) == 1:
        return merge_regions(graph, costs[0], report, PERCENT)
    spans = list(pairwise(np.linspace(*PERCENT, len(costs) + 2).astype(int).tolist()))
    strength = np.zeros(len(graph.pairs))
    for cost, span in zip(costs, spans[:-1], strict=True):
        children, heights = merge_regions(graph, cost, report, span)
        with checkpoints(report, Progress("segments", span[1], 100)):
            strength += np.sqrt(meeting_heights(children, heights, graph.pairs)) / len(costs)
    agreed = replace(graph, features=np.zeros((len(graph.areas), 0)), edges=strength)
    children, halves = merge_regions(agreed, MergeCost(area_power=0, compactness=0), report, spans[-1])
    return children, 2 * halves


def meeting_heights(children: np.ndarray, heights: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The height at which the two leaves of each of ``pairs`` (pairs, 2) are first in one region: (pairs,) float64.

    ``children`` and ``heights`` as of :func:`merge_regions`. Cost: one lookup a pair and level of the tree.
    """
    count = len(heights) + 1
    parents = np.zeros(2 * count - 1, np.int64)
    parents[children.ravel()] = np.repeat(np.arange(count - 1) + count, 2)
    nodes = pairs.copy()
    apart = np.arange(len(pairs))
    while len(apart):
        checkpoint()
        # Parents have larger numbers than their children, so the lower of two nodes cannot contain the other.
        lower = nodes[apart].argmin(axis=1)
        nodes[apart, lower] = parents[nodes[apart, lower]]
        apart = apart[nodes[apart, 0] != nodes[apart, 1]]
    return heights[nodes[:, 0] - count]
