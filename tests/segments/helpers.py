"""Hand-made embeddings and the checks that several tests share."""

from __future__ import annotations

import numpy as np
from skimage.measure import label

from napari_what_where.embedding.types import Embedding
from napari_what_where.segments.graph import RegionGraph


def as_embedding(values, vectors) -> Embedding:
    values, vectors = np.asarray(values, np.float64), np.asarray(vectors, np.float32)
    return Embedding(values, vectors, np.zeros(len(values)), 0, True, values, vectors)


def planted_embedding(plan: np.ndarray, count: int | None = None) -> Embedding:
    """Eigenvectors of the affinity that is 1 within and 0.05 between the regions of a (rows, columns) plan."""
    flat = plan.ravel()
    affinity = 0.05 + 0.95 * (flat[:, None] == flat[None])
    degree = affinity.sum(axis=1)
    values, vectors = np.linalg.eigh(affinity / np.sqrt(np.outer(degree, degree)))
    order = np.argsort(-values)[: count or len(np.unique(flat))]
    return as_embedding(values[order], vectors[:, order].T.reshape(-1, *plan.shape))


def constant_embedding(grid: tuple[int, int], count: int = 4) -> Embedding:
    """An affinity of ones: one constant eigenvector, and a null space of arbitrary ones."""
    tokens = grid[0] * grid[1]
    count = min(count, tokens)
    basis = np.random.default_rng(0).normal(size=(tokens, count))
    basis[:, 0] = 1
    vectors = np.linalg.qr(basis)[0].T
    vectors[0] = np.abs(vectors[0])
    return as_embedding([1.0] + [1e-9] * (count - 1), vectors.reshape(count, *grid))


def random_embedding(grid: tuple[int, int], seed: int = 0, count: int = 5) -> Embedding:
    """Eigenvectors of the cosine affinity of random token features."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(grid[0] * grid[1], 6))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    affinity = (1 + features @ features.T) / 2
    degree = affinity.sum(axis=1)
    values, vectors = np.linalg.eigh(affinity / np.sqrt(np.outer(degree, degree)))
    order = np.argsort(-values)[:count]
    return as_embedding(values[order], vectors[:, order].T.reshape(-1, *grid))


def all_connected(labels: np.ndarray) -> bool:
    """Whether every label is one 4-connected region."""
    return int(label(labels + 1, connectivity=1, background=0).max()) == len(np.unique(labels))


def agreement(truth: np.ndarray, labels: np.ndarray) -> float:
    """Covering of the truth by the labels: area-weighted best intersection over union."""
    total = 0.0
    for region in np.unique(truth):
        inside = truth == region
        overlaps = [
            np.sum(inside & (labels == other)) / np.sum(inside | (labels == other))
            for other in np.unique(labels[inside])
        ]
        total += inside.sum() * max(overlaps)
    return total / truth.size


def grid_graph(shape: tuple[int, int], seed: int) -> RegionGraph:
    """Leaves on a (rows, columns) lattice, with random areas, features, boundary lengths and edges."""
    rng, count = np.random.default_rng(seed), shape[0] * shape[1]
    index = np.arange(count).reshape(shape)
    low = np.concatenate([index[:-1].ravel(), index[:, :-1].ravel()])
    high = np.concatenate([index[1:].ravel(), index[:, 1:].ravel()])
    areas = rng.uniform(0.5, 1.5, count)
    lengths = rng.integers(5, 15, len(low)).astype(np.float64)
    return RegionGraph(
        areas / areas.sum(), rng.random((count, 3)), np.stack([low, high], axis=1), lengths, rng.random(len(low))
    )
