"""The record that backbones hand over: shapes, types and honesty."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_what_where as ww
from napari_what_where.activations.types import TokenActivations, real_tensor


def array(heads=2, tokens=6, width=3, dtype=np.float32):
    return np.random.default_rng(0).normal(size=(heads, tokens, width)).astype(dtype)


def test_the_contract():
    layer = ww.TokenActivations(name="block 3", grid=(2, 3), query=array(), key=array(), value=array(4, 6, 5))
    assert layer.name == "block 3"
    assert layer.grid == (2, 3)
    assert layer.tokens == 6
    assert all(isinstance(tensor, torch.Tensor) for tensor in (layer.query, layer.key, layer.value))


def test_what_is_missing_stays_missing():
    assert TokenActivations("values", (2, 3), value=array()).query is None
    assert TokenActivations("attention", (2, 3), array(), array()).value is None


def test_tensors_share_their_memory():
    tensor, numbers = torch.from_numpy(array()), array()
    layer = TokenActivations("layer", (2, 3), tensor, tensor, numbers)
    assert layer.query is tensor
    assert layer.value.data_ptr() == numbers.ctypes.data


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_types_are_kept(dtype):
    assert TokenActivations("layer", (2, 3), value=torch.ones(1, 6, 2, dtype=dtype)).value.dtype == dtype


def test_integers_and_lists_become_float32():
    for value in (np.ones((1, 6, 2), np.int16), np.ones((1, 6, 2), bool), [[[1, 2]] * 6]):
        assert TokenActivations("layer", (2, 3), value=value).value.dtype == torch.float32


def test_a_grid_of_any_whole_numbers():
    assert TokenActivations("layer", np.array([2, 3]), value=array()).grid == (2, 3)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "expected query and key together, a value, or all three"),
        ({"query": array()}, "expected query and key together"),
        ({"key": array(), "value": array()}, "expected query and key together"),
        ({"value": array(tokens=7)}, r"value has shape \(2, 7, 3\).*tokens = 2 × 3 = 6"),
        ({"value": array()[0]}, r"value has shape \(6, 3\); expected \(heads, tokens, head_dim\)"),
        ({"value": array(width=0)}, "value has shape"),
        ({"value": array(heads=0)}, "value has shape"),
        (
            {"query": array(), "key": array(heads=1)},
            "expected equal shapes. Repeat the keys of grouped-query attention",
        ),
        ({"query": array(), "key": array(width=4)}, "expected equal shapes"),
        ({"value": np.where(array() > 1, np.nan, 0)}, "value has NaN or infinite values.*bfloat16 or float32"),
        ({"query": array(), "key": array() / np.float32(0)}, "key has NaN or infinite values"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_does_not_fit_is_refused_in_words(given, words):
    with pytest.raises(ValueError, match=f"block 3: .*{words}|block 3: {words}"):
        TokenActivations("block 3", (2, 3), **given)


@pytest.mark.parametrize("grid", [(0, 6), (6, 0), (-2, -3)])
def test_empty_grids_are_refused(grid):
    with pytest.raises(ValueError, match="at least one row and one column"):
        TokenActivations("layer", grid, value=array())


@pytest.mark.parametrize("value", ["text", array(dtype=complex), np.full((2, 6, 3), "a"), np.full((2, 6, 3), None)])
def test_other_things_than_real_numbers_are_refused_in_words(value):
    with pytest.raises(TypeError, match="layer: value is .*real numbers"):
        TokenActivations("layer", (2, 3), value=value)


def test_real_tensors_from_any_layout():
    numbers = array()
    frozen = numbers.copy()
    frozen.flags.writeable = False
    for given in (numbers.astype(">f4"), numbers[::-1].copy()[::-1], np.asfortranarray(numbers), frozen):
        np.testing.assert_array_equal(real_tensor(given, "x"), numbers)
