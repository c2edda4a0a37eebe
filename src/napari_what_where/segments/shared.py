"""Clusters that mean the same in every image of a collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.image import PerceptualScale
from napari_what_where.progress import Report, checkpoint, ignore_progress
from napari_what_where.segments.clusters import count_by_eigengap, kmeans
from napari_what_where.segments.coordinates import MOST
from napari_what_where.segments.leaves import leaf_sums_of, node_sums
from napari_what_where.segments.lookup import look_up
from napari_what_where.segments.superpixels import enlarge
from napari_what_where.segments.tree import RegionTree, region_tree
from napari_what_where.working_plane.object_scale import WorkingPlane

SAMPLE = 20_000
"""Tokens of all images that clusters are found among."""
STARTS = 16
"""Of k-means: the best of four differed between two all but equal embeddings by up to 5 points of mean IoU."""
REGION_COST = 5.0
"""Leaves that a region must be worth: between 3 and 30 labels of generated scenes are best, and far less speckled."""
A_ROW = 3
"""Tokens at even distances, in reading order, cover a grid where so many are of each row; fewer may all lie on its
diagonal, or in its corners."""
_PLASTIC = 1.324717957244746
"""x³ = x + 1: multiples of (1 / x, 1 / x²) fill a square evenly, however many there are (Roberts 2018, R₂)."""
LEAST_FIRST = 0.05
"""Of the first eigenvector, beside a typical token's: coordinates are divided by no less."""


@dataclass(frozen=True, eq=False)
class SharedClusters:
    """Clusters of the tokens of a collection, as a rule that holds for any image.

    Attributes
    ----------
    centres : (clusters, coordinates) float64
        In :func:`shared_coordinates`; the first is that of most tokens.
    spread : float
        Mean squared distance of a token from its centre.
    """

    centres: np.ndarray
    spread: float

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.centres)

    def scores(self, embedding: Embedding) -> np.ndarray:
        """How near each token is to each centre, the nearest scoring most: (grid_rows, grid_columns, clusters) float32.

        x·c − |c|² / 2: linear in x, so that the mean over a region is the score of its mean.
        """
        scores = shared_coordinates(embedding) @ self.centres.T - 0.5 * (self.centres**2).sum(axis=1)
        return scores.reshape(*embedding.grid, self.count).astype(np.float32)


def shared_coordinates(embedding: Embedding) -> np.ndarray:
    """Coordinates of the tokens of an image, that mean the same in all of its collection: (tokens, count − 1) float64.

    Those of :func:`~napari_what_where.segments.coordinates.embedding_coordinates`, but that nothing is decided by the
    image: the first eigenvector of a collection is positive, and a typical token has 1 / √tokens of it.
    """
    values = np.asarray(embedding.sharp_values, np.float64)
    vectors = embedding.sharp_vectors.reshape(embedding.count, -1).astype(np.float64)
    if len(vectors) == 1:
        return np.zeros((vectors.shape[1], 1))
    first = np.maximum(vectors[0] * vectors.shape[1] ** 0.5, LEAST_FIRST)
    weights = np.sqrt(np.clip(values[1:] / max(values[0], 1e-12), 0, 1))
    coordinates = np.clip(vectors[1:] * vectors.shape[1] ** 0.5 / first, -MOST, MOST)
    return (coordinates * weights[:, None]).T


def fit_clusters(
    embeddings: Sequence[Embedding], count: int | str, values: np.ndarray, *, seed: int = 0
) -> SharedClusters:
    """Cluster the tokens of all images together, by k-means on some of each image.

    Parameters
    ----------
    embeddings : sequence of Embedding
        Read one at a time, of a collection.
    count : int ≥ 1 or "auto"
        How many clusters; "auto": as many as there are eigenvectors before the gap that stands out, see
        :func:`~napari_what_where.segments.clusters.count_by_eigengap`.
    values : (eigenvectors,) float
        Their eigenvalues.

    Notes
    -----
    Deterministic for a ``seed``. Every image gives as many tokens, or all it has, spread over it; of more than
    ``SAMPLE`` images so many give one each. Clusters are numbered by falling size. Memory: ``SAMPLE`` points. There can
    be fewer clusters than asked for, where there are fewer different tokens.
    """
    number = count_by_eigengap(values) if count == "auto" else int(count)
    points = np.concatenate([_sample(embeddings[image], places) for image, places in _plan(len(embeddings))])
    found = kmeans(points, number, seed=seed, starts=STARTS)
    sizes = np.bincount(found)
    centres = np.stack([points[found == cluster].mean(axis=0) for cluster in range(len(sizes))])
    spread = float(((points - centres[found]) ** 2).sum(axis=1).mean())
    return SharedClusters(centres[np.argsort(-sizes, kind="stable")], spread)


def shared_tree(
    pixels: np.ndarray,
    embedding: Embedding,
    clusters: SharedClusters,
    scale: PerceptualScale,
    *,
    follow_edges: bool = True,
    plane: WorkingPlane | None = None,
    report: Report = ignore_progress,
) -> RegionTree:
    """The region tree of an image of a collection, whose kinds are the collection's clusters.

    ``pixels``: a checked image; ``embedding``: of it, in its collection. Cost: that of
    :func:`~napari_what_where.segments.tree.region_tree`.
    """
    tree = region_tree(embedding, pixels, follow_edges=follow_edges, scale=scale, plane=plane, report=report)
    return with_shared_kinds(tree, embedding, clusters)


def with_shared_kinds(tree: RegionTree, embedding: Embedding, clusters: SharedClusters) -> RegionTree:
    """The tree of an image of a collection, with its clusters for kinds."""
    sums = _scores_of_leaves(tree, embedding, clusters)
    return replace(tree, kinds=node_sums(sums, tree.children)[:, 1:].argmax(axis=1) + 1)


def shared_labels(tree: RegionTree, embedding: Embedding, clusters: SharedClusters) -> np.ndarray:
    """The cluster 1 … of every pixel, (rows, columns) int32, from the tree of the image: whole regions belong to one.

    Of all ways to cut the tree into regions of one cluster each the one that costs least: the squared distances of all
    pixels from the centres that they are given, and for each region ``REGION_COST`` times what a typical leaf costs.
    """
    sums = _scores_of_leaves(tree, embedding, clusters)
    penalty = REGION_COST * clusters.spread * float(sums[:, 0].mean())
    found = cheapest_regions(sums[:, 1:], tree.children, penalty)
    return enlarge(look_up((found + 1).astype(np.int32), tree.working_leaves), tree.shape)


def cheapest_regions(scores: np.ndarray, children: np.ndarray, penalty: float) -> np.ndarray:
    """The cluster 0 … of each leaf, (L,) int64, of the cut of a tree that costs least.

    A region costs ``penalty`` − 2 · its best score. ``scores`` (L, clusters): sums over each leaf of
    :meth:`SharedClusters.scores`; ``children`` (L − 1, 2). Dynamic programming from the leaves up: a node stands for
    itself unless its children do better together.
    """
    count = len(scores)
    totals = node_sums(scores, children)
    value = 2 * totals.max(axis=1) - penalty
    parted = np.zeros(len(totals), bool)
    for i, (first, second) in enumerate(children.tolist()):
        together = value[first] + value[second]
        if together > value[count + i]:
            value[count + i], parted[count + i] = together, True
    found = totals.argmax(axis=1)
    # From the root down, what lies within a region has its cluster.
    for i in range(len(children) - 1, -1, -1):
        if not parted[count + i]:
            found[children[i]], parted[children[i]] = found[count + i], False
    return found[:count]


def _scores_of_leaves(tree: RegionTree, embedding: Embedding, clusters: SharedClusters) -> np.ndarray:
    """Pixels of each leaf, and the sums over them of the clusters' scores."""
    return leaf_sums_of(tree.working_leaves, tree.leaf_count, clusters.scores(embedding))


def _plan(images: int) -> Iterator[tuple[int, range]]:
    """Which images give tokens, and which members of the sequence that spreads them."""
    chosen, each = min(images, SAMPLE), max(1, SAMPLE // images)
    for turn in range(chosen):
        # The middle of each of so many equal parts of the collection.
        yield (2 * turn + 1) * images // (2 * chosen), range(turn * each, (turn + 1) * each)


def _sample(embedding: Embedding, places: range) -> np.ndarray:
    """The coordinates of some tokens of an image, (≤ places, coordinates)."""
    checkpoint()
    return shared_coordinates(embedding)[sampled_tokens(embedding.grid, places)]


def sampled_tokens(grid: tuple[int, int], places: range) -> np.ndarray:
    """Numbers of at most so many different tokens that are spread over a grid, ascending int64.

    As many as can be are at even distances in reading order, if those cover the grid. Fewer lie at these ``places`` of
    a sequence that fills the square evenly, so that images that go on in it cover the grid together.
    """
    rows, columns = grid
    if len(places) >= min(A_ROW * max(grid), rows * columns):
        return np.unique(np.linspace(0, rows * columns - 1, min(len(places), rows * columns)).round().astype(np.int64))
    turns = np.arange(places.start, places.stop) + 1
    row, column = ((0.5 + turns / _PLASTIC**power) % 1 for power in (1, 2))
    return np.unique((row * rows).astype(np.int64) * columns + (column * columns).astype(np.int64))
