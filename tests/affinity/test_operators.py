"""Every operator against its naive twin, and what is particular to each."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity import operator as operator_module
from napari_what_where.affinity.attention import AttentionAffinity
from napari_what_where.affinity.cosine import MOST_ZERO_COLUMNS, CosineAffinity, ExpKernelAffinity, unit_values
from napari_what_where.affinity.operator import DenseAffinity, Normalized, WeightedSum, row_tiles, symmetrize_

from . import twins
from .cases import CASES, CPU, activations, case_of, cosine
from .conformance import OperatorConformance


class TestEveryOperator(OperatorConformance):
    @pytest.fixture(params=list(CASES))
    def case(self, request):
        return case_of(request.param)


# ---------------------------------------------------------------------------------------------------------- where


@pytest.mark.parametrize("name", ["attention", "exponential, a few zero values", "joint both"])
@pytest.mark.parametrize("elements", [1, 50, 35 * 4 + 1])
def test_tiles_change_nothing(monkeypatch, name, elements):
    monkeypatch.setattr(operator_module, "TILE_ELEMENTS", elements)
    case = CASES[name]()
    x = np.random.default_rng(0).normal(size=(case.operator.tokens, 2))
    np.testing.assert_allclose(case.operator @ x, case.twin @ x, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(case.operator.dense(), case.twin, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 60), st.integers(1, 500))
def test_tiles_cover_every_row_once(tokens, elements):
    before, operator_module.TILE_ELEMENTS = operator_module.TILE_ELEMENTS, elements
    try:
        tiles = list(row_tiles(tokens, torch.device("cpu")))
    finally:
        operator_module.TILE_ELEMENTS = before
    assert [row for rows in tiles for row in range(tokens)[rows]] == list(range(tokens))
    assert all((rows.stop - rows.start) * tokens <= max(elements, tokens) for rows in tiles)


@given(st.integers(1, 600), st.sampled_from([0.5, 2.0]))
def test_symmetrizing_in_place(tokens, weight):
    matrix = torch.rand(tokens, tokens, generator=torch.Generator().manual_seed(tokens))
    torch.testing.assert_close(symmetrize_(matrix.clone(), weight), weight * (matrix + matrix.T))


def test_attention_of_large_scores_does_not_overflow():
    layer = activations((3, 4))
    loud = AttentionAffinity(layer.query * 1e4, layer.key * 1e4, (3, 4))
    assert bool(loud.dense().isfinite().all())
    np.testing.assert_allclose(loud.dense().sum().item(), 12, rtol=1e-5)


def test_half_precision_activations_are_worked_in_float32():
    layer = activations((4, 4))
    half = TokenActivations("half", (4, 4), layer.query.half(), layer.key.half(), layer.value.half())
    for affinity in (AttentionAffinity, CosineAffinity, ExpKernelAffinity):
        dense = affinity.of(half, CPU).dense()
        assert dense.dtype == torch.float32
        torch.testing.assert_close(dense, affinity.of(layer, CPU).dense(), rtol=0.1, atol=2e-3)


# ----------------------------------------------------------------------------------------------------------- what


def test_zero_values_have_cosine_0_with_others_and_1_with_themselves():
    cosines = 2 * cosine(zeros=4).operator.dense() - 1
    zero, other = cosines[-4:, -4:], cosines[-4:, :-4]
    torch.testing.assert_close(zero, torch.eye(4), rtol=0, atol=1e-6)
    torch.testing.assert_close(other, torch.zeros(4, 31), rtol=0, atol=1e-6)


@pytest.mark.parametrize(("zeros", "low_rank"), [(MOST_ZERO_COLUMNS, True), (MOST_ZERO_COLUMNS + 1, False)])
def test_many_zero_values_have_no_factor(zeros, low_rank):
    operator = cosine(zeros=zeros, grid=(10, 10)).operator
    assert int(operator.zero.sum()) == zeros
    assert (operator.factor() is not None) is low_rank


def test_equal_values_are_zero_when_centred_whatever_the_rounding():
    value = np.full((3, 4000, 5), np.float32(0.1)) * np.float32(1.7)
    assert not unit_values(TokenActivations("flat", (40, 100), value=value), CPU).any()


@given(st.integers(-30, 30), st.integers(0, 5))
@settings(max_examples=20)
def test_cosines_know_no_scale(exponent, seed):
    layer = activations((3, 5), seed=seed)
    scaled = TokenActivations("scaled", (3, 5), value=layer.value * 10.0**exponent)
    torch.testing.assert_close(unit_values(scaled, CPU), unit_values(layer, CPU), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("factor", [1e300, 1e-300])
def test_extreme_float64_values(factor):
    value = activations((3, 5)).value.double()
    expected = twins.what(value)
    layer = TokenActivations("extreme", (3, 5), value=value * factor)
    np.testing.assert_allclose(CosineAffinity.of(layer, CPU).dense(), expected, atol=1e-5)


@given(st.integers(0, 100), st.booleans())
@settings(max_examples=20)
def test_what_is_non_negative_with_ones_on_the_diagonal(seed, centred):
    layer = activations((4, 5), seed=seed, offset=seed / 10)
    for operator in (CosineAffinity.of(layer, CPU, centred=centred), ExpKernelAffinity.of(layer, CPU, centred=centred)):
        dense = operator.dense()
        assert float(dense.min()) > -1e-6
        torch.testing.assert_close(dense.diagonal(), torch.ones(20), rtol=0, atol=1e-5)


@pytest.mark.parametrize("temperature", [0, -1, float("nan")])
def test_temperatures_are_above_0(temperature):
    with pytest.raises(ValueError, match="temperature is"):
        ExpKernelAffinity.of(activations((2, 2)), CPU, temperature=temperature)


def test_a_small_temperature_does_not_overflow():
    assert bool(ExpKernelAffinity.of(activations((3, 4)), CPU, temperature=1e-6).dense().isfinite().all())


def test_what_a_layer_lacks_is_said():
    layer = activations((2, 3))
    with pytest.raises(ValueError, match="no queries and keys.*Use pathway 'what'"):
        AttentionAffinity.of(TokenActivations("values only", (2, 3), value=layer.value), CPU)
    for affinity in (CosineAffinity, ExpKernelAffinity):
        with pytest.raises(ValueError, match="no values.*Use pathway 'where'"):
            affinity.of(TokenActivations("attention only", (2, 3), layer.query, layer.key), CPU)


# ---------------------------------------------------------------------------------------------- sums and degrees


@pytest.mark.parametrize("name", [name for name in CASES if name.startswith(("attention", "cosine", "exponential"))])
def test_normalized_affinities_have_1_as_largest_eigenvalue(name):
    operator = Normalized(case_of(name).operator)
    values = np.linalg.eigvalsh(operator.dense().double().numpy())
    assert values[-1] == pytest.approx(1, abs=1e-5)
    assert values[0] > -1 - 1e-5


def test_tokens_without_affinity_stay_0():
    matrix = torch.tensor([[2.0, 0, 1], [0, 0, 0], [1, 0, 2]])
    dense = Normalized(DenseAffinity(matrix, (1, 3))).dense()
    torch.testing.assert_close(dense, matrix / 3)
    assert not Normalized(DenseAffinity(torch.zeros(3, 3), (1, 3))).dense().any()


def test_a_dense_affinity_takes_float64():
    operator = DenseAffinity(torch.eye(6, dtype=torch.float64), (2, 3))
    np.testing.assert_array_equal(operator @ np.ones(6), np.ones(6))
    with pytest.raises(ValueError, match="matrix has shape"):
        DenseAffinity(torch.eye(5), (2, 3))


def test_sums_need_one_grid_and_a_weight_each():
    one, other = DenseAffinity(torch.eye(6), (2, 3)), DenseAffinity(torch.eye(6), (3, 2))
    with pytest.raises(ValueError, match="expected one grid"):
        WeightedSum([one, other], [1, 1])
    for operators, weights in (([], []), ([one], [1, 2]), ([one], [-1])):
        with pytest.raises(ValueError, match="expected one ≥ 0 each"):
            WeightedSum(operators, weights)


def test_products_and_sums_leave_their_operands_alone():
    matrix = torch.rand(6, 6, generator=torch.Generator().manual_seed(0))
    matrix = matrix + matrix.T
    before = matrix.clone()
    operator = Normalized(WeightedSum([DenseAffinity(matrix, (2, 3))], [2.0]))
    operator.dense().add_(1)
    operator @ np.ones(6)
    torch.testing.assert_close(matrix, before, rtol=0, atol=0)


@pytest.mark.parametrize("columns", [1, 4, 5, 11])
def test_products_without_a_matrix_agree_with_tiles_for_any_number_of_columns(columns):
    operator = CASES["attention"]().operator
    x = torch.randn(operator.tokens, columns, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(operator.product(x), operator._tiled_product(x), rtol=1e-5, atol=1e-6)


def test_tiles_take_over_where_hub_tokens_leave_float32(monkeypatch):
    calls = []
    tiled = AttentionAffinity._tiled_product
    monkeypatch.setattr(AttentionAffinity, "_tiled_product", lambda self, x: calls.append(x) or tiled(self, x))
    for name, expected in (("attention, hub tokens", 0), ("attention, hub tokens beyond float32", 1)):
        calls.clear()
        operator = CASES[name]().operator
        operator.product(torch.ones(operator.tokens, 1))
        assert len(calls) == expected
