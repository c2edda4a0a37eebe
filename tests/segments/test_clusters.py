"""Clusters of tokens, and their number, on planted operators."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.grids import area_mean
from napari_what_where.segments.clusters import (
    cluster_qr,
    clusters,
    count_by_eigengap,
    count_by_silhouette,
    indicators,
    kmeans,
)
from napari_what_where.segments.tree import region_tree

from .helpers import as_embedding, planted_embedding

GRIDS = {
    "one": ((40, 40),),
    "nested": ((40, 40), (20, 20), (10, 10)),
    "not nested": ((36, 45), (17, 22), (8, 9)),
}


def planted(count, grids, noise=0.5, seed=0):
    """Voronoi regions and their queries, keys and values on every grid."""
    rng = np.random.default_rng(seed)
    shape = max(grids)
    centres = (rng.permutation(36)[:count][:, None] // [6, 1] % 6 + 0.2 + 0.6 * rng.random((count, 2))) / 6 * shape
    rows, columns = np.indices(shape) + 0.5
    plan = np.argmin((rows[..., None] - centres[:, 0]) ** 2 + (columns[..., None] - centres[:, 1]) ** 2, axis=2)
    layers = []
    for number, grid in enumerate(grids):
        share = area_mean(np.eye(count, dtype=np.float32)[plan], grid).reshape(-1, count)
        clean = share @ rng.normal(size=(count, 64))
        value = (clean + noise * rng.normal(size=clean.shape)).reshape(-1, 4, 16).transpose(1, 0, 2).astype(np.float32)
        layers.append(TokenActivations(f"layer {number}", grid, value, value, value))
    return plan, layers


@pytest.mark.parametrize("pathway", ["where", "what"])
@pytest.mark.parametrize("grids", list(GRIDS))
@pytest.mark.parametrize("count", [4, 8, 12])
class TestPlanted:
    def embedding(self, pathway, grids, count):
        plan, layers = planted(count, GRIDS[grids])
        return plan, spectral_embedding(joint_affinity(layers, pathway), count + 6)

    def test_the_exact_route_finds_the_regions(self, pathway, grids, count):
        plan, embedding = self.embedding(pathway, grids, count)
        assert adjusted_rand_score(plan.ravel(), clusters(embedding, count).ravel()) >= 0.99

    def test_the_number_is_found(self, pathway, grids, count):
        _, embedding = self.embedding(pathway, grids, count)
        # Mixtures along borders of coarse cells can count as one more kind of values.
        assert count_by_eigengap(embedding.sharp_values) - count in ((0, 1) if pathway == "what" else (0,))


@pytest.mark.parametrize("pathway", ["where", "what"])
def test_where_the_softmax_net_finds_the_regions_so_does_the_exact_route(pathway):
    from napari_what_where.embedding.gradient.optimisation import GradientOptions, optimise

    plan, layers = planted(4, ((16, 16), (8, 8), (4, 4)), noise=0.3)
    affinity = joint_affinity(layers, pathway, device="cpu")
    net = optimise(affinity, 4, GradientOptions(steps=400, accumulate=1, width=32, orthogonality_weight=8.0))
    exact = clusters(spectral_embedding(affinity, 8), 4)
    assert adjusted_rand_score(plan.ravel(), net.assignment.argmax(dim=1)) >= 0.99
    assert adjusted_rand_score(plan.ravel(), exact.ravel()) >= 0.99


@pytest.mark.parametrize("count", [4, 8, 12])
def test_a_tree_of_the_embedding_alone_ignores_vectors_beyond_the_gap(count):
    plan, layers = planted(count, GRIDS["nested"], noise=1.0, seed=2)
    embedding = spectral_embedding(joint_affinity(layers, "where", device="cpu"), count + 8)
    tree = region_tree(embedding, np.zeros(plan.shape, np.uint8), follow_edges=False)
    assert adjusted_rand_score(plan.ravel(), tree.labels(count).ravel()) >= 0.97


def test_sharp_vectors_and_only_those_before_the_gap_are_best():
    plan, layers = planted(12, GRIDS["not nested"])
    embedding = spectral_embedding(joint_affinity(layers, "where"), 18)

    def score(vectors):
        return adjusted_rand_score(plan.ravel(), cluster_qr(vectors.reshape(len(vectors), -1).T.astype(float)))

    assert score(embedding.sharp_vectors[:12]) >= 0.99
    assert score(embedding.sharp_vectors[:12]) > score(embedding.vectors[:12])
    assert score(embedding.sharp_vectors[:12]) > score(embedding.sharp_vectors)


@pytest.mark.parametrize("count", [3, 6])
def test_the_silhouette_finds_the_number_too(count):
    _, layers = planted(count, GRIDS["nested"], 0.3)
    assert count_by_silhouette(spectral_embedding(joint_affinity(layers, "where"), count + 4)) == count


@given(st.integers(2, 6), st.integers(0, 1000))
def test_cluster_qr_reads_rotated_indicators(count, seed):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(count), rng.integers(0, count, 60)])
    parts = np.eye(count)[truth] / np.sqrt(np.bincount(truth))
    rotation = np.linalg.qr(rng.normal(size=(count, count)))[0]
    assert adjusted_rand_score(truth, cluster_qr(parts @ rotation)) == pytest.approx(1)
    np.testing.assert_allclose(np.sort(indicators(parts @ rotation)), np.sort(parts), atol=1e-9)


def test_cluster_qr_is_as_scikit_learns():
    from sklearn.cluster._spectral import cluster_qr as theirs

    vectors = np.linalg.qr(np.random.default_rng(0).normal(size=(200, 5)))[0]
    assert adjusted_rand_score(theirs(vectors), cluster_qr(vectors)) == pytest.approx(1)


def test_kmeans_is_deterministic_and_weighs():
    points = np.random.default_rng(0).normal(size=(80, 2))
    np.testing.assert_array_equal(kmeans(points, 4), kmeans(points, 4))
    line = np.array([[0.0], [1.0], [2.0]])
    assert len(set(kmeans(line, 2, weights=np.array([100.0, 1, 1e-6])))) == 2
    assert kmeans(np.zeros((5, 2)), 3).tolist() == [0] * 5


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("weighted", [False, True])
def test_kmeans_is_that_of_scikit_learn_with_a_checkpoint_for_each_start(seed, weighted):
    from sklearn.cluster import KMeans

    from napari_what_where.progress import Progress, checkpoints

    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.normal(size=(60, 3)), rng.normal(4, 1, (50, 3))])
    weights = rng.uniform(0.1, 2, len(points)) if weighted else None
    heard = []
    with checkpoints(heard.append, Progress("k-means", 0, 0)):
        found = kmeans(points, 5, weights=weights, seed=seed)
    naive = KMeans(5, n_init=4, random_state=seed).fit(points, sample_weight=weights).labels_
    np.testing.assert_array_equal(found, naive)
    assert len(heard) >= 4


@pytest.mark.parametrize("method", ["qr", "kmeans"])
@pytest.mark.parametrize("count", [4, "eigengap", "silhouette"])
def test_every_method_and_rule(method, count):
    plan = np.kron(np.arange(4).reshape(2, 2), np.ones((5, 6), int))
    embedding = planted_embedding(plan, 10)
    found = clusters(embedding, count, method=method)
    assert found.shape == plan.shape
    assert adjusted_rand_score(plan.ravel(), found.ravel()) == pytest.approx(1)


class TestEigengap:
    @pytest.mark.parametrize("factor", [1, 1e-9, 1e9])
    def test_units_do_not_matter(self, factor):
        values = np.array([1, 0.9, 0.8, 0.1, 0.095, 0.09, 0.086, 0.082, 0.08])
        assert count_by_eigengap(values * factor) == 3

    def test_exact_zeros_come_after_the_gap(self):
        assert count_by_eigengap(np.array([1, 0.5, 0.5, 0.4, 0, 0, 0, -1e-17, -1e-12])) == 4

    @pytest.mark.parametrize(
        ("values", "expected"), [([1.0], 1), ([1.0, 0.5], 2), ([0.0, 0, 0], 2), ([1.0, 1, 1], 2), ([], 1)]
    )
    def test_few_values(self, values, expected):
        assert count_by_eigengap(np.array(values)) == expected

    @given(st.lists(st.floats(-1, 1), min_size=1, max_size=30))
    def test_any_values(self, values):
        assert 1 <= count_by_eigengap(np.sort(values)[::-1]) <= max(2, len(values))


@pytest.mark.parametrize(("count", "method"), [(0, "qr"), (9, "qr"), ("gap", "qr"), (2, "spectral"), (True, "qr")])
def test_refused_in_words(count, method):
    embedding = as_embedding([1, 0.5, 0.1], np.linalg.qr(np.random.default_rng(0).normal(size=(12, 3)))[0].T)
    embedding = as_embedding(embedding.values, embedding.vectors.reshape(3, 3, 4))
    with pytest.raises(ValueError, match="expected"):
        clusters(embedding, count, method=method)
