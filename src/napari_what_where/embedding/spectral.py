"""From an affinity to its leading eigenvectors."""

from __future__ import annotations

import inspect
import operator as operators
import warnings
from typing import Any

import numpy as np
import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.exact import solve_exact
from napari_what_where.embedding.gradient.solve import solve_gradient
from napari_what_where.embedding.sharpen import sharpen
from napari_what_where.embedding.solver import Solution, Solver
from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

MANY = 1000
"""More eigenvectors than this cost as much as a full decomposition, cubic in the number of tokens."""
SOLVERS: dict[str, Solver] = {"exact": solve_exact, "gradient": solve_gradient}


def spectral_embedding(
    affinity: SymmetricOperator,
    count: int = 16,
    method: str = "exact",
    *,
    tolerance: float = 1e-6,
    seed: int = 0,
    start: Embedding | None = None,
    report: Report = ignore_progress,
    **options: Any,
) -> Embedding:
    """Leading ``count`` eigenvectors of an affinity, by largest algebraic eigenvalue.

    ``count`` above the number of tokens is clamped, with a ``UserWarning``. Deterministic for a ``seed``.
    See :class:`Embedding` for what comes back, ``embedding/exact.py`` and ``embedding/gradient/`` for the cost.

    Parameters
    ----------
    method : "exact" or "gradient"
        Eigenvectors to ``tolerance`` (relative to the largest eigenvalue), or the paper's optimisation.
    start : Embedding, optional
        An earlier answer on the same token grid: of another count, of the frame or timestep before. Saves products
        where the solver iterates, and changes nothing else.
    options
        The method's own, see :func:`~napari_what_where.embedding.gradient.solve.solve_gradient`.

    Raises ``ValueError`` for a count below 1, an unknown method, or a ``start`` on another grid; ``TypeError`` if
    ``affinity`` is no operator, ``count`` or ``seed`` no whole number, or for an option that the method does not have.
    """
    if not isinstance(affinity, SymmetricOperator):
        raise TypeError(f"affinity is {type(affinity).__name__}; expected what joint_affinity(activations) returns.")
    check_method(method)
    count, seed = check_count(count), check_seed(seed)
    _check_options(method, options)
    if start is not None and start.grid != affinity.grid:
        raise ValueError(f"start lives on the token grid {start.grid}; expected that of the affinity, {affinity.grid}.")
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
    with checkpoints(report, Progress("eigenvectors", 0, 0)):
        columns = None if start is None else torch.from_numpy(start.vectors).flatten(1).T.to(affinity.device)
        solution = SOLVERS[method](
            affinity, count, tolerance=tolerance, seed=seed, start=columns, report=report, **options
        )
        sharp = _sharpened(affinity, solution)
    return Embedding(
        values=solution.values.cpu().numpy(),
        vectors=_on_grid(solution, affinity.grid),
        residuals=solution.residuals.cpu().numpy(),
        products=solution.products,
        converged=solution.converged,
        sharp_values=sharp.values.cpu().numpy(),
        sharp_vectors=_on_grid(sharp, affinity.grid),
        details=solution.details,
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


def _check_options(method: str, given: dict[str, Any]) -> None:
    """``TypeError`` in words for an option that the method's solver does not have."""
    common = {"operator", "count", "tolerance", "seed", "start", "report"}
    known = [name for name in inspect.signature(SOLVERS[method]).parameters if name not in common]
    unknown = [name for name in given if name not in known]
    if unknown:
        has = f"it has {', '.join(known)}" if known else "it has none"
        raise TypeError(f"method {method!r} has no option {', '.join(map(repr, unknown))}; {has}.")


def _sharpened(affinity: SymmetricOperator, solution: Solution) -> Solution:
    """With boundaries where the finest layers put them; as it is, if there are no others."""
    coarser = any(term.operator.grid != affinity.grid for term in getattr(affinity, "terms", ()))
    return sharpen(affinity.finest, solution) if coarser else solution  # type: ignore[attr-defined]


def _on_grid(solution: Solution, grid: tuple[int, int]) -> np.ndarray:
    return solution.vectors.T.to("cpu", torch.float32).contiguous().numpy().reshape(-1, *grid)
