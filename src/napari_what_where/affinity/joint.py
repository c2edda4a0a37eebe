"""The joint operator: all network layers in one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import torch

from napari_what_where.activations.backbone import PATHWAYS
from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.attention import AttentionAffinity
from napari_what_where.affinity.cosine import CosineAffinity, ExpKernelAffinity
from napari_what_where.affinity.landmarks import LandmarkAffinity
from napari_what_where.affinity.neighbours import NeighbourAffinity
from napari_what_where.affinity.operator import (
    DenseAffinity,
    Normalized,
    SymmetricOperator,
    WeightedSum,
    degree_scaling,
)
from napari_what_where.affinity.pooling import Pooled
from napari_what_where.device import resolve_device
from napari_what_where.memory import free_memory
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

NORMALIZATIONS = ("degree", "none")
KERNELS = ("cosine", "exp", "neighbours")
FORMS = ("auto", "dense", "matrix-free", "landmarks")
DENSE_TOKENS = 16384
"""Full-rank affinities are collapsed into one matrix a grid up to this many tokens (1.1 GB), as far as memory allows;
beyond, see ``form`` of :func:`joint_affinity`."""


class Term(NamedTuple):
    """A part of the joint operator on its own grid; the weights of all parts sum to 1."""

    operator: SymmetricOperator
    weight: float


class JointAffinity(SymmetricOperator):
    """J = mean over network layers of P_lᵀ N_l P_l, on the finest grid.

    Attributes
    ----------
    grid : (rows, columns) of the finest token grid, the one with most tokens
    finest : the mean operator of the layers that live on that grid; it knows boundaries best
    terms : what J is made of, J = Σ weight · Pᵀ operator P, each operator on its own grid: the mean of a grid's layers,
        or, not collapsed, each layer's own
    layers : names of the network layers in it, for the record
    forms : how each of their affinities is held: "low rank", "sparse", "dense", "matrix-free", or "landmarks" with the
        share of the trace that they miss; for the record
    """

    def __init__(self, terms: Sequence[Term], layers: tuple[str, ...], forms: tuple[str, ...] = ()) -> None:
        self.terms, self.layers, self.forms = tuple(terms), layers, forms
        by_grid: dict[Grid, list[Term]] = {}
        for term in terms:
            by_grid.setdefault(term.operator.grid, []).append(term)
        self.grid = max(by_grid, key=lambda grid: (grid[0] * grid[1], grid))
        shares = {grid: sum(term.weight for term in same) for grid, same in by_grid.items()}
        means = {
            grid: _weighted([term.operator for term in same], [term.weight / shares[grid] for term in same])
            for grid, same in by_grid.items()
        }
        self.finest = means[self.grid]
        self.device = self.finest.device
        pooled = [mean if grid == self.grid else Pooled(mean, self.grid) for grid, mean in means.items()]
        self._sum = WeightedSum(pooled, list(shares.values()))

    @property
    def cost(self) -> int:
        return self._sum.cost

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return self._sum.product(x)

    def factor(self) -> torch.Tensor | None:
        return self._sum.factor()

    def dense(self) -> torch.Tensor:
        return self._sum.dense()


def joint_affinity(
    activations: Iterable[TokenActivations],
    pathway: str = "what",
    normalization: str = "degree",
    *,
    kernel: str = "cosine",
    temperature: float = 0.1,
    centred: bool = True,
    form: str = "auto",
    collapse: bool = True,
    device: str | torch.device = "auto",
    report: Report = ignore_progress,
) -> JointAffinity:
    """Fold every network layer's affinity into one symmetric operator on the finest grid.

    Parameters
    ----------
    activations : iterable of TokenActivations
        Consumed one at a time: a full-rank affinity of up to ``DENSE_TOKENS`` tokens is collapsed at once, so its
        activations can be freed.
    pathway : "what", "where" or "both"
        Value similarity, key-query similarity, or both with equal weight.
    normalization : "degree" or "none"
        D^-½ S D^-½ for each layer, or S itself (the paper's own).
    kernel : "cosine", "exp" or "neighbours"
        Of *what*: (1 + cosine) / 2, low rank; exp(cosine / temperature); or the paper's, the 50 largest cosines.
    centred : bool
        Subtract the image's mean value first.
    form : "auto", "dense", "matrix-free" or "landmarks"
        Of full-rank affinities: collapsed into a matrix; known by products only (same answers, less memory, slower to
        solve); or, kernel "exp" only, approximated from landmarks. "auto" goes by the number of tokens and the free
        memory: a matrix if it fits, else landmarks for "exp" and products for attention. See ``JointAffinity.forms``.
    collapse : bool
        Keep only the mean of each grid's operators as a term of the answer; else each network layer's own operator:
        the same J, with a matrix for each full-rank layer. Only method "gradient" can tell the difference.

    Raises
    ------
    ValueError
        For an unknown option, no activations, or a layer that lacks what the pathway needs.
    TypeError
        If ``activations`` holds something else than TokenActivations.

    Cost: low-rank layers O(tokens · width); full-rank ones O(heads · tokens² · head_dim) once.
    """
    check_options(pathway, normalization, kernel, form)
    target = resolve_device(device)

    def what(layer: TokenActivations) -> SymmetricOperator:
        if kernel == "neighbours":
            return NeighbourAffinity.of(layer, target, centred=centred)
        if kernel == "exp":
            return ExpKernelAffinity.of(layer, target, centred=centred, temperature=temperature)
        return CosineAffinity.of(layer, target, centred=centred)

    def where(layer: TokenActivations) -> SymmetricOperator:
        return AttentionAffinity.of(layer, target)

    build = {"what": [what], "where": [where], "both": [what, where]}[pathway]
    sums = _Sums(normalized=normalization == "degree", form=form, collapse=bool(collapse))
    return _fold(activations, build, sums, report)


def check_options(pathway: Any, normalization: Any, kernel: Any = "cosine", form: Any = "auto") -> None:
    """``ValueError`` in words for an option of :func:`joint_affinity` that there is not."""
    for name, given, known in (
        ("pathway", pathway, PATHWAYS),
        ("normalization", normalization, NORMALIZATIONS),
        ("kernel", kernel, KERNELS),
        ("form", form, FORMS),
    ):
        if given not in known:
            raise ValueError(f"{name} is {given!r}; expected one of {', '.join(map(repr, known))}.")


class _Sums:
    """Operators by grid, as they come: full-rank ones collapsed into one matrix a grid, the others kept lazy."""

    def __init__(self, *, normalized: bool, form: str, collapse: bool) -> None:
        self.normalized, self.form, self.collapse = normalized, form, collapse
        self.counts: dict[Grid, int] = {}
        self.lazy: dict[Grid, list[SymmetricOperator]] = {}
        self.collapsed: dict[Grid, torch.Tensor] = {}

    def add(self, operator: SymmetricOperator) -> str:
        """Add an operator; returns the form in which it is held."""
        grid, held = operator.grid, _form_of(operator, self.form)
        if held == "landmarks" and isinstance(operator, ExpKernelAffinity):
            operator = LandmarkAffinity(operator)
            held = f"landmarks (trace error {operator.trace_error:.1e})"
        if held == "dense":
            operator = DenseAffinity(self._dense(operator), grid)
        elif self.normalized:
            operator = Normalized(operator)
        self.counts[grid] = self.counts.get(grid, 0) + 1
        if held != "dense" or not self.collapse:
            self.lazy.setdefault(grid, []).append(operator)
        elif grid in self.collapsed:
            self.collapsed[grid] += operator.dense()
        else:
            self.collapsed[grid] = operator.dense()
        return held

    def _dense(self, operator: SymmetricOperator) -> torch.Tensor:
        """The matrix of an affinity, normalised if wanted; in place, as copies take longer than the rest."""
        matrix = operator.dense()
        if not self.normalized:
            return matrix
        scaling = degree_scaling(matrix.sum(dim=1))
        return matrix.mul_(scaling).mul_(scaling.T)

    def terms(self) -> list[Term]:
        """Each grid's mean operator, or each operator by itself; every one that was added weighs the same."""
        total = sum(self.counts.values())
        if not self.collapse:
            return [Term(operator, 1 / total) for same in self.lazy.values() for operator in same]
        return [Term(self._mean(grid), count / total) for grid, count in self.counts.items()]

    def _mean(self, grid: Grid) -> SymmetricOperator:
        count, operators = self.counts[grid], self.lazy.get(grid, [])
        if grid not in self.collapsed:
            return _weighted(operators, [1 / count] * len(operators))
        matrix = DenseAffinity(self.collapsed.pop(grid).div_(count), grid)
        return _weighted([*operators, matrix], [1 / count] * len(operators) + [1.0])


def _weighted(operators: list[SymmetricOperator], weights: list[float]) -> SymmetricOperator:
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


def _fold(
    activations: Iterable[TokenActivations],
    build: Sequence[Callable[[TokenActivations], SymmetricOperator]],
    sums: _Sums,
    report: Report,
) -> JointAffinity:
    """Sum layers by grid as they come, then take the mean. Every term weighs the same: network layers do, and so do
    "what" and "where" of each.
    """
    names: list[str] = []
    forms: list[str] = []
    for done, layer in enumerate(activations):
        if not isinstance(layer, TokenActivations):
            raise TypeError(f"activations hold {type(layer).__name__}; expected TokenActivations, one a network layer.")
        progress = Progress("affinity", done, 0)
        report(progress)
        names.append(layer.name)
        with checkpoints(report, progress):
            for make in build:
                forms.append(sums.add(make(layer)))
    if not names:
        raise ValueError("Received no activations; expected at least one network layer.")
    return JointAffinity(sums.terms(), tuple(names), tuple(forms))
