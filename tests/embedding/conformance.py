"""What every solver must keep, on every operator. Subclass, and give a ``solve`` fixture."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import torch

from napari_what_where.affinity.operator import DenseAffinity, SymmetricOperator
from napari_what_where.embedding.solver import Solution

from ..affinity.cases import CASES, Case, case_of


class Spy(SymmetricOperator):
    """An operator that counts the columns it was multiplied with, and has nothing but its products to offer."""

    def __init__(self, operator: SymmetricOperator) -> None:
        self.operator, self.grid, self.device = operator, operator.grid, operator.device
        self.columns = 0

    @property
    def cost(self) -> int:
        return self.operator.cost

    def product(self, x: torch.Tensor) -> torch.Tensor:
        self.columns += x.shape[1]
        return self.operator.product(x)


class LowRankSpy(Spy):
    """A spy that also hands out its factor."""

    def factor(self) -> torch.Tensor | None:
        return self.operator.factor()


class Factor(SymmetricOperator):
    """F Fᵀ."""

    def __init__(self, factor: np.ndarray, grid: tuple[int, int]) -> None:
        self.wide, self.grid = torch.tensor(factor, dtype=torch.float32), grid
        self.device = self.wide.device

    @property
    def cost(self) -> int:
        return 2 * self.wide.numel()

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return self.wide @ (self.wide.T @ x)

    def factor(self) -> torch.Tensor:
        return self.wide


def with_spectrum(values, grid, seed: int = 0) -> Case:
    """An operator with exactly these eigenvalues, filled up with zeros."""
    tokens = grid[0] * grid[1]
    spectrum = np.zeros(tokens)
    spectrum[: len(values)] = values
    basis = np.linalg.qr(np.random.default_rng(seed).normal(size=(tokens, tokens)))[0]
    matrix = (basis * spectrum) @ basis.T
    return Case(DenseAffinity(torch.tensor(matrix, dtype=torch.float32), grid), matrix)


def blocks(sizes, grid) -> Case:
    """A disconnected graph: components of ones, each normalised to the eigenvalue 1."""
    matrix = scipy.linalg.block_diag(*[np.full((size, size), 1 / size) for size in sizes])
    return Case(DenseAffinity(torch.tensor(matrix, dtype=torch.float32), grid), matrix)


def check_solution(solution: Solution, twin: np.ndarray, count: int) -> None:
    """Compare with ``numpy.linalg.eigh`` of the dense twin: eigenvalues, spans, orthonormality, true residuals."""
    values, vectors = (array[..., ::-1] for array in np.linalg.eigh(twin))
    scale = max(1e-6, float(np.abs(values).max()))
    found, spanned = solution.values.cpu().numpy(), solution.vectors.cpu().numpy()
    assert found.shape == (count,)
    assert spanned.shape == (len(twin), count)
    assert np.all(np.diff(found) <= 1e-12 * scale), "descending"
    np.testing.assert_allclose(spanned.T @ spanned, np.eye(count), atol=1e-10)
    np.testing.assert_allclose(found, values[:count], atol=2e-5 * scale)
    residuals = np.linalg.norm(twin @ spanned - spanned * found, axis=0)
    np.testing.assert_allclose(solution.residuals.cpu().numpy(), residuals, atol=2e-5 * scale)
    # Vectors of a repeated eigenvalue are arbitrary: those clearly above the last one found must be spanned by what
    # was found, and what was found by those not clearly below it.
    gap = 5e-3 * scale
    above, level = vectors[:, values > values[count - 1] + gap], vectors[:, values > values[count - 1] - gap]
    for inner, outer in ((above, spanned), (spanned, level)):
        if inner.shape[1] and outer.shape[1] < len(twin):
            assert scipy.linalg.subspace_angles(outer, inner).max() < 2e-2


class SolverConformance:
    """Tests of one solver, called as ``solve(operator, count, tolerance=…, seed=…, report=…)``."""

    @pytest.fixture
    def solve(self):
        raise NotImplementedError

    def takes(self, operator: SymmetricOperator) -> bool:
        """Whether this solver is for such an operator."""
        return True

    @pytest.mark.parametrize("name", list(CASES))
    def test_agrees_with_the_dense_eigendecomposition(self, solve, name):
        case = case_of(name)
        if not self.takes(case.operator):
            return
        for count in {1, min(5, case.operator.tokens), case.operator.tokens}:
            solution = solve(case.operator, count)
            check_solution(solution, case.twin, count)
            assert solution.converged
            assert solution.products > 0

    @pytest.mark.parametrize(
        "case",
        [
            pytest.param(with_spectrum([1, 1, 1, 1, 0.5, 0.5, 0.2], (5, 8)), id="repeated"),
            pytest.param(with_spectrum([1] * 30, (5, 8)), id="one value thirty times"),
            pytest.param(with_spectrum([1, 0.5, 0.5 - 1e-7, 0.5 - 2e-7, 0.1], (5, 8)), id="nearly repeated"),
            pytest.param(with_spectrum([1, -2, -3, 0.4, 0.2, 0.1], (5, 8)), id="larger negative values"),
            pytest.param(with_spectrum(-np.arange(1.0, 41), (5, 8)), id="all negative"),
            pytest.param(with_spectrum([1e-4, 1e-6], (5, 8)), id="small"),
            pytest.param(with_spectrum([1e4, 30, 1], (5, 8)), id="large"),
            pytest.param(with_spectrum([], (5, 8)), id="zero"),
            pytest.param(blocks([4] * 10, (5, 8)), id="more components than count"),
            pytest.param(blocks([17, 9, 8, 5, 1], (5, 8)), id="as many components as count"),
            pytest.param(Case(DenseAffinity(torch.eye(40), (5, 8)), np.eye(40)), id="identity"),
        ],
    )
    def test_difficult_spectra(self, solve, case):
        if self.takes(case.operator):
            check_solution(solve(case.operator, 5), case.twin, 5)

    @pytest.mark.parametrize("tokens", range(1, 8))
    def test_tiny_operators(self, solve, tokens):
        factor = np.random.default_rng(tokens).normal(size=(tokens, tokens))
        operator = Factor(factor, (1, tokens))
        for count in range(1, tokens + 1):
            check_solution(solve(operator, count), operator.dense().double().numpy(), count)

    @pytest.mark.parametrize("rank", [0, 1, 3, 12])
    def test_more_vectors_than_the_rank(self, solve, rank):
        # Of twelve columns, so the factor itself is rank-deficient.
        rng = np.random.default_rng(rank)
        operator = Factor(rng.normal(size=(30, rank)) @ rng.normal(size=(rank, 12)), (5, 6))
        for count in (8, 20, 30):
            check_solution(solve(operator, count), operator.dense().double().numpy(), count)

    def test_a_seed_gives_one_answer(self, solve):
        for name in ("joint what", "joint both", "dense, indefinite"):
            case = case_of(name)
            if self.takes(case.operator):
                first, second = (solve(case.operator, 6, seed=3) for _ in range(2))
                assert torch.equal(first.vectors, second.vectors)
                assert torch.equal(first.values, second.values)
                check_solution(solve(case.operator, 6, seed=4), case.twin, 6)

    def test_the_random_state_of_others_is_left_alone(self, solve):
        case = case_of("joint what")
        state = torch.get_rng_state()
        solve(case.operator, 4)
        assert torch.equal(torch.get_rng_state(), state)

    def test_products_are_counted_truthfully(self, solve):
        for spy in (Spy(case_of("joint both").operator), LowRankSpy(case_of("joint what").operator)):
            if self.takes(spy):
                assert solve(spy, 5).products == spy.columns

    def test_convergence_is_within_the_tolerance(self, solve):
        case = case_of("joint what")
        for tolerance in (1e-3, 1e-6):
            solution = solve(case.operator, 5, tolerance=tolerance)
            assert solution.converged
            assert float(solution.residuals.max()) <= tolerance * float(solution.values.abs().max())

    def test_signs_are_settled(self, solve):
        vectors = solve(case_of("joint what").operator, 6).vectors
        peaks = vectors.gather(0, vectors.abs().argmax(dim=0)[None])
        assert bool((peaks > 0).all())


def clustered(side: int, *, width: int, clusters: int = 12, seed: int = 0) -> np.ndarray:
    """Noisy random values of planted clusters, (tokens, width), unit length."""
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(clusters, width))[rng.integers(clusters, size=side * side)]
    values = values + 0.7 * rng.normal(size=values.shape)
    values -= values.mean(axis=0)
    return values / np.linalg.norm(values, axis=1, keepdims=True)
