"""The seam of solvers: operator in, solution out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from napari_what_where.affinity.operator import SymmetricOperator


@dataclass(frozen=True, eq=False)
class Solution:
    """Leading eigenpairs of an operator.

    ``values`` (count,) float64, descending; ``vectors`` (tokens, count) float64, orthonormal; ``residuals``
    (count,) ‖A x − λ x‖; ``products`` of the operator with a single column; ``converged`` if every residual is
    within the tolerance, relative to the largest |eigenvalue| found; ``details`` what else there is to record,
    JSON-ready: the ``solver`` that was used, a raw loss.
    """

    values: torch.Tensor
    vectors: torch.Tensor
    residuals: torch.Tensor
    products: int
    converged: bool
    details: dict[str, Any] = field(default_factory=dict)


Solver = Callable[..., Solution]
"""``solve(operator, count, *, tolerance, seed, start, report, **options)`` finds the ``count`` ≤ tokens algebraically
largest eigenpairs; the same ``seed`` gives the same answer. ``start``, (tokens, any number) or None: columns that
nearly span the answer, to save products with; they do not change what an exact solver converges to. ``report`` may
raise to cancel. ``options`` are the solver's own."""


def product64(operator: SymmetricOperator, x: torch.Tensor) -> torch.Tensor:
    """The operator's product with float64 columns, computed at the operator's own precision and place."""
    return operator.product(x.to(operator.device, torch.float32)).to(x.device, torch.float64)


def rayleigh_ritz(
    operator: SymmetricOperator, basis: torch.Tensor, *, spent: int, tolerance: float, **details: Any
) -> Solution:
    """The best eigenpairs within the span of ``basis``, (tokens, count) float64 with orthonormal columns."""
    image = product64(operator, basis)
    projected = basis.T @ image
    values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
    values, rotation = values.flip(0), rotation.flip(1)
    vectors, image = basis @ rotation, image @ rotation
    residuals = (image - vectors * values).norm(dim=0)
    bound = tolerance * float(values.abs().max())
    vectors = vectors * _signs(vectors)
    return Solution(values, vectors, residuals, spent + basis.shape[1], bool((residuals <= bound).all()), details)


def _signs(vectors: torch.Tensor) -> torch.Tensor:
    """±1 a column that makes its entry of largest magnitude positive: eigenvectors have no sign of their own."""
    peak = vectors.abs().argmax(dim=0)
    return torch.where(vectors.gather(0, peak[None]) < 0, -1.0, 1.0)
