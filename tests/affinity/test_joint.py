"""The joint operator: the mean over network layers, folded lazily, equal however it is folded."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

import napari_what_where as ww
from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.progress import Cancelled

from . import twins
from .cases import GRIDS, activations, layers_of


def test_the_contract():
    affinity = ww.joint_affinity(layers_of(*GRIDS), pathway="what", normalization="degree")
    assert affinity.grid == (6, 7)
    assert affinity.shape == (42, 42)
    assert affinity.layers == ("layer 0", "layer 1", "layer 2", "layer 3")
    assert (affinity @ np.ones((42, 3), np.float32)).shape == (42, 3)


@pytest.mark.parametrize("pathway", ["what", "where", "both"])
@pytest.mark.parametrize("normalization", ["degree", "none"])
@pytest.mark.parametrize("kernel", ["cosine", "exp"])
def test_lazy_and_collapsed_agree(pathway, normalization, kernel):
    layers = layers_of(*GRIDS)
    collapsed = joint_affinity(layers, pathway, normalization, kernel=kernel, device="cpu")
    lazy = joint_affinity(layers, pathway, normalization, kernel=kernel, form="matrix-free", device="cpu")
    torch.testing.assert_close(lazy.dense(), collapsed.dense(), rtol=1e-4, atol=1e-6)
    x = np.random.default_rng(0).normal(size=(42, 2)).astype(np.float32)
    np.testing.assert_allclose(lazy @ x, collapsed @ x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(lazy.dense(), twins.joint(layers, pathway, normalization, kernel=kernel), atol=1e-5)


def test_the_finest_operator_is_the_mean_over_its_own_grid():
    layers = layers_of(*GRIDS)
    affinity = joint_affinity(layers, "both", device="cpu")
    expected = twins.joint([layers[1], layers[3]], "both")
    np.testing.assert_allclose(affinity.finest.dense(), expected, atol=1e-5)


@pytest.mark.parametrize(("grids", "finest"), [(((4, 16), (12, 5)), (4, 16)), (((2, 6), (4, 3)), (4, 3))])
def test_the_finest_grid_has_most_tokens(grids, finest):
    for order in (grids, grids[::-1]):
        assert joint_affinity(layers_of(*order), device="cpu").grid == finest


def test_both_weighs_what_and_where_equally():
    layers = layers_of((3, 4), (5, 6))
    what, where, both = (joint_affinity(layers, pathway, device="cpu").dense() for pathway in ("what", "where", "both"))
    torch.testing.assert_close(both, (what + where) / 2, rtol=1e-4, atol=1e-6)


def test_every_network_layer_weighs_the_same():
    first, second = layers_of((3, 4), (5, 6))
    alone = joint_affinity([first, second], device="cpu").dense()
    tripled = joint_affinity([first, second] * 3, device="cpu").dense()
    torch.testing.assert_close(tripled, alone, rtol=1e-4, atol=1e-6)


def test_activations_are_taken_one_at_a_time_and_freed():
    alive: list[weakref.ref] = []

    def stream():
        for seed in range(4):
            gc.collect()
            # Only the layer just folded may still be held, by the loop that asked for the next one.
            assert sum(ref() is not None for ref in alive) <= 1
            layer = activations((4, 5), seed=seed)
            alive.append(weakref.ref(layer.query))
            yield layer

    affinity = joint_affinity(stream(), "where", device="cpu")
    gc.collect()
    assert not any(ref() is not None for ref in alive)
    expected = joint_affinity([activations((4, 5), seed=seed) for seed in range(4)], "where", device="cpu")
    torch.testing.assert_close(affinity.dense(), expected.dense())


def test_activations_are_left_alone():
    layers = layers_of(*GRIDS)
    before = [(layer.query.clone(), layer.key.clone(), layer.value.clone()) for layer in layers]
    for normalization in ("degree", "none"):
        joint_affinity(layers, "both", normalization, device="cpu").dense()
    for layer, (query, key, value) in zip(layers, before, strict=True):
        assert torch.equal(layer.query, query)
        assert torch.equal(layer.key, key)
        assert torch.equal(layer.value, value)


def test_attention_of_one_grid_is_collapsed_into_one_matrix():
    affinity = joint_affinity(layers_of(*[(5, 6)] * 8), "where", device="cpu")
    assert affinity.cost == 30**2


def test_low_rank_layers_keep_their_factor():
    assert joint_affinity(layers_of(*GRIDS), "what", device="cpu").factor().shape == (42, 4 * 9)
    assert joint_affinity(layers_of(*GRIDS), "both", device="cpu").factor() is None


def test_progress_is_reported_and_cancels():
    seen = []
    joint_affinity(layers_of(*GRIDS), device="cpu", report=seen.append)
    assert [progress.stage for progress in seen] == ["affinity"] * 4
    assert [progress.done for progress in seen] == [0, 1, 2, 3]

    def cancel(progress):
        if progress.done == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        joint_affinity(layers_of(*GRIDS), device="cpu", report=cancel)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"pathway": "why"}, "pathway is 'why'; expected one of 'what', 'where', 'both'"),
        ({"pathway": None}, "pathway is None"),
        ({"pathway": ["what"]}, "pathway is"),
        ({"normalization": "row"}, "normalization is 'row'; expected one of 'degree', 'none'"),
        ({"kernel": "rbf"}, "kernel is 'rbf'; expected one of 'cosine', 'exp'"),
        ({"device": "abacus"}, "device is 'abacus'"),
        ({"kernel": "exp", "temperature": 0}, "temperature is 0"),
    ],
)
def test_unknown_options_are_refused_in_words(options, words):
    with pytest.raises(ValueError, match=words):
        joint_affinity(layers_of((2, 2)), **options)


def test_no_activations_or_others_are_refused_in_words():
    with pytest.raises(ValueError, match="no activations"):
        joint_affinity([])
    with pytest.raises(TypeError, match="expected TokenActivations"):
        joint_affinity([np.zeros((2, 4, 3))])


def test_a_layer_that_lacks_a_pathway_is_named():
    values_only = TokenActivations("plain", (2, 2), value=np.ones((1, 4, 2)))
    for pathway in ("where", "both"):
        with pytest.raises(ValueError, match="plain has no queries and keys"):
            joint_affinity([values_only], pathway)


@pytest.mark.parametrize("kernel", ["cosine", "exp", "neighbours"])
@pytest.mark.parametrize("pathway", ["what", "where", "both"])
def test_every_form_gives_the_same_operator_and_is_recorded(kernel, pathway):
    layers = layers_of((6, 7), (3, 4))
    dense = joint_affinity(layers, pathway, kernel=kernel, form="dense")
    lazy = joint_affinity(layers, pathway, kernel=kernel, form="matrix-free")
    chosen = joint_affinity(layers, pathway, kernel=kernel)
    torch.testing.assert_close(lazy.dense(), dense.dense(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(chosen.dense(), dense.dense(), rtol=1e-4, atol=1e-5)
    assert set(dense.forms) == {"dense"}
    what = {"cosine": "low rank", "exp": "matrix-free", "neighbours": "sparse"}[kernel]
    assert lazy.forms == {"what": (what,), "where": ("matrix-free",), "both": (what, "matrix-free")}[pathway] * 2


def test_memory_decides_about_the_form(monkeypatch):
    from napari_what_where.affinity import collapse

    layers = layers_of((6, 7))
    assert joint_affinity(layers, "where").forms == ("dense",)
    monkeypatch.setattr(collapse, "free_memory", lambda device: 12 * 42**2 - 1)
    assert joint_affinity(layers, "where").forms == ("matrix-free",)
    assert joint_affinity(layers, "where", form="dense").forms == ("dense",)


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="form is 'sparse'"):
        joint_affinity(layers_of((6, 7)), "where", form="sparse")


@pytest.mark.parametrize("collapse", [True, False])
@pytest.mark.parametrize("pathway", ["what", "where", "both"])
@pytest.mark.parametrize("kernel", ["cosine", "exp"])
def test_the_terms_add_up_to_the_operator(collapse, pathway, kernel):
    layers = layers_of(*GRIDS)
    affinity = joint_affinity(layers, pathway, kernel=kernel, collapse=collapse)
    assert sum(term.weight for term in affinity.terms) == pytest.approx(1)
    grids = [term.operator.grid for term in affinity.terms]
    total = np.zeros(affinity.shape)
    for grid, (operator, weight) in zip(grids, affinity.terms, strict=True):
        pool = twins.pooling(grid, affinity.grid) if grid != affinity.grid else np.eye(affinity.tokens)
        total += weight * pool.T @ operator.dense().numpy() @ pool
    np.testing.assert_allclose(affinity.dense(), total, atol=1e-5)
    np.testing.assert_allclose(total, twins.joint(layers, pathway, kernel=kernel), atol=1e-5)
    parts = {"what": 1, "where": 1, "both": 2}[pathway]
    assert len(grids) == (len(set(GRIDS)) if collapse else parts * len(GRIDS))


def test_layers_that_are_not_collapsed_are_each_their_own():
    layers = layers_of((6, 7), (3, 4), (6, 7))
    affinity = joint_affinity(layers, "where", collapse=False)
    assert affinity.forms == ("dense",) * 3
    expected = [twins.normalized(twins.attention(layers[i].query, layers[i].key)) for i in (0, 2, 1)]
    for term, twin in zip(affinity.terms, expected, strict=True):
        assert term.weight == pytest.approx(1 / 3)
        np.testing.assert_allclose(term.operator.dense(), twin, atol=1e-5)
    np.testing.assert_allclose(affinity.finest.dense(), (expected[0] + expected[1]) / 2, atol=1e-5)
