"""The benchmark's own parts: what it does not take from the package's evaluation."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "regions_bsds.py"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(SCRIPT.parent))  # as Python does for a script
    spec = importlib.util.spec_from_file_location("regions_bsds", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(SCRIPT.parent))
    return module


def test_cutting_a_tree_by_count(bench):
    children = np.array([[0, 1], [2, 3], [4, 5]])
    assert bench.cut_by_count(children, 4, 4).tolist() == [0, 1, 2, 3]
    assert bench.cut_by_count(children, 4, 2).tolist() == [0, 0, 1, 1]
    assert bench.cut_by_count(children, 4, 1).tolist() == [0, 0, 0, 0]


def test_a_summary_has_the_best_scale_of_all_and_of_each(bench):
    first = bench.Sweep(np.array([5.0, 7.0]), [bench.Scores(0.2, 0.5, 1.0), bench.Scores(0.6, 0.7, 2.0)])
    second = bench.Sweep(np.array([5.0, 7.0]), [bench.Scores(0.4, 0.9, 3.0), bench.Scores(0.2, 0.6, 4.0)])
    assert bench.summarise([first, second]) == pytest.approx(
        {
            "covering_ods": 0.4, "covering_ois": 0.5, "rand_ods": 0.7, "rand_ois": 0.8,
            "information_ods": 2.0, "information_ois": 2.0, "ods_parameter": 7.0,
        }
    )  # fmt: skip
