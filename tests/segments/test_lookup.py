"""Lookups: the same as indexing, whatever the memory they read and write looks like."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from napari_what_where.segments.lookup import look_up

LEAVES = np.random.default_rng(0).integers(0, 70_000, (611, 530)).astype(np.int32)
TABLE = np.random.default_rng(1).integers(0, 65_536, 70_000).astype(np.int32)


@pytest.fixture(params=["torch", "numpy"])
def library(request, monkeypatch):
    pytest.importorskip("torch")
    if request.param == "numpy":
        monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("kind", ["int32", "uint16"])
@pytest.mark.parametrize("layout", ["whole", "frozen", "transposed", "every other"])
def test_it_is_the_table_at_the_leaves(kind, layout):
    leaves = {
        "whole": LEAVES,
        "frozen": LEAVES.copy(),
        "transposed": np.asfortranarray(LEAVES),
        "every other": LEAVES[::2, ::2],
    }[layout]
    leaves.flags.writeable = layout != "frozen"
    out = np.zeros(leaves.shape, kind)
    assert look_up(TABLE, leaves, out) is out
    np.testing.assert_array_equal(out, TABLE[leaves])
    fresh = look_up(TABLE, leaves)
    assert fresh.dtype == np.int32
    np.testing.assert_array_equal(fresh, TABLE[leaves])


@pytest.mark.usefixtures("library")
def test_a_part_of_a_larger_array_can_be_written():
    out = np.zeros((LEAVES.shape[0], 2 * LEAVES.shape[1]), np.int32)
    look_up(TABLE.astype(np.int64), LEAVES, out[:, ::2])
    np.testing.assert_array_equal(out[:, ::2], TABLE[LEAVES])
    assert not out[:, 1::2].any()


def test_no_pixels_are_looked_up_at_once():
    assert look_up(TABLE, LEAVES[:0]).shape == (0, 530)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"out has shape \(3, 4\); expected that of the leaves, \(611, 530\)"):
        look_up(TABLE, LEAVES, np.zeros((3, 4), np.int32))
