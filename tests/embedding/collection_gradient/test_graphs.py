"""Neighbour graphs over several images: as the formulas say, whatever the grids, and robust to what has none."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.activations.types import TokenActivations
from napari_what_where.embedding.collection_gradient import graphs as module
from napari_what_where.embedding.collection_gradient.graphs import GraphOptions, SparseOperator, batch_graphs
from napari_what_where.progress import Progress, checkpoints

from . import twins

CPU = torch.device("cpu")
UNEVEN = [[(3, 4), (2, 2)], [(4, 2), (2, 1)], [(3, 3), (1, 2)]]


def made(images, pathway="what", **options):
    return batch_graphs(images, pathway, GraphOptions(**options), CPU)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 99),
    within=st.integers(0, 9),
    between=st.integers(0, 30),
    least=st.sampled_from([0.0, 0.1, 0.6]),
    itself=st.booleans(),
    centred=st.booleans(),
    pathway=st.sampled_from(["what", "where"]),
)
def test_a_graph_is_that_of_the_formulas(seed, within, between, least, itself, centred, pathway):
    options = {"within": within, "between": between, "least": least, "itself": itself, "centred": centred}
    images = twins.collection(UNEVEN, seed=seed)
    found = made(images, pathway, **options)
    role = {"what": "value", "where": "query"}[pathway]
    for graph, layer in zip(found, zip(*images, strict=True), strict=True):
        expected = twins.graph(layer, role, **options)
        np.testing.assert_allclose(graph.similarity.to_dense(), expected, atol=1e-5)
        assert graph.grids == tuple(each.grid for each in layer)


@pytest.mark.parametrize("normalization", ["rows", "symmetric"])
def test_normalisations_are_those_of_the_formulas(normalization):
    images = twins.collection(UNEVEN)
    options = {"within": 2, "between": 3, "least": 0.7}
    for graph, layer in zip(made(images, **options), zip(*images, strict=True), strict=True):
        expected = twins.normalized(twins.graph(layer, "value", **options), normalization)
        np.testing.assert_allclose(graph.normalized(normalization).to_dense(), expected, atol=1e-5)


def test_symmetric_normalisation_has_the_eigenvalues_of_the_row_normalised_graph():
    (graph, _) = made(twins.collection(UNEVEN), within=4, between=4)
    similarity = graph.similarity.to_dense().double().numpy()
    walk = np.diag(1 / similarity.sum(axis=1)) @ similarity
    ours = np.linalg.eigvalsh(graph.normalized("symmetric").to_dense().double().numpy())
    np.testing.assert_allclose(ours, np.sort(np.linalg.eigvals(walk).real), atol=1e-5)
    assert ours.max() == pytest.approx(1, abs=1e-5)
    rows = graph.normalized("rows").to_dense().double().numpy()
    z = np.random.default_rng(0).normal(size=len(rows))
    assert z @ rows @ z == pytest.approx(z @ walk @ z, rel=1e-5)


def test_rows_made_in_tiles_are_the_same(monkeypatch):
    images = twins.collection(UNEVEN)
    whole = [graph.similarity.to_dense() for graph in made(images, within=3, between=5)]
    monkeypatch.setattr(module, "CPU_ROWS", 2)
    tiled = [graph.similarity.to_dense() for graph in made(images, within=3, between=5)]
    for first, second in zip(whole, tiled, strict=True):
        torch.testing.assert_close(first, second)


def test_it_can_be_stopped_between_tiles():
    class Stop(Exception):
        pass

    def report(progress):
        raise Stop

    with pytest.raises(Stop), checkpoints(report, Progress("eigenvectors", 0, 1)):
        made(twins.collection(UNEVEN))


def test_both_has_a_graph_of_values_and_one_of_queries_and_stand_ins_count_for_both():
    images = twins.collection([[(2, 3)], [(3, 2)]])
    for layers in images:
        layers.append(TokenActivations("filters", (2, 2), value=torch.randn(1, 4, 3), weight=0.5, stands_in=True))
    found = made(images, "both", within=3, between=3)
    assert [(graph.name, graph.weight) for graph in found] == [("layer 0", 1.0), ("layer 0", 1.0), ("filters", 1.0)]
    layer = [layers[0] for layers in images]
    for graph, role in zip(found, ("value", "query"), strict=False):
        np.testing.assert_allclose(
            graph.similarity.to_dense(), twins.graph(layer, role, within=3, between=3), atol=1e-5
        )
    assert [graph.weight for graph in made(images, "where")] == [1.0, 0.5]


def test_one_image_has_neighbours_within_alone():
    images = twins.collection(UNEVEN)[:1]
    (graph, _) = made(images, within=3, between=3)
    expected = twins.graph(images[0][:1], "value", within=3, between=0)
    np.testing.assert_allclose(graph.similarity.to_dense(), expected, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, 3.0])
@pytest.mark.parametrize("normalization", ["rows", "symmetric"])
def test_tokens_that_are_like_none_have_rows_of_zeros(value, normalization):
    # Values that are all alike are zero once centred.
    images = [[TokenActivations("flat", (2, 3), value=torch.full((1, 6, 4), value))] for _ in range(2)]
    (graph,) = made(images)
    assert not graph.normalized(normalization).to_dense().any()


def test_huge_values_do_not_overflow():
    images = twins.collection(UNEVEN)
    large = [
        [TokenActivations(each.name, each.grid, value=each.value.double() * 1e200) for each in layers]
        for layers in images
    ]
    for first, second in zip(made(images), made(large), strict=True):
        torch.testing.assert_close(first.similarity.to_dense(), second.similarity.to_dense(), rtol=1e-4, atol=1e-5)


def test_a_sparse_operator_multiplies_as_its_matrix():
    (graph, _) = made(twins.collection(UNEVEN))
    operator = SparseOperator(graph.normalized("rows"), CPU)
    x = torch.randn(operator.tokens, 3)
    torch.testing.assert_close(operator.product(x), operator.matrix.to_dense() @ x)
    assert operator.cost == int((operator.matrix.to_dense() != 0).sum())


@pytest.mark.parametrize(
    ("images", "pathway", "words"),
    [
        ([], "what", "no network layers"),
        (
            twins.collection([[(2, 2)], [(2, 2)]]) + twins.collection([[(2, 2), (1, 1)]]),
            "what",
            "1 or 2 network layers",
        ),
        ([[TokenActivations("a", (1, 2), value=torch.ones(1, 2, 3))]], "where", "a has no queries and keys"),
        ([[TokenActivations("a", (1, 2), value=torch.ones(1, 2, 3))]], "both", "a has no queries and keys"),
        ([[TokenActivations("a", (1, 2), torch.ones(1, 2, 3), torch.ones(1, 2, 3))]], "what", "a has no values"),
        ([[TokenActivations("a", (1, 2), value=torch.ones(1, 2, 3))]], "which", "pathway is 'which'"),
    ],
)
def test_what_cannot_be_is_said(images, pathway, words):
    with pytest.raises(ValueError, match=words):
        made(images, pathway)
