"""Random walks on small regions of an image, guided by its colours, textures, embedding and region tree."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.progress import Report
from napari_what_where.segments.consensus import meeting_heights, merge_leaves
from napari_what_where.segments.features import Recipe, leaf_strength
from napari_what_where.segments.globalisation import contrast, dissimilarity
from napari_what_where.segments.gradients import leaf_side, squared_gradient
from napari_what_where.segments.graph import RegionGraph
from napari_what_where.segments.leaves import LeafWork
from napari_what_where.working_plane.object_scale import WorkingPlane

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

LEAST_LEAF, MOST_LEAVES = 9, 6000
"""Working pixels to a leaf at least, and leaves at most where the region tree has no more: as many as are solved for in
some 20 ms."""
LEAST_BLUR = 0.7
"""σ in pixels, at least, of the gradient that borders follow: below, it is noise in small images."""
FLOOR = 1e-6
"""Least weight of an edge, so that every leaf is reached by some walker."""


@dataclass(frozen=True)
class Walk:
    """What decides how far strokes reach; chosen on images that no figure is measured on.

    Attributes
    ----------
    reluctance : β: how much a walker avoids a boundary, in units of the image's typical contrast.
    tree : share of the boundary's height in the region tree; the rest is what differs across it.
    order : share of a boundary's place among all of the image; the rest is its strength.
    margin : pixels on either side of a border between labels that are decided one by one.
    doubt : of leaves whose likeliest label leads the next by less, pixels are decided one by one, too.
    loyalty : γ: how much a leaf keeps to the label that it has, where there are labels already.
    forest : γ where there are none: how much a leaf keeps to the label that a spanning forest gives it.
    """

    reluctance: float = 4.0
    tree: float = 0.5
    order: float = 0.5
    margin: int = 3
    doubt: float = 0.2
    loyalty: float = 3e-4
    forest: float = 1e-4


@dataclass(frozen=True, eq=False)
class Walkers:
    """Where random walks are taken, made once an image.

    Attributes
    ----------
    leaves : (rows, columns) int32
        The leaf 0 … L − 1 of every pixel of the plane that was worked on; finer than the region tree's.
    pixels : (L,) int64
        Of each leaf.
    laplacian : (L, L) sparse
        D − W of the graph of leaves.
    boundaries : (L, L) sparse
        How strong the boundary of each pair of neighbours is, above its diagonal.
    strength : (rows, columns) float32
        Edge strength of every pixel, at a fine scale.
    """

    leaves: np.ndarray
    pixels: np.ndarray
    laplacian: Any
    boundaries: Any
    strength: np.ndarray

    def chances(
        self, votes: np.ndarray, closed: np.ndarray, prior: np.ndarray | None = None, loyalty: float = 0.0
    ) -> np.ndarray:
        """How likely a walker from each leaf meets each label first, (L, labels) float64.

        Parameters
        ----------
        votes : (L, labels) int
            Painted pixels. A leaf with any belongs to the label of most.
        closed : (L,) bool
            Leaves that walkers go around; their own rows are 0.
        prior : (L,) int, optional
            The label, as a column of ``votes``, that each leaf has by itself, −1 for one that is not among them. With
            a weight of ``loyalty`` times its area it ends a walk, so rows may sum to less than 1: the rest are walks
            that ended elsewhere.

        L_U x = −B m, and with priors (L_U + γ Λ) x = γ λ − B m (Grady 2006, Random walks for image segmentation,
        eq. 8; Grady 2005, Multilabel random walker using prior models, eq. 12). Cost: one sparse factorisation, 20 ms
        for 6000 leaves, and a solve for each label.
        """
        from scipy import sparse
        from scipy.sparse.linalg import splu

        seeded = votes.any(axis=1) & ~closed
        free = ~seeded & ~closed
        chance = np.zeros(votes.shape)
        chance[seeded, votes[seeded].argmax(axis=1)] = 1
        if not free.any():
            return chance
        rows = self.laplacian[free]
        right = -(rows[:, seeded] @ chance[seeded])
        # Edges to closed leaves are none: what they add to the degree is taken back.
        diagonal = np.asarray(rows[:, closed].sum(axis=1)).ravel() + 1e-9
        if prior is not None:
            weight = loyalty * self.pixels[free] / self.pixels.mean()
            known = prior[free] >= 0
            right[np.flatnonzero(known), prior[free][known]] += weight[known]
            diagonal += weight
        system = sparse.csc_array(rows[:, free] + sparse.diags_array(diagonal))
        factors = splu(system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        chance[free] = factors.solve(np.ascontiguousarray(right))
        return chance

    def forest(self, votes: np.ndarray, closed: np.ndarray) -> np.ndarray:
        """The column of ``votes`` that each leaf hangs on in the minimum spanning forest, (L,) int; −1 for none.

        A forest rooted in the painted leaves: each leaf is joined to the one that is reached over the lowest pass, as
        a watershed has it (Cousty et al. 2009, Watershed cuts), however low all boundaries are. Cost: milliseconds.
        """
        from scipy import sparse
        from scipy.sparse.csgraph import connected_components, minimum_spanning_tree

        count, seeds = len(votes), np.flatnonzero(votes.any(axis=1) & ~closed)
        if closed.any():
            edges = self.boundaries.tocoo()
            first, second = edges.coords
            there = ~(closed[first] | closed[second])
            first, second, costs = first[there], second[there], edges.data[there] + FLOOR
        else:
            first, second, costs = self._spanning
        # All roots hang on one more node, by edges below all others; cut off from it, each keeps its tree.
        first, second = np.append(first, np.full(len(seeds), count)), np.append(second, seeds)
        costs = np.append(costs, np.full(len(seeds), FLOOR / 2))
        tree = minimum_spanning_tree(sparse.csr_array((costs, (first, second)), shape=(count + 1, count + 1)))
        member = connected_components(tree[:count, :count], directed=False)[1]
        column = np.full(member.max() + 2, -1)
        column[member[seeds]] = votes[seeds].argmax(axis=1)
        return column[member]

    @cached_property
    def _spanning(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Both leaves and the cost of each edge of the minimum spanning tree: all that any forest is made of."""
        from scipy import sparse
        from scipy.sparse.csgraph import minimum_spanning_tree

        edges = self.boundaries.tocoo()
        tree = minimum_spanning_tree(sparse.csr_array((edges.data + FLOOR, edges.coords), shape=edges.shape)).tocoo()
        first, second = tree.coords
        return first, second, tree.data


def make_walkers(analysis: Analysis, walk: Walk, report: Report) -> Walkers:
    """Leaves, their graph and the edge strength of an analysed image.

    Edges weigh length · exp(−β boundary), after Grady 2006, eq. 1. Cost: as one more region tree, with more leaves:
    about two seconds for one view. ``report`` may raise ``Cancelled``.
    """
    from scipy import sparse

    tree, even = analysis.tree, analysis.channels
    rows, columns = tree.working_leaves.shape
    plane = analysis.plane or WorkingPlane((rows, columns), leaves=tree.leaf_count)
    most = max(plane.leaves, min(MOST_LEAVES, plane.pixels // LEAST_LEAF))
    recipe = Recipe(leaves=most)
    channels = np.empty((rows, columns, 0), np.float32) if even is None else even
    work = LeafWork(channels, analysis.embedding, replace(plane, leaves=most), recipe, even is not None)
    leaves = work.find_leaves(report)
    graph = work.graph(leaves, report)
    pixels = np.bincount(leaves.ravel(), minlength=len(graph.areas))
    boundaries = _boundaries(graph, recipe, walk, report)
    weights = graph.lengths / max(graph.lengths.mean(), 1e-9) * np.exp(-walk.reluctance * boundaries) + FLOOR
    first, second = graph.pairs.T
    shape = (len(pixels), len(pixels))
    passes = sparse.csr_array((boundaries, (first, second)), shape=shape)
    affinity = sparse.csr_array((weights, (first, second)), shape=shape)
    return Walkers(leaves, pixels, laplacian(affinity + affinity.T), passes, _pixel_strength(work, plane))


def laplacian(affinity: Any) -> Any:
    """D − W, (L, L) sparse, of an affinity W."""
    from scipy import sparse

    return sparse.csr_array(sparse.diags_array(affinity.sum(axis=0)) - affinity)


def _boundaries(graph: RegionGraph, recipe: Recipe, walk: Walk, report: Report) -> np.ndarray:
    """How strong each boundary is, (boundaries,): about 2 for strong ones."""
    if not len(graph.pairs):
        return np.zeros(0)
    children, heights = merge_leaves(graph, recipe, report)
    standing = np.sqrt(meeting_heights(children, heights, graph.pairs))
    standing /= max(float(np.quantile(standing, 0.9)), 1e-6)
    difference = dissimilarity(graph) / max(contrast(graph), 1e-3)
    strength = walk.tree * standing + (1 - walk.tree) * difference
    # Around dim objects beside bright ones all boundaries are weak, but stronger than those of flat parts: by rank,
    # with 1 at the same quantile as strength has it.
    return 2 * ((1 - walk.order) * strength + walk.order * ranks(strength) / 0.9)


def ranks(values: np.ndarray) -> np.ndarray:
    """The place of each value among all, 0 … 1, equal ones in the middle of theirs; (values,) float64."""
    ordered = np.sort(values)
    below, up_to = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + up_to) / (2 * max(len(values), 1))


def _pixel_strength(work: LeafWork, plane: WorkingPlane) -> np.ndarray:
    """Edge strength of every pixel of the plane, (rows, columns) float32: of the channels alone, as the embedding is
    coarse, on a blur small enough for thin objects and large enough for noise.
    """
    strength, recipe = np.empty(plane.shape, np.float32), Recipe(leaves=plane.leaves)
    sigma = max(LEAST_BLUR, 0.1 * leaf_side(plane.shape, plane.leaves))
    for tile in plane.tiles:
        part, even = work.part(tile)
        if work.follow_edges:
            found = np.sqrt(squared_gradient(even, sigma))
        else:
            found = leaf_strength(even, work.embedding, follow_edges=False, recipe=recipe, part=part)
        strength[tile.rows, tile.columns] = found[tile.within(part.tile)]
    return strength
