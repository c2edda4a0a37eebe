"""Landmarks: how good, and how honest about it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity import collapse
from napari_what_where.affinity.cosine import ExpKernelAffinity
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.affinity.landmarks import LandmarkAffinity
from napari_what_where.embedding.spectral import spectral_embedding

from .cases import CPU, activations, layers_of


def clustered(seed: int = 0) -> TokenActivations:
    """Values around six centres: a kernel that few landmarks can tell."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(6, 12))
    value = centres[rng.integers(0, 6, 600)] + 0.15 * rng.normal(size=(600, 12))
    return TokenActivations("clustered", (20, 30), value=value[None].astype(np.float32))


def test_the_trace_error_is_the_truth_and_falls_with_more_landmarks():
    kernel = ExpKernelAffinity.of(clustered(), CPU, temperature=0.3)
    errors = []
    for count in (8, 32, 128):
        operator = LandmarkAffinity(kernel, count)
        missing = (kernel.dense() - operator.dense()).diagonal()
        assert operator.trace_error == pytest.approx(float(missing.sum()) / 600, abs=1e-3)
        assert float(missing.min()) > -1e-3
        errors.append(operator.trace_error)
    assert errors[0] > 2 * errors[1] > 4 * errors[2]


def test_leading_eigenvalues_survive():
    exact = spectral_embedding(joint_affinity([clustered()], kernel="exp", temperature=0.3, form="dense"), 6)
    close = spectral_embedding(joint_affinity([clustered()], kernel="exp", temperature=0.3, form="landmarks"), 6)
    np.testing.assert_allclose(close.values, exact.values, atol=5e-3)


def test_the_same_seed_gives_the_same_landmarks():
    kernel = ExpKernelAffinity.of(clustered(), CPU, temperature=0.3)
    first, second, other = (LandmarkAffinity(kernel, 16, seed=seed).columns for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_values_that_are_all_the_same_need_no_more_landmarks_than_there_are_differences():
    value = np.repeat(np.eye(3, dtype=np.float32), 10, axis=0)
    kernel = ExpKernelAffinity.of(TokenActivations("three", (5, 6), value=value[None]), CPU, centred=False)
    operator = LandmarkAffinity(kernel, 30)
    assert operator.trace_error < 1e-3
    torch.testing.assert_close(operator.dense(), kernel.dense(), atol=2e-3, rtol=0)


def test_joint_affinity_turns_to_landmarks_where_no_matrix_fits(monkeypatch):
    monkeypatch.setattr(collapse, "free_memory", lambda device: 0)
    (form,) = joint_affinity(layers_of((6, 7)), kernel="exp").forms
    assert form.startswith("landmarks (trace error ")
    assert joint_affinity(layers_of((6, 7)), "where").forms == ("matrix-free",)
    assert joint_affinity(layers_of((6, 7)), form="landmarks").forms == ("low rank",)


def test_a_count_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1 landmark"):
        LandmarkAffinity(ExpKernelAffinity.of(activations((3, 4)), CPU), 0)
