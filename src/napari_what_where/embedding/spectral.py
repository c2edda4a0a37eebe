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
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

MANY = 1000
"""More eigenvectors than this cost as much as a full decomposition, cubic in the number of tokens."""
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

    Raises ``ValueError`` for a count below 1 or an unknown method, ``TypeError`` if ``affinity`` is no operator, or
    ``count`` or ``seed`` no whole number.
    """
    if not isinstance(affinity, SymmetricOperator):
        raise TypeError(f"affinity is {type(affinity).__name__}; expected what joint_affinity(activations) returns.")
    check_method(method)
    count, seed = check_count(count), check_seed(seed)
    if count > affinity.tokens:
        warnings.warn(
            f"count is {count} but the finest grid has only {affinity.tokens} tokens; using {affinity.tokens}.",
            stacklevel=2,
        )
        count = affinity.tokens
    if count > MANY:
        warnings.warn(
            f"{count} eigenvectors can take many minutes, and cannot be cancelled meanwhile; a few dozen are usual.",
            stacklevel=2,
        )
    finest = getattr(affinity, "finest", affinity)
    with checkpoints(report, Progress("eigenvectors", 0, 0)):
        solution = SOLVERS[method](affinity, count, tolerance=tolerance, seed=seed, report=report)
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
        if isinstance(count, bool):
            raise TypeError
        number = operators.index(count)
    except TypeError:
        raise TypeError(f"count is {count!r}; expected a whole number of eigenvectors, for example 16.") from None
    if number < 1:
        raise ValueError(f"count is {number}; expected at least 1 eigenvector.")
    return number


def check_seed(seed: Any) -> int:
    """``seed`` as an int of 64 bits, else ``TypeError`` or ``ValueError`` in words."""
    try:
        number = operators.index(seed)
    except TypeError:
        raise TypeError(f"seed is {seed!r}; expected a whole number, for example 0.") from None
    if not -(2**63) <= number < 2**63:
        raise ValueError(f"seed is {number}; expected a number of at most 64 bits, for example 0.")
    return number


def check_method(method: Any) -> None:
    """``ValueError`` in words if there is no such solver."""
    if method not in list(SOLVERS):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(map(repr, SOLVERS))}.")


def _on_grid(solution: Solution, grid: tuple[int, int]) -> np.ndarray:
    return solution.vectors.T.to("cpu", torch.float32).contiguous().numpy().reshape(-1, *grid)
