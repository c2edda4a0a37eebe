"""The embedding as the public contract has it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_what_where as ww
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.affinity.operator import DenseAffinity
from napari_what_where.embedding.spectral import check_count, check_seed, spectral_embedding
from napari_what_where.progress import Cancelled

from ..affinity import twins
from ..affinity.cases import GRIDS, activations, layers_of


def test_the_contract():
    affinity = ww.joint_affinity(layers_of(*GRIDS), pathway="what", normalization="degree", device="cpu")
    embedding = ww.spectral_embedding(affinity, count=5, method="exact")
    assert embedding.values.shape == (5,)
    assert embedding.values.dtype == np.float64
    assert embedding.vectors.shape == embedding.sharp_vectors.shape == (5, 6, 7)
    assert embedding.vectors.dtype == embedding.sharp_vectors.dtype == np.float32
    assert (embedding.count, embedding.grid) == (5, (6, 7))
    assert np.all(np.diff(embedding.values) <= 0)
    assert isinstance(embedding.products, int)
    assert embedding.converged is True
    assert all(array.flags.c_contiguous for array in (embedding.vectors, embedding.sharp_vectors))


def test_vectors_lie_on_the_grid_in_raster_order():
    layers = layers_of(*GRIDS)
    embedding = spectral_embedding(joint_affinity(layers, "both", device="cpu"), 3)
    values, vectors = np.linalg.eigh(twins.joint(layers, "both"))
    np.testing.assert_allclose(embedding.values, values[::-1][:3], atol=1e-5)
    for found, expected in zip(embedding.vectors, vectors[:, ::-1].T, strict=False):
        cosine = np.sum(found.ravel() * expected)
        assert abs(cosine) == pytest.approx(1, abs=1e-3)


@given(
    st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=4),
    st.integers(1, 8),
    st.sampled_from(["what", "where", "both"]),
    st.sampled_from(["degree", "none"]),
)
@settings(max_examples=40)
def test_orthonormal_descending_and_true_whatever_the_grids(grids, count, pathway, normalization):
    affinity = joint_affinity(layers_of(*grids), pathway, normalization, device="cpu")
    count = min(count, affinity.tokens)
    embedding = spectral_embedding(affinity, count)
    for values, vectors in (
        (embedding.values, embedding.vectors),
        (embedding.sharp_values, embedding.sharp_vectors),
    ):
        flat = vectors.reshape(count, -1)
        np.testing.assert_allclose(flat @ flat.T, np.eye(count), atol=1e-5)
        assert np.all(np.diff(values) <= 1e-9)
    flat = embedding.vectors.reshape(count, -1).T
    residuals = np.linalg.norm((affinity @ flat) - flat * embedding.values, axis=0)
    np.testing.assert_allclose(embedding.residuals, residuals, atol=1e-4)


def test_deterministic():
    affinity = joint_affinity(layers_of(*GRIDS), device="cpu")
    first, second = (spectral_embedding(affinity, 6, seed=1) for _ in range(2))
    np.testing.assert_array_equal(first.vectors, second.vectors)
    np.testing.assert_array_equal(first.sharp_vectors, second.sharp_vectors)


def test_more_vectors_than_tokens_are_clamped_with_a_warning():
    affinity = joint_affinity(layers_of((2, 3)), device="cpu")
    with pytest.warns(UserWarning, match="count is 16 but the finest grid has only 6 tokens; using 6"):
        embedding = spectral_embedding(affinity)
    assert embedding.vectors.shape == (6, 2, 3)


def test_as_many_vectors_as_tokens():
    embedding = spectral_embedding(joint_affinity(layers_of((2, 3)), device="cpu"), 6)
    flat = embedding.vectors.reshape(6, 6)
    np.testing.assert_allclose(flat @ flat.T, np.eye(6), atol=1e-5)


def test_a_flat_image_has_a_constant_first_vector():
    flat = activations((4, 5))
    flat = ww.TokenActivations("flat", flat.grid, value=torch.ones_like(flat.value))
    embedding = spectral_embedding(joint_affinity([flat], device="cpu"), 4)
    np.testing.assert_allclose(embedding.vectors[0], 20**-0.5, atol=1e-5)
    np.testing.assert_allclose(embedding.values[1:], 1 / 21, atol=1e-5)


def test_any_operator_will_do():
    embedding = spectral_embedding(DenseAffinity(torch.diag(torch.arange(6.0)), (2, 3)), 2)
    np.testing.assert_allclose(embedding.values, [5, 4], atol=1e-6)
    np.testing.assert_array_equal(embedding.sharp_vectors, embedding.vectors)


def blobs(tokens: int, drift: float = 0.0) -> DenseAffinity:
    """Affinity of a ring of tokens around a centre each, a little elsewhere with some ``drift``."""
    place = torch.arange(tokens) / tokens * 2 * torch.pi
    place = place + drift * torch.sin(3 * place)
    near = torch.exp(4 * (torch.cos(place[:, None] - place[None]) - 1))
    return DenseAffinity(near / near.sum(dim=1).mean(), (30, tokens // 30))


@pytest.mark.parametrize(
    ("count", "drift"), [(6, 0.0), (4, 0.0), (9, 0.0), (6, 0.05)], ids=["same", "fewer", "more", "next frame"]
)
def test_an_earlier_answer_saves_products_and_changes_nothing(count, drift):
    affinity, before = blobs(1200, drift), spectral_embedding(blobs(1200), 6, seed=1)
    cold = spectral_embedding(affinity, count)
    warm = spectral_embedding(affinity, count, start=before)
    assert warm.converged
    assert warm.products < cold.products
    np.testing.assert_allclose(warm.values, cold.values, atol=1e-5)


def test_a_misleading_start_hides_nothing():
    values = torch.zeros(1200)
    values[:4] = torch.tensor([4.0, 3.0, 2.0, 1.0])
    affinity = DenseAffinity(torch.diag(values), (30, 40))
    wrong = spectral_embedding(DenseAffinity(torch.diag(values.flip(0)), (30, 40)), 4)
    np.testing.assert_allclose(spectral_embedding(affinity, 4, start=wrong).values, [4, 3, 2, 1], atol=1e-5)


def test_a_start_on_another_grid_is_refused_in_words():
    start = spectral_embedding(joint_affinity(layers_of((2, 3)), device="cpu"), 2)
    with pytest.raises(ValueError, match=r"start lives on the token grid \(2, 3\); expected that of the affinity"):
        spectral_embedding(joint_affinity(layers_of((3, 2)), device="cpu"), 2, start=start)


def test_options_that_a_method_does_not_have_are_refused_in_words():
    affinity = joint_affinity(layers_of((2, 3)), device="cpu")
    with pytest.raises(TypeError, match="method 'exact' has no option 'stpes'; it has none"):
        spectral_embedding(affinity, 2, stpes=3)


@pytest.mark.parametrize(
    ("pathway", "grid", "solver"),
    [("what", (33, 33), "Gram matrix"), ("where", (5, 6), "dense"), ("where", (33, 33), "block Krylov")],
)
def test_the_record_says_which_solver_it_was(pathway, grid, solver):
    embedding = spectral_embedding(joint_affinity([activations(grid)], pathway, device="cpu"), 2)
    assert embedding.details["solver"] == solver


def test_one_grid_needs_no_sharpening():
    embedding = spectral_embedding(joint_affinity(layers_of((4, 5), (4, 5)), device="cpu"), 3)
    assert embedding.sharp_vectors is not embedding.vectors
    np.testing.assert_array_equal(embedding.sharp_vectors, embedding.vectors)


def test_cancelled_by_its_report():
    def report(progress):
        raise Cancelled

    with pytest.raises(Cancelled):
        spectral_embedding(joint_affinity(layers_of(*GRIDS), device="cpu"), 3, report=report)


@pytest.mark.parametrize("count", [4, np.int8(4), np.uint64(4), np.array(4), torch.tensor(4)])
def test_counts_are_whole_numbers_of_any_make(count):
    assert check_count(count) == 4


@pytest.mark.parametrize("count", [True, np.True_, 4.0, np.float64(4), "4", None, [4], b"4"])
def test_other_counts_are_refused_in_words(count):
    with pytest.raises(TypeError, match=r"count is .*; expected a whole number of eigenvectors, for example 16"):
        check_count(count)


@pytest.mark.parametrize("count", [0, -1, np.int64(-5)])
def test_counts_below_1_are_refused_in_words(count):
    with pytest.raises(ValueError, match="expected at least 1 eigenvector"):
        check_count(count)


def test_seeds_are_whole_numbers():
    assert check_seed(np.int64(7)) == 7
    with pytest.raises(TypeError, match="seed is"):
        check_seed(0.5)
    with pytest.raises(ValueError, match="64 bits"):
        check_seed(2**70)


def test_other_affinities_and_methods_are_refused_in_words():
    with pytest.raises(TypeError, match=r"affinity is ndarray; expected what joint_affinity"):
        spectral_embedding(np.eye(4), 2)
    affinity = joint_affinity(layers_of((2, 3)), device="cpu")
    for method in ("lanczos", None, []):
        with pytest.raises(ValueError, match=r"method is .*; expected one of 'exact'"):
            spectral_embedding(affinity, 2, method)


def test_very_many_eigenvectors_are_warned_about(monkeypatch):
    from napari_what_where.embedding import spectral

    monkeypatch.setattr(spectral, "MANY", 3)
    affinity = joint_affinity(layers_of((4, 5)))
    with pytest.warns(UserWarning, match="4 eigenvectors can take many minutes"):
        assert spectral_embedding(affinity, 4).count == 4
