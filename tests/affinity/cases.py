"""One small example of every operator, beside the dense matrix that it stands for.

A new operator joins every test of operators and of solvers by one more entry in ``CASES``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.attention import AttentionAffinity
from napari_what_where.affinity.cosine import CosineAffinity, ExpKernelAffinity
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.affinity.landmarks import LandmarkAffinity
from napari_what_where.affinity.neighbours import NeighbourAffinity
from napari_what_where.affinity.operator import DenseAffinity, Normalized, SymmetricOperator, WeightedSum
from napari_what_where.affinity.pooling import Pooled

from . import twins

CPU = torch.device("cpu")


class Case(NamedTuple):
    operator: SymmetricOperator
    twin: np.ndarray
    """The same matrix, dense, float64, made naively."""


def activations(grid, *, heads=2, width=4, seed=0, zeros=0, name="layer", offset=0.5) -> TokenActivations:
    """Random queries, keys and values; the last ``zeros`` values equal the mean, so they are zero when centred."""
    rng = np.random.default_rng(seed)
    tokens = grid[0] * grid[1]
    query, key, value = rng.normal(size=(3, heads, tokens, width)).astype(np.float32)
    if zeros:
        value[:, tokens - zeros :] = 0
        value[:, : tokens - zeros] -= value[:, : tokens - zeros].mean(axis=1, keepdims=True)
    return TokenActivations(name, grid, query, key, value + np.float32(offset))


def layers_of(*grids) -> list[TokenActivations]:
    return [activations(grid, seed=seed, name=f"layer {seed}") for seed, grid in enumerate(grids)]


def symmetric(tokens: int, seed: int = 0) -> np.ndarray:
    matrix = np.random.default_rng(seed).normal(size=(tokens, tokens))
    return (matrix + matrix.T) / 2


def attention() -> Case:
    layer = activations((5, 7), heads=3)
    return Case(AttentionAffinity.of(layer, CPU), twins.attention(layer.query, layer.key))


def hubs(strength: float) -> Case:
    """A few keys that draw all queries: column sums far beyond the others', as trained models have them."""
    layer = activations((5, 7), heads=3)
    key = layer.key.clone()
    key[:, :2] *= strength
    query = layer.query + 2
    return Case(AttentionAffinity(query, key, (5, 7)), twins.attention(query, key))


def half_attention() -> Case:
    layer = activations((5, 7), heads=3)
    query, key = layer.query.half(), layer.key.half()
    return Case(AttentionAffinity(query, key, (5, 7)), twins.attention(query, key))


def cosine(zeros: int = 0, *, grid=(5, 7), centred: bool = True) -> Case:
    layer = activations(grid, zeros=zeros)
    return Case(CosineAffinity.of(layer, CPU, centred=centred), twins.what(layer.value, centred=centred))


def all_zero() -> Case:
    value = np.full((2, 12, 3), 0.1, np.float32)
    return Case(CosineAffinity.of(TokenActivations("flat", (3, 4), value=value), CPU), twins.what(value))


def exponential(zeros: int = 0) -> Case:
    layer = activations((5, 7), zeros=zeros)
    operator = ExpKernelAffinity.of(layer, CPU, temperature=0.3)
    return Case(operator, twins.exponential(layer.value, temperature=0.3))


def neighbours(count: int, zeros: int = 0) -> Case:
    layer = activations((5, 7), zeros=zeros)
    operator = NeighbourAffinity.of(layer, CPU, neighbours=count)
    return Case(operator, twins.neighbours(layer.value, count))


def landmarks(zeros: int = 0) -> Case:
    layer = activations((5, 7), zeros=zeros)
    kernel = ExpKernelAffinity.of(layer, CPU, temperature=0.3)
    return Case(LandmarkAffinity(kernel, 35), twins.exponential(layer.value, temperature=0.3))


def indefinite() -> Case:
    matrix = symmetric(20)
    matrix -= 5 * np.outer(np.ones(20), np.ones(20)) / 4
    return Case(DenseAffinity(torch.tensor(matrix, dtype=torch.float32), (4, 5)), matrix)


def normalized(make: Callable[[], Case]) -> Case:
    case = make()
    return Case(Normalized(case.operator), twins.normalized(case.twin))


def weighted(*makes: Callable[[], Case]) -> Case:
    cases = [make() for make in makes]
    weights = [0.3 + i for i in range(len(cases))]
    twin = sum(weight * case.twin for weight, case in zip(weights, cases, strict=True))
    return Case(WeightedSum([case.operator for case in cases], weights), twin)


def pooled(make: Callable[[], Case], fine: tuple[int, int]) -> Case:
    case = make()
    matrix = twins.pooling(case.operator.grid, fine)
    return Case(Pooled(case.operator, fine), matrix.T @ case.twin @ matrix)


def joint(*grids, **options) -> Case:
    layers = layers_of(*grids)
    return Case(joint_affinity(layers, device="cpu", **options), twins.joint(layers, **options))


GRIDS = ((3, 4), (6, 7), (4, 5), (6, 7))
CASES: dict[str, Callable[[], Case]] = {
    "attention": attention,
    "attention, hub tokens": lambda: hubs(5),
    "attention, hub tokens beyond float32": lambda: hubs(100),
    "attention, half precision": half_attention,
    "cosine": cosine,
    "cosine, uncentred": lambda: cosine(centred=False),
    "cosine, a few zero values": lambda: cosine(zeros=4),
    "cosine, many zero values": lambda: cosine(zeros=70, grid=(9, 10)),
    "cosine, nothing but zero values": all_zero,
    "exponential": exponential,
    "exponential, a few zero values": lambda: exponential(zeros=4),
    "neighbours": lambda: neighbours(6),
    "neighbours, a few zero values": lambda: neighbours(6, zeros=4),
    "neighbours, all of them": lambda: neighbours(50),
    "neighbours, only itself": lambda: neighbours(1),
    "landmarks, as many as tokens": landmarks,
    "landmarks, a few zero values": lambda: landmarks(zeros=4),
    "dense, indefinite": indefinite,
    "normalized attention": lambda: normalized(attention),
    "normalized cosine": lambda: normalized(cosine),
    "normalized cosine, many zero values": lambda: normalized(lambda: cosine(zeros=70, grid=(9, 10))),
    "sum of low ranks": lambda: weighted(cosine, lambda: normalized(cosine)),
    "sum of both kinds": lambda: weighted(cosine, attention),
    "pooled attention, nested": lambda: pooled(attention, (10, 7)),
    "pooled cosine, not nested": lambda: pooled(cosine, (8, 9)),
    "pooled cosine, coarser on one axis": lambda: pooled(cosine, (4, 12)),
    "joint what": lambda: joint(*GRIDS),
    "joint where": lambda: joint(*GRIDS, pathway="where"),
    "joint both": lambda: joint(*GRIDS, pathway="both"),
    "joint both, not normalized": lambda: joint(*GRIDS, pathway="both", normalization="none"),
    "joint what, exponential": lambda: joint(*GRIDS, kernel="exp", temperature=0.2),
    "joint, no grid finest on both axes": lambda: joint((4, 16), (12, 5), (2, 3), pathway="both"),
    "joint of one layer": lambda: joint((5, 6), normalization="none"),
    "joint of single tokens": lambda: joint((1, 1)),
}


@cache
def case_of(name: str) -> Case:
    """A case of ``CASES``, made once: operators are never changed, and their twins are slow."""
    return CASES[name]()
