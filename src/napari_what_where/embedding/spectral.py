"""From an affinity to its leading eigenvectors."""

from __future__ import annotations

import operator as operators
import warnings
from typing import Any

import numpy as np
import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.exact import solve_exact
from napari_what_where.embedding.sharpen import sharpen
from napari_what_where.embedding.solver import Solution, Solver
from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import Report, ignore_progress

SOLVERS: dict[str, Solver] = {"exact": solve_exact}


def spectral_embedding(
    affinity: SymmetricOperator,
    count: int = 16,
    method: str = "exact",
    *,
    tolerance: float = 1e-6,
    seed: int = 0,
    report: Report = ignore_progress,
) -> Embedding:
    """Leading ``count`` eigenvectors of an affinity, by largest algebraic eigenvalue.

    ``count`` above the number of tokens is clamped, with a ``UserWarning``. Deterministic for a ``seed``.
    See :class:`Embedding` for what comes back and ``embedding/exact.py`` for the cost.

    Raises ``ValueError`` for a count below 1 or an unknown method, ``TypeError`` if ``affinity`` is no operator.
    """
    if not isinstance(affinity, SymmetricOperator):
        raise TypeError(f"affinity is {type(affinity).__name__}; expected what joint_affinity(activations) returns.")
    if method not in SOLVERS:
        raise ValueError(f"method is {method!r}; expected one of {', '.join(map(repr, SOLVERS))}.")
    count = check_count(count)
    if count > affinity.tokens:
        warnings.warn(
            f"count is {count} but the finest grid has only {affinity.tokens} tokens; using {affinity.tokens}.",
            stacklevel=2,
        )
        count = affinity.tokens
    solution = SOLVERS[method](affinity, count, tolerance=tolerance, seed=seed, report=report)
    finest = getattr(affinity, "finest", affinity)
    sharp = solution if finest is affinity else sharpen(finest, solution)
    return Embedding(
        values=solution.values.cpu().numpy(),
        vectors=_on_grid(solution, affinity.grid),
        residuals=solution.residuals.cpu().numpy(),
        products=solution.products,
        converged=solution.converged,
        sharp_values=sharp.values.cpu().numpy(),
        sharp_vectors=_on_grid(sharp, affinity.grid),
    )


def check_count(count: Any) -> int:
    """``count`` as an int ≥ 1, else ``TypeError`` or ``ValueError`` in words."""
    try:
        number = operators.index(count)
    except TypeError:
        raise TypeError(f"count is {count!r}; expected a whole number of eigenvectors, for example 16.") from None
    if number < 1:
        raise ValueError(f"count is {number}; expected at least 1 eigenvector.")
    return number


def _on_grid(solution: Solution, grid: tuple[int, int]) -> np.ndarray:
    return solution.vectors.T.to("cpu", torch.float32).contiguous().numpy().reshape(-1, *grid)
