"""The region tree: every number of segments at once, each a lookup."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.image import PerceptualScale, check_image, working_channels
from napari_what_where.progress import OFTEN, Progress, Report, checkpoint, checkpoints, ignore_progress
from napari_what_where.segments.consensus import merge_leaves
from napari_what_where.segments.features import Recipe, even_channels
from napari_what_where.segments.grouping import group_features
from napari_what_where.segments.kinds import node_kinds
from napari_what_where.segments.leaves import LeafWork, node_means
from napari_what_where.segments.lookup import look_up
from napari_what_where.segments.statistics import NodeStatistics, node_statistics
from napari_what_where.segments.superpixels import enlarge
from napari_what_where.working_plane.lazy_channels import LazyChannels
from napari_what_where.working_plane.object_scale import WorkingPlane, plan_plane

AUTO_RANGE = (2, 100)
"""Fewest and most regions that ``"auto"`` answers."""
AUTO_RANK = 50
PHOTOGRAPH_RATIO, DATA_RATIO = 2.0, 1.2
"""``"auto"`` keeps regions that differ by at least this many times what the closest of ``AUTO_RANK`` regions differ by,
so the contrast of an image does not matter. The former does best on BSDS500, hardly below the best one height; the
latter is for images that are no colour photographs: they tend to hold many small things alike, where photographs hold
a few."""

KIND_SAMPLE = 50
"""Kinds are found among so many regions; all others are of the kind that is nearest."""

FLAT_HEIGHT = 1e-3
"""Regions that differ by less never count for ``"auto"``: rounding alone tells them apart. A constant image's stay
below 4e-4; those of a planted embedding, without any image, begin above 1e-2."""


@dataclass(frozen=True, eq=False)
class RegionTree:
    """A binary tree of 4-connected regions over the pixels of one image.

    Attributes
    ----------
    working_leaves : (working_rows, working_columns) int32
        The leaf 0 … L − 1 of each pixel of the plane on which regions were found: the image, or smaller.
    shape : (rows, columns)
        Of the image.
    children : (L − 1, 2) int64
        Merge i joins nodes ``children[i]`` into node L + i; nodes below L are leaves.
    heights : (L − 1,) float64
        Cost of each merge, non-decreasing, comparable between images.
    statistics : NodeStatistics
        Sums over each of the 2 L − 1 nodes.
    auto_ratio : float
        How far regions must stand out to count for ``"auto"``.
    kinds : (2 L − 1,) int64 or None
        1 … K for each node: those alike in *what* they are share it.

    Notes
    -----
    Undoing the merges from the last on, each splits exactly one region: its larger part (of equal ones the lower
    node) keeps the number, the other gets the next one. So a number means the same part of the image for every n,
    whatever was asked before.
    """

    working_leaves: np.ndarray
    shape: tuple[int, int]
    children: np.ndarray
    heights: np.ndarray
    statistics: NodeStatistics
    auto_ratio: float = PHOTOGRAPH_RATIO
    kinds: np.ndarray | None = None

    @cached_property
    def leaves(self) -> np.ndarray:
        """The leaf 0 … L − 1 of each pixel of the image, (rows, columns) int32; kept once it was asked for."""
        return enlarge(self.working_leaves, self.shape)

    @property
    def leaf_count(self) -> int:
        """L, the most regions there can be."""
        return len(self.children) + 1

    @property
    def auto_count(self) -> int:
        """A sensible number of regions, whatever the contrast of the image.

        Those that differ ``auto_ratio`` times as much as some fifty regions would; within ``AUTO_RANGE``, as far as
        there are leaves.
        """
        low, high = (min(bound, self.leaf_count) for bound in AUTO_RANGE)
        if low == high:
            return low
        level = self.heights[-(min(AUTO_RANK, self.leaf_count) - 1)]
        return min(max(self.count_at(max(self.auto_ratio * level, FLAT_HEIGHT)), low), high)

    def labels(self, n: int | str = "auto") -> np.ndarray:
        """The image in ``n`` regions, numbered from 1: (rows, columns) int32.

        Parameters
        ----------
        n : int ≥ 1 or "auto"
            More than there are leaves gives as many regions as leaves.

        Raises
        ------
        TypeError, ValueError
            For any other ``n``.

        Notes
        -----
        Cost: one lookup a working pixel, and one repetition a pixel; memory for the answer alone.
        """
        return enlarge(look_up(self.leaf_labels(n), self.working_leaves), self.shape)

    def leaf_labels(self, n: int | str = "auto") -> np.ndarray:
        """The label of every leaf, (L,) int32: ``leaf_labels(n)[leaves]`` is ``labels(n)``, in microseconds."""
        count = self._check_count(n)
        source, final = self._numbering
        number = np.arange(self.leaf_count + 1)
        lookup = np.where(number > count, source, number)
        while lookup.max() > count:
            lookup = lookup[lookup]
        return lookup[final].astype(np.int32)

    def count_at(self, height: float) -> int:
        """How many regions are left when all merges up to ``height`` are done."""
        return 1 + len(self.heights) - int(np.searchsorted(self.heights, height, side="right"))

    def labels_at(self, height: float) -> np.ndarray:
        """The image after all merges up to ``height``: (rows, columns) int32, numbered as by :meth:`labels`."""
        return self.labels(self.count_at(height))

    def features(self, n: int | str = "auto") -> dict[str, np.ndarray]:
        """Measures of the regions of ``labels(n)``, one row for each label in order; columns by name.

        ``label``, ``area`` (pixels); ``bbox_row_min``, ``bbox_column_min``, ``bbox_row_max``, ``bbox_column_max``
        (the maxima exclusive), ``centroid_row``, ``centroid_column`` (pixels); ``eccentricity`` of the ellipse of
        the same second moments, as scikit-image's regionprops; ``embedding_1`` …: mean of each eigenvector;
        ``kind``: 1 … K, shared by regions alike in *what* they are, the same whatever ``n``.

        Raises as :meth:`labels`. Cost: lookups only, milliseconds for a thousand regions.
        """
        nodes = self._nodes(self._check_count(n))
        table = self.statistics.table(nodes)
        if self.kinds is not None:
            table["kind"] = self.kinds[nodes]
        return table

    def features_of(self, leaf_labels: np.ndarray) -> dict[str, np.ndarray]:
        """Measures of any grouping of the leaves, as :meth:`features`: one row for each label that is there.

        ``leaf_labels``: (L,) int, 0 for leaves that are left out. ``kind`` is that of most area.
        """
        return group_features([self], [leaf_labels])

    def _check_count(self, n: Any) -> int:
        wanted = 'expected a number of regions (an int of at least 1) or "auto"'
        if isinstance(n, str):
            if n == "auto":
                return self.auto_count
            raise ValueError(f"Received n = {n!r}; {wanted}. Pass tree.labels(12), for example.")
        if isinstance(n, (bool, np.bool_)) or not isinstance(n, (int, np.integer)):
            raise TypeError(f"Received n = {n!r} of type {type(n).__name__}; {wanted}. Convert it with int(n).")
        if n < 1:
            raise ValueError(f"Received n = {n}; {wanted}. Use 1 for the whole image as one region.")
        return min(int(n), self.leaf_count)

    @cached_property
    def _node_numbers(self) -> np.ndarray:
        """The number of each node, (2 L − 1,): a region's own, from the split that made it on."""
        count, areas = self.leaf_count, self.statistics.areas
        numbers = np.ones(2 * count - 1, np.int64)
        for i in range(count - 2, -1, -1):
            if i % OFTEN == 0:
                checkpoint()
            first, second = sorted(self.children[i].tolist())
            larger, smaller = (first, second) if areas[first] >= areas[second] else (second, first)
            numbers[larger], numbers[smaller] = numbers[count + i], count - i
        return numbers

    @cached_property
    def _parents(self) -> np.ndarray:
        """The node that each was merged into, (2 L − 1,); for the root, one past all nodes."""
        parents = np.full(2 * self.leaf_count - 1, 2 * self.leaf_count - 1)
        parents[self.children.ravel()] = np.repeat(np.arange(len(self.children)) + self.leaf_count, 2)
        return parents

    @cached_property
    def _numbering(self) -> tuple[np.ndarray, np.ndarray]:
        """For each number the one it split from, (L + 1,), and each leaf's number when all splits are made, (L,)."""
        source = np.zeros(self.leaf_count + 1, np.int64)
        merges = np.arange(self.leaf_count - 1)
        source[self.leaf_count - merges] = self._node_numbers[self.leaf_count + merges]
        return source, self._node_numbers[: self.leaf_count]

    def _nodes(self, count: int) -> np.ndarray:
        """The nodes that are the regions 1 … count, in that order."""
        nodes = np.arange(2 * self.leaf_count - count)
        nodes = nodes[self._parents[nodes] >= 2 * self.leaf_count - count]
        return nodes[np.argsort(self._node_numbers[nodes])]


def even_image(
    pixels: np.ndarray, scale: PerceptualScale, report: Report = ignore_progress, plane: WorkingPlane | None = None
) -> np.ndarray | LazyChannels:
    """A checked image as regions are compared in it, on its working plane: (rows, columns, channels) float32.

    An array, or, where the plane is worked on in tiles,
    :class:`~napari_what_where.working_plane.lazy_channels.LazyChannels`.
    """
    plane = plane or plan_plane((pixels.shape[0], pixels.shape[1]))
    if len(plane.tiles) > 1:
        return LazyChannels(pixels, scale, plane.shape, partial(even_channels, colour=scale.colour))
    channels = working_channels(pixels, scale, longest=max(plane.shape), report=report)
    return even_channels(channels, colour=scale.colour)


def region_tree(
    embedding: Embedding,
    image: Any,
    *,
    follow_edges: bool = True,
    scale: PerceptualScale | None = None,
    report: Report = ignore_progress,
    recipe: Recipe | None = None,
    what: Embedding | None = None,
    channels: np.ndarray | LazyChannels | None = None,
    plane: WorkingPlane | None = None,
) -> RegionTree:
    """Build the tree of regions of an image from its embedding.

    Pixel-accurate leaves (see :func:`~napari_what_where.segments.superpixels.waterpixels`), merged greedily by the
    difference of their mean colour, texture and embedding and by the edge strength between them (see
    :func:`~napari_what_where.segments.consensus.merge_leaves`).

    Parameters
    ----------
    embedding : Embedding
        Its sharp vectors are used, (count, grid_rows, grid_columns).
    image : (rows, columns[, channels]) array of any real dtype
        Gives the shape and, with ``follow_edges``, colours and edges.
    follow_edges : bool
        Off, colours and edges of the image are ignored and the embedding alone decides.
    scale : PerceptualScale, optional
        One intensity scaling for all images of a collection; by default the image's own.
    report : function of a Progress
        Called often; may raise ``Cancelled``.
    recipe : Recipe, optional
        Weights, for experiments.
    what : Embedding, optional
        Of the *what* pathway, in which kinds are found; by default ``embedding``.
    channels : (rows, columns, channels) float32, optional
        The image as :func:`even_image` gives it on that plane, where the caller has it already.
    plane : WorkingPlane, optional
        On which to work, see :func:`~napari_what_where.working_plane.object_scale.plan_plane`; by default one view.

    Raises
    ------
    TypeError, ValueError
        For what is no image, see :func:`~napari_what_where.image.check_image`.

    Notes
    -----
    Cost: under a second for 400 × 600 pixels and at most a few seconds beyond for one view, as larger images are worked
    on at 1024 pixels and their labels enlarged; finer planes a second a million working pixels and 0.2 s a thousand
    leaves. Memory: some forty float32 planes of the working size, or, of a plane in tiles, of two tiles.
    """
    recipe = recipe or Recipe()
    checked = check_image(image)
    shape = checked.shape[:2]
    report(Progress("segments", 0, 100))
    scale = scale or PerceptualScale.fit([checked])
    if plane is None:
        plane = plan_plane((shape[0], shape[1])) if channels is None else WorkingPlane(channels.shape[:2])
    plane = replace(plane, leaves=recipe.leaves) if plane.view else plane
    recipe = replace(recipe, leaves=plane.leaves)
    even = even_image(checked, scale, report, plane) if channels is None else channels
    report(Progress("segments", 5, 100))
    work = LeafWork(even, embedding, plane, recipe, follow_edges)
    leaves = work.find_leaves(report)
    report(Progress("segments", 20, 100))
    graph = work.graph(leaves, report)
    children, heights = merge_leaves(graph, recipe, report)
    report(Progress("segments", 95, 100))
    with checkpoints(report, Progress("segments", 95, 100)):
        statistics = node_statistics(leaves, shape, children, np.asarray(embedding.sharp_vectors))
    auto_ratio = PHOTOGRAPH_RATIO if scale.colour else DATA_RATIO
    tree = RegionTree(leaves, (shape[0], shape[1]), children, heights, statistics, auto_ratio)
    with checkpoints(report, Progress("segments", 99, 100)):
        means = node_means(leaves, children, what or embedding, plane, report)
        kinds = node_kinds(means, statistics.areas, tree._nodes(min(KIND_SAMPLE, tree.leaf_count)))
    report(Progress("segments", 100, 100))
    return replace(tree, kinds=kinds)
