"""Clusters of a collection: the cut of least cost beside all cuts, coordinates, and clusters that were planted."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.embedding.types import Embedding
from napari_what_where.segments import shared
from napari_what_where.segments.shared import cheapest_regions, fit_clusters, sampled_tokens, shared_coordinates


def naive_regions(scores: np.ndarray, children: np.ndarray, penalty: float) -> float:
    """The least cost of all cuts and all clusters of their regions."""
    leaves = len(scores)

    def cuts(node: int) -> list[list[list[int]]]:
        if node < leaves:
            return [[[node]]]
        first, second = (cuts(int(child)) for child in children[node - leaves])
        whole = sorted(leaf for region in first[0] + second[0] for leaf in region)
        return [[whole], *(a + b for a, b in product(first, second))]

    return min(
        sum(penalty - 2 * scores[region].sum(axis=0).max() for region in cut)
        for cut in cuts(leaves + len(children) - 1)
    )


def a_tree(leaves: int, rng: np.random.Generator) -> np.ndarray:
    alive, children = list(range(leaves)), []
    while len(alive) > 1:
        first, second = (alive.pop(int(rng.integers(len(alive)))) for _ in range(2))
        alive.append(leaves + len(children))
        children.append((first, second))
    return np.array(children, np.int64).reshape(-1, 2)


def regions_of(found: np.ndarray, children: np.ndarray) -> int:
    """The fewest nodes of one cluster that the leaves' clusters can be told by."""
    leaves = len(found)
    cluster = [*found.tolist()]
    fewest = [1] * leaves
    for first, second in children.tolist():
        same = cluster[first] == cluster[second] is not None and fewest[first] == fewest[second] == 1
        cluster.append(cluster[first] if same else None)
        fewest.append(1 if same else fewest[first] + fewest[second])
    return fewest[-1]


@given(leaves=st.integers(1, 7), seed=st.integers(0, 10**6), penalty=st.floats(0, 5))
def test_no_cut_of_the_tree_costs_less(leaves, seed, penalty):
    rng = np.random.default_rng(seed)
    scores, children = rng.normal(size=(leaves, 3)), a_tree(leaves, rng)
    found = cheapest_regions(scores, children, penalty)
    cost = regions_of(found, children) * penalty - 2 * scores[np.arange(leaves), found].sum()
    assert cost == pytest.approx(naive_regions(scores, children, penalty))


def test_without_a_penalty_every_leaf_has_its_own_best_and_with_a_large_one_all_have_one(rng):
    scores, children = rng.normal(size=(40, 5)), a_tree(40, rng)
    np.testing.assert_array_equal(cheapest_regions(scores, children, 0.0), scores.argmax(axis=1))
    assert np.unique(cheapest_regions(scores, children, 1e6)).tolist() == [scores.sum(axis=0).argmax()]


def an_embedding(kinds: np.ndarray, rng: np.random.Generator, noise: float = 0.05) -> Embedding:
    """Vectors that tell planted kinds apart; a positive first one."""
    tokens = kinds.size
    planes = [np.ones(tokens), *(np.where(kinds.ravel() == each, 2.0, -0.5) for each in range(3))]
    vectors = (np.stack(planes) + rng.normal(0, noise, (4, tokens))).reshape(4, *kinds.shape) / tokens**0.5
    values = np.array([1.0, 0.8, 0.7, 0.6])
    return Embedding(values, vectors.astype(np.float32), values, 0, True, values, vectors.astype(np.float32))


def test_planted_kinds_are_told_apart_across_images_of_any_grid(rng):
    kinds = [rng.integers(0, 3, shape) for shape in ((6, 7), (9, 5), (12, 12))]
    embeddings = [an_embedding(each, rng) for each in kinds]
    clusters = fit_clusters(embeddings, 3, embeddings[0].values)
    found = [clusters.scores(embedding).argmax(axis=2) for embedding in embeddings]
    everything, truth = np.concatenate([each.ravel() for each in found]), np.concatenate([k.ravel() for k in kinds])
    assert len({(a, b) for a, b in zip(everything, truth, strict=True)}) == 3
    sizes = np.bincount(everything)
    assert list(sizes) == sorted(sizes, reverse=True)
    assert clusters.spread < 0.2


def test_the_nearest_centre_scores_most_whatever_the_region(rng):
    embedding = an_embedding(rng.integers(0, 3, (8, 8)), rng, 0.5)
    clusters = fit_clusters([embedding], 4, embedding.values)
    points = shared_coordinates(embedding)
    distances = ((points[:, None] - clusters.centres) ** 2).sum(axis=2)
    scores = clusters.scores(embedding).reshape(64, -1)
    np.testing.assert_allclose((points**2).sum(axis=1)[:, None] - 2 * scores, distances, atol=1e-4)


def test_a_single_eigenvector_and_alike_tokens_make_one_cluster(rng):
    embedding = an_embedding(np.zeros((4, 4), int), rng, 0.0)
    alone = Embedding(*(getattr(embedding, name)[:1] for name in ("values", "vectors", "residuals")), 0, True,
                      embedding.sharp_values[:1], embedding.sharp_vectors[:1])  # fmt: skip
    for each in (embedding, alone):
        assert fit_clusters([each, each], 5, each.values).count == 1


def test_auto_takes_the_gap_that_stands_out(rng):
    kinds = rng.integers(0, 3, (10, 10))
    embedding = an_embedding(kinds, rng)
    values = np.array([1, 0.8, 0.7, 0.01, 0.009, 0.008, 0.007, 0.006, 0.005])
    assert fit_clusters([embedding], "auto", values).count == 3


def in_the_middle(images: int, rng: np.random.Generator) -> list[Embedding]:
    """Of kind 0 all around, with kinds 1 and 2 only in the middle of each image."""
    kinds = np.zeros((8, 8), int)
    kinds[3:5, 3], kinds[3:5, 4] = 1, 2
    return [an_embedding(kinds, rng)] * images


@pytest.mark.parametrize("images", [10_001, 20_001])
def test_what_is_only_in_the_middle_of_very_many_images_is_found(rng, images, monkeypatch):
    monkeypatch.setattr(shared, "STARTS", 1)
    embeddings = in_the_middle(images, rng)
    clusters = fit_clusters(embeddings, 3, embeddings[0].values)
    found = clusters.scores(embeddings[0]).argmax(axis=2)
    assert clusters.count == 3
    assert len({found[0, 0], found[3, 3], found[3, 4]}) == 3


@given(st.integers(1, 50_000))
def test_images_that_give_tokens_are_spread_and_memory_is_bounded(images):
    plan = list(shared._plan(images))
    chosen = [image for image, _ in plan]
    assert sum(len(places) for _, places in plan) <= shared.SAMPLE
    assert len(set(chosen)) == len(plan) == min(images, shared.SAMPLE)
    assert max(np.diff([-1, *chosen, images])) <= 2 * -(-images // shared.SAMPLE)
    assert all(before.stop == after.start for (_, before), (_, after) in pairwise(plan))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 300), st.integers(0, 19_000))
def test_sampled_tokens_cover_the_grid_over_the_images(rows, columns, each, first):
    """All tokens where there are no more, else as many as were asked for or fewer, everywhere in the grid."""
    tokens = rows * columns
    own = sampled_tokens((rows, columns), range(first, first + each))
    assert len(own) <= each
    assert own.min() >= 0
    assert own.max() < tokens
    assert len(own) == tokens or each < tokens
    images = range(first, first + 6 * tokens + each, each)
    together = np.concatenate([sampled_tokens((rows, columns), range(at, at + each)) for at in images])
    seen = np.zeros((rows, columns), bool)
    seen.ravel()[together] = True
    # No part of the grid, a tenth of it a side (a quarter, by rows) or two tokens, is without any.
    parts = 4 if each >= shared.A_ROW * max(rows, columns) else 10
    height, width = (min(side, max(2, -(-side // parts))) for side in (rows, columns))
    windows = np.lib.stride_tricks.sliding_window_view(seen, (height, width))
    assert windows.any(axis=(2, 3)).all()
