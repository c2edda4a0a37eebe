"""Naive twins of every affinity, from the formulas of the paper, in float64 and with loops: slow, and plainly right."""

from __future__ import annotations

import math

import numpy as np


def attention(query, key) -> np.ndarray:
    """S = ½(A + Aᵀ), A the mean over heads of softmax(q kᵀ / √d)."""
    query, key = np.asarray(query, np.float64), np.asarray(key, np.float64)
    heads, tokens, width = query.shape
    mean = np.zeros((tokens, tokens))
    for head in range(heads):
        for i in range(tokens):
            scores = np.array([query[head, i] @ key[head, j] / math.sqrt(width) for j in range(tokens)])
            weights = np.exp(scores - scores.max())
            mean[i] += weights / weights.sum() / heads
    return (mean + mean.T) / 2


def cosines(value, *, centred: bool = True) -> np.ndarray:
    """Cosines of the values merged over heads; of a zero value 0 with all others and 1 with itself."""
    value = np.asarray(value, np.float64)
    tokens = value.shape[1]
    merged = [np.concatenate([head[i] for head in value]) for i in range(tokens)]
    if centred:
        mean = sum(merged) / tokens
        merged = [vector - mean for vector in merged]
    lengths = [math.sqrt(vector @ vector) for vector in merged]
    zero = 1e-5 * max(1e-300, np.abs(value).max())
    matrix = np.eye(tokens)
    for i in range(tokens):
        for j in range(tokens):
            if i != j and min(lengths[i], lengths[j]) > zero:
                matrix[i, j] = merged[i] @ merged[j] / (lengths[i] * lengths[j])
    return matrix


def what(value, *, centred: bool = True) -> np.ndarray:
    """S = (1 + cosine) / 2."""
    return (1 + cosines(value, centred=centred)) / 2


def exponential(value, *, temperature: float, centred: bool = True) -> np.ndarray:
    """S = exp((cosine − 1) / τ)."""
    return np.exp((cosines(value, centred=centred) - 1) / temperature)


def normalized(matrix: np.ndarray) -> np.ndarray:
    """N = D^-½ S D^-½."""
    degree = matrix.sum(axis=1)
    answer = np.zeros_like(matrix)
    for i in range(len(matrix)):
        for j in range(len(matrix)):
            answer[i, j] = matrix[i, j] / math.sqrt(degree[i] * degree[j])
    return answer


def overlap(coarse: int, fine: int) -> np.ndarray:
    """Length that cell i of ``coarse`` shares with cell j of ``fine`` on one interval, in cells of ``fine``."""
    answer = np.zeros((coarse, fine))
    for i in range(coarse):
        for j in range(fine):
            start, stop = max(i * fine / coarse, j), min((i + 1) * fine / coarse, j + 1)
            answer[i, j] = max(0.0, stop - start)
    return answer


def pooling(coarse: tuple[int, int], fine: tuple[int, int]) -> np.ndarray:
    """P = (W Wᵀ)^-½ W with W the area overlap in two dimensions; a pseudo-inverse root where there is no other."""
    area = np.kron(overlap(coarse[0], fine[0]), overlap(coarse[1], fine[1]))
    left, singular, right = np.linalg.svd(area, full_matrices=False)
    kept = singular > 1e-6 * singular.max()
    return left[:, kept] @ right[kept]


def joint(layers, pathway="what", normalization="degree", *, kernel="cosine", temperature=0.1, centred=True):
    """J = mean over layers, and over both pathways, of Pᵀ N P on the grid with most tokens."""
    fine = max((layer.grid for layer in layers), key=lambda grid: (grid[0] * grid[1], grid))
    terms = []
    for layer in layers:
        matrices = []
        if pathway in ("what", "both") and kernel == "cosine":
            matrices.append(what(layer.value, centred=centred))
        if pathway in ("what", "both") and kernel == "exp":
            matrices.append(exponential(layer.value, temperature=temperature, centred=centred))
        if pathway in ("where", "both"):
            matrices.append(attention(layer.query, layer.key))
        for matrix in matrices:
            matrix = normalized(matrix) if normalization == "degree" else matrix
            pool = pooling(layer.grid, fine) if layer.grid != fine else np.eye(len(matrix))
            terms.append(pool.T @ matrix @ pool)
    return sum(terms) / len(terms)


def neighbours(value, count: int, *, centred: bool = True, least: float = 0.1) -> np.ndarray:
    """The ``count`` largest cosines of each row, itself among them, if above ``least``; the mean with its transpose."""
    matrix = cosines(value, centred=centred)
    kept = np.zeros_like(matrix)
    for i, row in enumerate(matrix):
        others = sorted((j for j in range(len(row)) if j != i), key=lambda j: -row[j])
        for j in [i, *others[: count - 1]]:
            kept[i, j] = row[j] if row[j] > least else 0
    return (kept + kept.T) / 2
