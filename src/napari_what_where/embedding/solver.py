"""The seam of solvers: operator in, solution out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.progress import Report


@dataclass(frozen=True, eq=False)
class Solution:
    """Leading eigenpairs of an operator.

    ``values`` (count,) float64, descending; ``vectors`` (tokens, count) float64, orthonormal; ``residuals``
    (count,) ‖A x − λ x‖; ``products`` of the operator with a single column; ``converged`` if every residual is
    within the tolerance, relative to the largest |eigenvalue| found.
    """

    values: torch.Tensor
    vectors: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool


class Solver(Protocol):
    """Finds the ``count`` ≤ tokens algebraically largest eigenpairs; the same ``seed`` gives the same answer.

    ``report`` may raise to cancel.
    """

    def __call__(
        self, operator: SymmetricOperator, count: int, *, tolerance: float, seed: int, report: Report
    ) -> Solution: ...


def product64(operator: SymmetricOperator, x: torch.Tensor) -> torch.Tensor:
    """The operator's product with float64 columns, computed at the operator's own precision and place."""
    return operator.product(x.to(operator.device, torch.float32)).to(x.device, torch.float64)


def rayleigh_ritz(operator: SymmetricOperator, basis: torch.Tensor, *, spent: int, tolerance: float) -> Solution:
    """The best eigenpairs within the span of ``basis``, (tokens, count) float64 with orthonormal columns."""
    image = product64(operator, basis)
    projected = basis.T @ image
    values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
    values, rotation = values.flip(0), rotation.flip(1)
    vectors, image = basis @ rotation, image @ rotation
    residuals = (image - vectors * values).norm(dim=0)
    bound = tolerance * float(values.abs().max())
    vectors = vectors * _signs(vectors)
    return Solution(values, vectors, residuals, spent + basis.shape[1], bool((residuals <= bound).all()))


def _signs(vectors: torch.Tensor) -> torch.Tensor:
    """±1 a column that makes its entry of largest magnitude positive: eigenvectors have no sign of their own."""
    peak = vectors.abs().argmax(dim=0)
    return torch.where(vectors.gather(0, peak[None]) < 0, -1.0, 1.0)
