"""Naive twins, from the formulas of the paper, in float64 and with loops: slow, and plainly right."""

from __future__ import annotations

import numpy as np

from napari_what_where.activations.types import TokenActivations

from ...affinity import twins


def collection(grids_of_images, *, seed: int = 0, width: int = 6, shared: float = 2.0) -> list[list[TokenActivations]]:
    """Images with network layers on these grids, (images, layers, 2); tokens' rows share their mean between images."""
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(len(grids_of_images[0]), 3, 2, 3, width))
    images = []
    for grids in grids_of_images:
        layers = []
        for number, grid in enumerate(grids):
            tokens = grid[0] * grid[1]
            kind = np.arange(tokens) * 3 // tokens
            query, key, value = (
                (shared * part[:, kind] + rng.normal(size=(2, tokens, width))).astype(np.float32)
                for part in kinds[number]
            )
            layers.append(TokenActivations(f"layer {number}", grid, query, key + 0.5 * query, value))
        images.append(layers)
    return images


def merged(tensors) -> tuple[np.ndarray, np.ndarray]:
    """Rows of all tokens, heads merged, and the number of the image of each."""
    rows = [
        np.concatenate([head[i] for head in part.double().numpy()]) for part in tensors for i in range(part.shape[1])
    ]
    owner = [number for number, part in enumerate(tensors) for _ in range(part.shape[1])]
    return np.array(rows), np.array(owner)


def graph(layer, role: str, *, within: int, between: int, least: float = 0.1, itself=False, centred=True) -> np.ndarray:
    """S = ½(K + Kᵀ) of one network layer, given for each image."""
    names = ("value", "value") if role == "value" else ("query", "key")
    (left, owner), (right, _) = (merged([getattr(each, name) for each in layer]) for name in names)
    if role == "value" and centred:
        left = right = left - left.mean(axis=0)
    tokens = len(owner)
    kept = np.zeros((tokens, tokens))
    for i in range(tokens):
        cosine = np.array(
            [left[i] @ right[j] / (np.linalg.norm(left[i]) * np.linalg.norm(right[j])) for j in range(tokens)]
        )
        near = [j for j in range(tokens) if owner[j] == owner[i] and (itself or j != i)]
        far = [j for j in range(tokens) if owner[j] != owner[i]]
        for others, count in ((near, within), (far, between)):
            for j in sorted(others, key=lambda j: -cosine[j])[:count]:
                kept[i, j] = cosine[j] if cosine[j] > least else 0
    return (kept + kept.T) / 2


def normalized(similarity: np.ndarray, normalization: str) -> np.ndarray:
    """The symmetric part of D⁻¹S, or D^-½SD^-½; zeros for tokens that are related to none."""
    degree = similarity.sum(axis=1)
    inverse = np.array([1 / each if each > 0 else 0.0 for each in degree])
    if normalization == "rows":
        walk = np.diag(inverse) @ similarity
        return (walk + walk.T) / 2
    return np.diag(np.sqrt(inverse)) @ similarity @ np.diag(np.sqrt(inverse))


def block_diagonal(blocks) -> np.ndarray:
    answer = np.zeros((sum(len(block) for block in blocks), sum(block.shape[1] for block in blocks)))
    row = column = 0
    for block in blocks:
        answer[row : row + len(block), column : column + block.shape[1]] = block
        row, column = row + len(block), column + block.shape[1]
    return answer


def pooling(grids, side: int) -> np.ndarray:
    """P, orthonormal, from the cells of all images' tables to the tokens of a layer."""
    return block_diagonal([twins.pooling(grid, (side, side)) for grid in grids])


def joint(layers, roles, weights, *, side: int, normalization: str, **options) -> np.ndarray:
    """J = Σ w Pᵀ N P over the table's cells of all images."""
    total = 0
    for layer, role, weight in zip(layers, roles, weights, strict=True):
        matrix = normalized(graph(layer, role, **options), normalization)
        pool = pooling([each.grid for each in layer], side)
        total = total + weight * pool.T @ matrix @ pool
    return total
