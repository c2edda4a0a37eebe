"""The benchmark's measures against their definitions, pixel by pixel."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

from .helpers import agreement

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "regions_bsds.py"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(SCRIPT.parent))  # as Python does for a script
    spec = importlib.util.spec_from_file_location("regions_bsds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    return module


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.integers(0, 5, (9, 11)), rng.integers(0, 3, (9, 11))


def tables(bench, labels, truth):
    return bench.contingency(labels, bench.Truths([truth.ravel()], [int(truth.max()) + 1]))


def test_covering(bench, pair):
    assert bench.covering(tables(bench, *pair)[0]) == pytest.approx(agreement(pair[1], pair[0]))


def test_rand_index(bench, pair):
    ours, theirs = (plane.ravel()[:, None] == plane.ravel()[None] for plane in pair)
    assert bench.rand_index(tables(bench, *pair)[0]) == pytest.approx((ours == theirs).mean())


def test_equal_segmentations_have_no_variation(bench, pair):
    assert bench.variation(tables(bench, pair[0], pair[0])[0]) == pytest.approx(0, abs=1e-9)
    assert bench.score(tables(bench, pair[0], pair[0])) == pytest.approx((1, 1, 0), abs=1e-9)


def test_grouped_leaves_score_as_the_label_image(bench, pair):
    lookup = np.array([0, 1, 0, 2, 1])
    grouped = bench.score(bench.group(tables(bench, *pair), lookup))
    assert grouped == pytest.approx(bench.score(tables(bench, lookup[pair[0]], pair[1])))


def test_cutting_a_tree_by_count(bench):
    children = np.array([[0, 1], [2, 3], [4, 5]])
    assert bench.cut_by_count(children, 4, 4).tolist() == [0, 1, 2, 3]
    assert bench.cut_by_count(children, 4, 2).tolist() == [0, 0, 1, 1]
    assert bench.cut_by_count(children, 4, 1).tolist() == [0, 0, 0, 0]
