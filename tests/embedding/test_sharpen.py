"""Sharpening puts boundaries where the finest layers see them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.affinity.operator import DenseAffinity
from napari_what_where.embedding.exact import solve_exact
from napari_what_where.embedding.sharpen import sharpen
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.grids import area_mean

from ..affinity.cases import symmetric
from .conformance import Factor

REGIONS = 6


def planted(side: int = 30) -> np.ndarray:
    """Six regions whose borders run across the coarse cells: bands in sine waves, cut in two."""
    rows, columns = np.indices((side, side))
    band = np.clip((columns + 3 * np.sin(rows / 4)) * 3 // side, 0, 2).astype(int)
    return band * 2 + (rows + columns // 3 > 0.6 * side)


def layers(plan: np.ndarray, *, fine_noise: float = 0.5) -> list[TokenActivations]:
    """One fine layer of noisy values of each region, and many clean coarse ones, which blur the borders."""
    rng = np.random.default_rng(0)
    side = len(plan)
    means = rng.normal(size=(REGIONS, 16)).astype(np.float32)
    planes = means[plan]
    noisy = planes + fine_noise * rng.normal(size=planes.shape).astype(np.float32)
    made = [TokenActivations("fine", (side, side), value=noisy.reshape(1, side * side, 16))]
    for coarse in (6, 7, 8, 6, 7, 8):
        value = area_mean(planes, (coarse, coarse)).reshape(1, coarse * coarse, 16)
        made.append(TokenActivations(f"coarse {coarse}", (coarse, coarse), value=value))
    return made


def cluster_qr(vectors: np.ndarray) -> np.ndarray:
    """Labels of (tokens, count) vectors by a pivoted QR (Damle, Minden & Ying 2019)."""
    pivots = scipy.linalg.qr(vectors.T, pivoting=True)[2][: vectors.shape[1]]
    left, _, right = np.linalg.svd(vectors[pivots].T)
    return np.abs(vectors @ (left @ right)).argmax(axis=1)


def agreement(vectors: np.ndarray, plan: np.ndarray, how: str) -> float:
    flat = vectors.reshape(len(vectors), -1).T.astype(np.float64)
    if how == "cluster_qr":
        labels = cluster_qr(flat)
    else:
        unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        labels = KMeans(REGIONS, n_init=4, random_state=0).fit_predict(unit)
    return adjusted_rand_score(plan.ravel(), labels)


@pytest.mark.parametrize("how", ["k-means", "cluster_qr"])
def test_sharpened_vectors_find_the_borders(how):
    plan = planted()
    embedding = spectral_embedding(joint_affinity(layers(plan), device="cpu"), REGIONS)
    blocky = agreement(embedding.vectors, plan, how)
    sharp = agreement(embedding.sharp_vectors, plan, how)
    assert sharp > blocky + 0.02
    assert sharp > 0.9


def solution_of(tokens: int, count: int):
    return solve_exact(DenseAffinity(torch.tensor(symmetric(tokens), dtype=torch.float32), (1, tokens)), count)


@pytest.mark.parametrize("rank", [0, 1, 3, 5, 12])
def test_a_low_rank_finest_layer_keeps_all_vectors(rank):
    solution = solution_of(24, 8)
    finest = Factor(np.random.default_rng(rank).normal(size=(24, rank)), (1, 24))
    sharp = sharpen(finest, solution)
    assert sharp.vectors.shape == solution.vectors.shape
    torch.testing.assert_close(sharp.vectors.T @ sharp.vectors, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-10)
    assert bool((sharp.values.diff() <= 1e-12).all())
    np.testing.assert_allclose(sharp.values[rank:], 0, atol=1e-5)


def test_directions_that_the_finest_layer_ignores_are_kept():
    solution = solution_of(24, 6)
    leading = solution.vectors[:, :2]
    sharp = sharpen(Factor(leading.numpy(), (1, 24)), solution)
    overlap = torch.linalg.svdvals(sharp.vectors.T @ solution.vectors)
    torch.testing.assert_close(overlap, torch.ones(6, dtype=torch.float64), rtol=0, atol=1e-5)


def test_the_solution_itself_is_left_alone():
    solution = solution_of(24, 6)
    before = solution.vectors.clone()
    sharpen(DenseAffinity(torch.eye(24), (1, 24)), solution)
    assert torch.equal(solution.vectors, before)


def test_without_coarser_layers_nothing_changes():
    fine = layers(planted())[:1]
    embedding = spectral_embedding(joint_affinity(fine, device="cpu"), REGIONS)
    np.testing.assert_allclose(embedding.sharp_values, embedding.values, atol=1e-5)
    np.testing.assert_allclose(embedding.sharp_vectors, embedding.vectors, atol=1e-4)
