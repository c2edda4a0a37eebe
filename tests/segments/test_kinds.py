"""Which regions are alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples

from napari_what_where.pipeline import analyze
from napari_what_where.segments.kinds import _silhouettes, kinds_of, node_kinds
from napari_what_where.segments.leaves import node_means
from napari_what_where.segments.tree import region_tree

from .helpers import planted_embedding


@given(st.integers(2, 5), st.integers(2, 6), st.integers(0, 100))
def test_planted_kinds_are_found_and_numbered_by_area(kinds, each, seed):
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(kinds), each)
    centres = np.linalg.qr(rng.normal(size=(6, 6)))[0][:kinds] * 3
    areas = rng.integers(1, 50, len(truth)).astype(float)
    found = kinds_of(centres[truth] + 0.02 * rng.normal(size=(len(truth), 6)), areas)
    assert len(np.unique(found)) == kinds
    assert all(len(set(found[truth == kind])) == 1 for kind in range(kinds))
    totals = np.bincount(found, areas)[1:]
    assert np.all(np.diff(totals) <= 0)


@given(st.integers(0, 12), st.integers(0, 100))
def test_any_regions(count, seed):
    rng = np.random.default_rng(seed)
    means, areas = rng.normal(size=(count, 3)), rng.integers(1, 9, count)
    found = kinds_of(means, areas)
    assert found.dtype == np.int64
    assert sorted(set(found)) == list(range(1, len(set(found)) + 1))
    np.testing.assert_array_equal(found, kinds_of(means, areas))
    np.testing.assert_array_equal(found, kinds_of(means, areas * 1000))


def test_few_regions():
    assert kinds_of(np.zeros((0, 2)), np.zeros(0)).tolist() == []
    assert kinds_of(np.zeros((1, 2)), np.ones(1)).tolist() == [1]
    assert kinds_of(np.array([[0.0], [1]]), np.array([1.0, 5])).tolist() == [2, 1]
    assert kinds_of(np.full((4, 2), 0.3) + 0.01 * np.arange(4)[:, None], np.ones(4)).tolist() == [1] * 4


def test_silhouettes_are_scikit_learns(rng):
    points, labels = rng.normal(size=(30, 2)), rng.integers(0, 4, 30)
    distances = np.linalg.norm(points[:, None] - points, axis=2)
    np.testing.assert_allclose(_silhouettes(distances, labels), silhouette_samples(points, labels))


def test_means_of_nodes_are_those_of_their_pixels(rng):
    leaves = rng.integers(0, 4, (8, 12))
    children = np.array([[0, 2], [1, 4], [5, 3]])
    embedding = planted_embedding(np.kron(np.arange(3), np.ones((8, 4), int)))
    means = node_means(leaves, children, embedding)
    from napari_what_where.segments.coordinates import embedding_coordinates

    planes = embedding_coordinates(embedding)
    for node, held in {1: [1], 4: [0, 2], 5: [0, 1, 2], 6: [0, 1, 2, 3]}.items():
        np.testing.assert_allclose(means[node], planes[np.isin(leaves, held)].mean(axis=0), atol=1e-5)


def test_regions_far_apart_share_a_kind():
    plan = np.kron(np.array([[0, 1, 0], [2, 0, 1], [0, 2, 0]]), np.ones((6, 6), int))
    image = np.array([20, 120, 230], np.uint8)[plan]
    tree = region_tree(planted_embedding(plan), np.kron(image, np.ones((5, 5), np.uint8)))
    table, labels = tree.features(9), tree.labels(9)
    truth = np.kron(plan, np.ones((5, 5), int))
    kinds = table["kind"][labels - 1]
    assert [len(np.unique(truth[kinds == kind])) for kind in np.unique(kinds)] == [1, 1, 1]


def test_kinds_are_of_what_whatever_the_pathway():
    from tests.activations.test_backbones import AttentionBackbone
    from tests.images import scene

    what, where, both = (
        analyze(scene(), backbone=AttentionBackbone(), pathway=pathway, count=5)
        for pathway in ("what", "where", "both")
    )
    assert what.provenance["kinds"] == {"pathway": "what"}
    for analysis in (where, both):
        np.testing.assert_allclose(analysis.provenance["kinds"]["eigenvalues"], what.embedding.values, rtol=1e-4)
        assert len(analysis.tree.features(4)["kind"]) == 4


@pytest.mark.parametrize("n", [1, 2, "auto"])
def test_they_are_a_column_of_the_features(n):
    from tests.images import scene

    table = analyze(scene((40, 50), channels=3), count=6).tree.features(n)
    assert table["kind"].shape == table["label"].shape
    assert table["kind"].min() >= 1


def test_a_region_keeps_its_kind_whatever_else_is_split():
    from tests.images import scene

    tree = analyze(scene((40, 50), channels=3), count=6).tree
    before, after = tree.features(6), tree.features(7)
    same = before["area"] == after["area"][:6]
    assert same.sum() == 5
    np.testing.assert_array_equal(before["kind"][same], after["kind"][:6][same])


def test_nodes_are_of_the_nearest_kind_of_the_sample(rng):
    means = rng.normal(size=(20, 3)) + np.repeat([[0, 0, 9], [9, 0, 0]], 10, axis=0)
    sample = np.arange(0, 20, 2)
    found = node_kinds(means, np.ones(20), sample)
    np.testing.assert_array_equal(found[sample], kinds_of(means[sample], np.ones(10)))
    np.testing.assert_array_equal(found, np.repeat(found[[0, 10]], 10))
