"""The exact solver, by each of its routes, and how it chooses among them."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from napari_what_where.affinity.cosine import CosineAffinity
from napari_what_where.affinity.operator import DenseAffinity
from napari_what_where.embedding import exact
from napari_what_where.embedding.exact import (
    orthonormal_complement,
    solve_dense,
    solve_exact,
    solve_gram,
    solve_krylov,
)
from napari_what_where.embedding.solver import rayleigh_ritz
from napari_what_where.progress import Cancelled, ignore_progress

from ..affinity.cases import case_of, symmetric
from .conformance import Factor, LowRankSpy, SolverConformance, Spy, blocks, check_solution, clustered


def gram(operator, count, *, tolerance=1e-6, seed=0, report=ignore_progress):
    return solve_gram(operator, operator.factor(), count, tolerance=tolerance, seed=seed)


def dense(operator, count, *, tolerance=1e-6, seed=0, report=ignore_progress):
    return solve_dense(operator, count, tolerance=tolerance)


class TestChosen(SolverConformance):
    @pytest.fixture
    def solve(self):
        return solve_exact


class TestDense(SolverConformance):
    @pytest.fixture
    def solve(self):
        return dense


class TestKrylov(SolverConformance):
    @pytest.fixture
    def solve(self):
        return partial(solve_krylov, tolerance=1e-6, seed=0)


class TestGram(SolverConformance):
    @pytest.fixture
    def solve(self):
        return gram

    def takes(self, operator):
        return operator.factor() is not None


class TestKrylovBeyondSmall:
    """At sizes where block Krylov restarts, and is what ``solve_exact`` chooses."""

    def test_clusters(self):
        operator = CosineAffinity(torch.tensor(clustered(33, width=24), dtype=torch.float32), (33, 33))
        twin = operator.dense().double().numpy()
        check_solution(solve_krylov(operator, 16, tolerance=1e-6, seed=0), twin, 16)

    def test_unstructured(self):
        matrix = symmetric(1040) / 1040**0.5
        operator = Spy(DenseAffinity(torch.tensor(matrix, dtype=torch.float32), (26, 40)))
        solution = solve_exact(operator, 8)
        assert solution.converged
        assert solution.products == operator.columns
        check_solution(solution, matrix, 8)

    def test_many_components(self):
        case = blocks([26] * 40, (26, 40))
        solution = solve_exact(Spy(case.operator), 16)
        assert solution.converged
        check_solution(solution, case.twin, 16)

    def test_the_tolerance_is_not_claimed_when_it_is_not_met(self):
        matrix = symmetric(1040) / 1040**0.5
        operator = DenseAffinity(torch.tensor(matrix, dtype=torch.float32), (26, 40))
        assert not solve_krylov(operator, 4, tolerance=1e-14, seed=0).converged

    def test_cancel(self):
        matrix = symmetric(1040)
        operator = Spy(DenseAffinity(torch.tensor(matrix, dtype=torch.float32), (26, 40)))
        rounds = []

        def report(progress):
            rounds.append(progress)
            if len(rounds) == 4:
                raise Cancelled

        with pytest.raises(Cancelled):
            solve_exact(operator, 8, report=report)
        assert {progress.stage for progress in rounds} == {"eigenvectors"}
        assert operator.columns < 200


def test_every_route_can_be_cancelled_at_its_start():
    def report(progress):
        raise Cancelled

    for name in ("joint what", "joint both"):
        spy = LowRankSpy(case_of(name).operator)
        with pytest.raises(Cancelled):
            solve_exact(spy, 3, report=report)
        assert spy.columns == 0


@pytest.mark.parametrize(
    ("operator", "count", "route"),
    [
        (Factor(np.ones((30, 3)), (5, 6)), 4, "solve_gram"),
        (Factor(np.ones((30, 31)), (5, 6)), 4, "solve_dense"),
        (DenseAffinity(torch.eye(30), (5, 6)), 4, "solve_dense"),
        (DenseAffinity(torch.eye(1200), (30, 40)), 4, "solve_krylov"),
        (DenseAffinity(torch.eye(1200), (30, 40)), 500, "solve_dense"),
        (Factor(np.ones((1200, 1100)), (30, 40)), 4, "solve_krylov"),
    ],
)
def test_the_route_fits_the_operator(monkeypatch, operator, count, route):
    taken = []
    for name in ("solve_gram", "solve_dense", "solve_krylov"):
        monkeypatch.setattr(exact, name, lambda *_, name=name, **__: taken.append(name))
    solve_exact(operator, count)
    assert taken == [route]


def test_an_empty_factor_is_a_zero_operator():
    check_solution(gram(Factor(np.zeros((6, 0)), (2, 3)), 4), np.zeros((6, 6)), 4)


def test_an_orthonormal_complement_is_just_that():
    rng = np.random.default_rng(0)
    basis = torch.linalg.qr(torch.tensor(rng.normal(size=(20, 5))))[0]
    inside = basis @ torch.tensor(rng.normal(size=(5, 2)))
    outside = torch.tensor(rng.normal(size=(20, 3)))
    complement = orthonormal_complement(torch.cat([inside, outside, outside[:, :1]], dim=1), basis)
    assert complement.shape == (20, 3)
    both = torch.cat([basis, complement], dim=1)
    torch.testing.assert_close(both.T @ both, torch.eye(8, dtype=torch.float64), rtol=0, atol=1e-12)
    assert orthonormal_complement(inside, basis).shape == (20, 0)
    assert orthonormal_complement(outside[:, :0], basis).shape == (20, 0)


def test_rayleigh_ritz_finds_eigenvectors_within_a_span():
    case = case_of("dense, indefinite")
    vectors = np.linalg.eigh(case.twin)[1][:, ::-1]
    mixed = torch.tensor(vectors[:, :4] @ np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0])
    solution = rayleigh_ritz(case.operator, mixed, spent=7, tolerance=1e-5)
    assert solution.products == 11
    assert solution.converged
    check_solution(solution, case.twin, 4)
    crooked = torch.linalg.qr(torch.tensor(np.random.default_rng(1).normal(size=(20, 4))))[0]
    assert not rayleigh_ritz(case.operator, crooked, spent=0, tolerance=1e-5).converged
