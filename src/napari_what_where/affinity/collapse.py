"""Affinities of one grid as one: full-rank ones summed into a matrix as they come, the others kept lazy."""

from __future__ import annotations

from typing import NamedTuple

import torch

from napari_what_where.activations.types import Grid
from napari_what_where.affinity.cosine import CosineAffinity, ExpKernelAffinity
from napari_what_where.affinity.landmarks import LandmarkAffinity
from napari_what_where.affinity.neighbours import NeighbourAffinity
from napari_what_where.affinity.operator import (
    DenseAffinity,
    Normalized,
    SymmetricOperator,
    WeightedSum,
    degree_scaling,
    symmetrize_,
)
from napari_what_where.memory import free_memory

DENSE_TOKENS = 16384
"""Full-rank affinities are collapsed into one matrix a grid up to this many tokens (1.1 GB), as far as memory allows;
beyond, see ``form`` of :func:`~napari_what_where.joint_affinity`."""


class Term(NamedTuple):
    """A part of the joint operator on its own grid; the weights of all parts sum to 1."""

    operator: SymmetricOperator
    weight: float


class SumsByGrid:
    """Operators by grid, as they come: full-rank ones collapsed into one matrix a grid, the others kept lazy."""

    def __init__(self, *, normalized: bool, form: str, collapse: bool) -> None:
        self.normalized, self.form, self.collapse = normalized, form, collapse
        self.shares: dict[Grid, float] = {}
        """Sums of the weights."""
        self.lazy: dict[Grid, list[Term]] = {}
        self.collapsed: dict[Grid, torch.Tensor] = {}
        """Halves, see :meth:`SymmetricOperator.half`: they are made symmetric once, not one by one."""
        self._spare: dict[Grid, torch.Tensor] = {}

    def add(self, operator: SymmetricOperator, weight: float = 1.0) -> str:
        """Add an operator, to count ``weight`` times; returns the form in which it is held."""
        grid, held = operator.grid, _form_of(operator, self.form)
        if held == "landmarks" and isinstance(operator, ExpKernelAffinity):
            operator = LandmarkAffinity(operator)
            held = f"landmarks (trace error {operator.trace_error:.1e})"
        self.shares[grid] = self.shares.get(grid, 0.0) + weight
        if held == "dense" and self.collapse:
            self._collapse(operator, weight)
            return held
        if held == "dense":
            operator = DenseAffinity(symmetrize_(self._half(operator)), grid)
        elif self.normalized:
            operator = Normalized(operator)
        self.lazy.setdefault(grid, []).append(Term(operator, weight))
        return held

    def _collapse(self, operator: SymmetricOperator, weight: float) -> None:
        # Memory that is fresh costs as much as a pass over it: the second matrix of a grid serves all others.
        grid = operator.grid
        half = self._half(operator, self._spare.pop(grid, None))
        if grid in self.collapsed:
            self.collapsed[grid].add_(half, alpha=weight)
            self._spare[grid] = half
        else:
            self.collapsed[grid] = half if weight == 1 else half.mul_(weight)

    def _half(self, operator: SymmetricOperator, out: torch.Tensor | None = None) -> torch.Tensor:
        """Half the matrix of an affinity, normalised if wanted; in place, as copies take longer than the rest."""
        matrix = operator.half(out)
        if not self.normalized:
            return matrix
        scaling = degree_scaling((matrix.sum(dim=1) + matrix.sum(dim=0)) / 2)
        return matrix.mul_(scaling).mul_(scaling.T)

    def terms(self) -> list[Term]:
        """Each grid's mean operator, or each operator by itself."""
        total = sum(self.shares.values())
        self._spare.clear()
        if not self.collapse:
            return [Term(operator, weight / total) for same in self.lazy.values() for operator, weight in same]
        return [Term(self._mean(grid), share / total) for grid, share in self.shares.items()]

    def _mean(self, grid: Grid) -> SymmetricOperator:
        share, lazy = self.shares[grid], self.lazy.get(grid, [])
        operators, weights = [term.operator for term in lazy], [term.weight / share for term in lazy]
        if grid not in self.collapsed:
            return weighted(operators, weights)
        matrix = DenseAffinity(symmetrize_(self.collapsed.pop(grid), 1 / (2 * share)), grid)
        return weighted([*operators, matrix], [*weights, 1.0])


def weighted(operators: list[SymmetricOperator], weights: list[float]) -> SymmetricOperator:
    """Σ weight · operator, without a wrapping where there is nothing to sum."""
    return operators[0] if weights == [1.0] else WeightedSum(operators, weights)


def _form_of(operator: SymmetricOperator, wanted: str) -> str:
    """How to hold an operator: as it is wanted, else by its structure, its size and the free memory."""
    if isinstance(operator, CosineAffinity) and wanted != "dense":
        return "low rank"
    if isinstance(operator, NeighbourAffinity) and wanted != "dense":
        return "sparse"
    if wanted == "landmarks":
        return "landmarks" if isinstance(operator, ExpKernelAffinity) else "matrix-free"
    # The matrix, the sum it is added to, and room for the solver.
    needed = 3 * 4 * operator.tokens**2
    fits = operator.tokens <= DENSE_TOKENS and needed <= free_memory(operator.device)
    beyond = "landmarks" if isinstance(operator, ExpKernelAffinity) else "matrix-free"
    return wanted if wanted != "auto" else "dense" if fits else beyond
