"""The gradient solver: the paper's per-image optimisation, kept as the reference for the exact one."""

from __future__ import annotations

import warnings
from dataclasses import asdict
from pathlib import Path

import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.gradient.draws import Redraw
from napari_what_where.embedding.gradient.optimisation import GradientOptions, optimise, whole_number
from napari_what_where.embedding.gradient.resuming import Checkpoint
from napari_what_where.embedding.solver import Solution, rayleigh_ritz
from napari_what_where.progress import Report, ignore_progress

HISTORY = 100
"""Losses on record, evenly spaced over the updates."""


def solve_gradient(
    operator: SymmetricOperator,
    count: int,
    *,
    tolerance: float = 1e-6,
    seed: int = 0,
    start: torch.Tensor | None = None,
    report: Report = ignore_progress,
    steps: int = GradientOptions.steps,
    accumulate: int = GradientOptions.accumulate,
    learning_rate: float = GradientOptions.learning_rate,
    eigenvalue_weight: float = GradientOptions.eigenvalue_weight,
    orthogonality_weight: float = GradientOptions.orthogonality_weight,
    width: int = GradientOptions.width,
    layers: int = GradientOptions.layers,
    pooling: str = GradientOptions.pooling,
    unit_columns: bool = GradientOptions.unit_columns,
    redraw: Redraw | None = None,
    buffer: int = GradientOptions.buffer,
    reuse: float = GradientOptions.reuse,
    checkpoint: str | Path | None = None,
    save_every: int = 100,
) -> Solution:
    """Approximate leading eigenpairs as Zhang, Yunis & Maire 2024 find them: by gradient descent, for one image.

    A small convolutional network with a softmax over ``count`` channels is trained to make its channels, pooled to
    each network layer's grid and scaled to unit length, z, minimise |zᵀ A z − 1| and their overlaps
    (:class:`Objective`). Its channels are then orthonormalised, and Rayleigh–Ritz with the operator gives values,
    vectors and residuals that can be compared with the exact solver's, under the same normalisation. The raw loss,
    its parts and its history are in ``Solution.details``.

    Defaults are the paper's, and where it leaves them open its authors' own: see :class:`GradientOptions`.

    Parameters
    ----------
    operator, count, seed, report
        See :data:`~napari_what_where.embedding.solver.Solver`. Network layers are told apart if the operator comes
        from ``joint_affinity(…, collapse=False)``; under degree normalisation that makes no difference.
    tolerance : float
        Only decides what ``converged`` says, which for 2000 steps is no.
    start : tensor, optional
        Not used: eigenvectors have signs, and a softmax has none.
    steps, accumulate, learning_rate
        Gradients of ``accumulate`` steps make one update of Adam; what is left over at the end makes a smaller one.
        Steps between two updates that see the same operator have the same gradient, which is computed once.
    eigenvalue_weight, orthogonality_weight
        Of the two parts of the loss.
    width, layers
        Of the network, see :class:`SoftmaxNet`.
    pooling : "mean" or "orthonormal"
        Plain averages (the paper's), or those of the exact solver; they only differ where grids do not nest.
    unit_columns : bool
        Scale channels to unit length on each grid (the paper's), or on the finest alone: see :class:`Objective`.
    redraw : callable, optional
        ``redraw(step)`` gives the operator of freshly drawn timesteps and noise, on the same grid and device; the
        official script draws a timestep in 0…250 for each step. It must give the same for the same number where a
        run is to be resumed. ``operator`` then only serves to compute values and the final loss. Default: the
        operator itself at every step.
    buffer, reuse
        Of ``redraw``: keep the last ``buffer`` operators, and once there are so many take one of them, at random, with
        probability ``reuse`` instead of a new one. ``buffer=0`` draws at every step.
    checkpoint : path, optional
        File to keep the state in, written every ``save_every`` steps and at the end, and gone on from if it is there.
        A run that is resumed gives the same as one that was not interrupted. It is the caller's to delete.

    The loss is not convex: with some seeds two channels share a region while a third holds two, and a heavier
    ``orthogonality_weight``, or another ``seed``, tells them apart. Warns if the operator's values are far
    above 1, as those of *what* without normalisation are: |zᵀ A z − 1| then pulls away from leading eigenvectors.
    Raises ``ValueError`` or ``TypeError`` for an option out of its range, what ``redraw`` gives, or a checkpoint of
    another run. Cost: at most ``steps`` products with ``count`` columns and, where operators are redrawn, as many
    draws; ``steps`` / ``accumulate`` passes through the network, 3 · 9 · ``width``² · ``layers`` · tokens each.
    """
    options = GradientOptions(
        steps,
        accumulate,
        learning_rate,
        eigenvalue_weight,
        orthogonality_weight,
        width,
        layers,
        pooling,
        unit_columns,
        buffer,
        reuse,
    )
    _warn_beyond_one(operator)
    kept = None if checkpoint is None else Checkpoint(Path(checkpoint), every=whole_number("save_every", save_every, 1))
    found = optimise(operator, count, options, seed=seed, report=report, redraw=redraw, checkpoint=kept)
    home = torch.device("cpu") if operator.device.type == "mps" else operator.device  # Apple's GPUs have no float64
    basis = torch.linalg.qr(found.assignment.to(home, torch.float64))[0]
    chosen = {name: value for name, value in asdict(options).items() if redraw or name not in ("buffer", "reuse")}
    return rayleigh_ritz(
        operator,
        basis,
        spent=found.products + 1,
        tolerance=tolerance,
        solver="gradient",
        loss=found.loss,
        eigenvalue_term=found.eigenvalue_term,
        orthogonality_term=found.orthogonality_term,
        loss_history=_thinned(found.losses),
        updates=len(found.losses),
        draws=found.draws,
        **chosen,
    )


def _warn_beyond_one(operator: SymmetricOperator) -> None:
    level = float(operator.degree().mean())
    if level > 1.5:
        warnings.warn(
            f"The affinity's mean degree is {level:.3g}, but the loss of method 'gradient' asks for values near 1: "
            "expect no eigenvectors from it. Use normalization='degree', or method 'exact'.",
            stacklevel=4,
        )


def _thinned(losses: list[float]) -> list[float]:
    """At most ``HISTORY`` of them, evenly spaced, the last among them."""
    kept = min(len(losses), HISTORY)
    return [losses[(number + 1) * len(losses) // kept - 1] for number in range(kept)]
