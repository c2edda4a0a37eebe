"""Eigenvectors of the leaf graph: against a dense twin, and what they are for."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import eigh

from napari_what_where.segments.globalisation import (
    EIGENVECTORS,
    REACH,
    contrast,
    dissimilarity,
    spectral_gradient,
)
from napari_what_where.segments.graph import RegionGraph

from .helpers import grid_graph


def naive_gradient(graph: RegionGraph) -> np.ndarray:
    """The same from a dense generalised eigenproblem, (D − W) v = λ D v."""
    count = len(graph.areas)
    strength = [
        np.sqrt(0.5 * np.sum((graph.features[i] - graph.features[j]) ** 2) + 0.5 * edge**2)
        for (i, j), edge in zip(graph.pairs, graph.edges, strict=True)
    ]
    reach = REACH * np.quantile(strength, 0.9)
    affinity = np.zeros((count, count))
    for (i, j), weight, length in zip(graph.pairs, strength, graph.lengths, strict=True):
        affinity[i, j] = affinity[j, i] = np.exp(-weight / reach) * length / graph.lengths.mean()
    degrees = np.diag(affinity.sum(axis=1))
    values, vectors = eigh(degrees - affinity, degrees)
    values, vectors = values[1 : EIGENVECTORS + 1], vectors[:, 1 : EIGENVECTORS + 1]
    vectors = np.clip(vectors / np.sqrt((graph.areas[:, None] * vectors**2).sum(axis=0)), -4, 4)
    shares = (1 / values) / (1 / values).sum()
    return np.array([np.sqrt((shares * (vectors[i] - vectors[j]) ** 2).sum()) for i, j in graph.pairs])


@pytest.mark.parametrize("seed", range(4))
def test_agrees_with_the_dense_twin(seed):
    graph = grid_graph((5, 6), seed)
    np.testing.assert_allclose(spectral_gradient(graph), naive_gradient(graph), rtol=2e-2, atol=1e-3)


def test_scaling_the_dissimilarities_changes_nothing():
    graph = grid_graph((6, 7), 0)
    doubled = replace(graph, features=2 * graph.features, edges=2 * graph.edges)
    assert contrast(doubled) == pytest.approx(2 * contrast(graph))
    np.testing.assert_allclose(spectral_gradient(doubled), spectral_gradient(graph), rtol=1e-3, atol=1e-6)


def test_a_contour_with_a_gap_is_closed():
    graph = grid_graph((8, 8), 0)
    rows, columns = np.indices((8, 8)).reshape(2, -1)
    across = columns[graph.pairs] // 4 @ [1, -1] != 0
    gap = across & (rows[graph.pairs[:, 0]] == 4)
    strong = np.where(across & ~gap, 1.0, 0.1)
    gradient = spectral_gradient(replace(graph, features=np.zeros((64, 1)), edges=strong))
    assert gradient[gap].min() > 1.5 * np.median(gradient[~across])


def test_nothing_is_sought_where_there_is_nothing():
    graph = grid_graph((4, 5), 0)
    flat = replace(graph, features=np.zeros((20, 1)), edges=np.full(len(graph.pairs), 1e-6))
    assert not spectral_gradient(flat).any()
    assert not spectral_gradient(grid_graph((1, 2), 0)).any()
    assert spectral_gradient(grid_graph((1, 3), 0)).shape == (2,)
    alone = grid_graph((1, 1), 0)
    assert contrast(alone) == 0
    assert spectral_gradient(alone).shape == dissimilarity(alone).shape == (0,)
