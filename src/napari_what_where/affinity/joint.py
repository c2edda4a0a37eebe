"""The joint operator: all network layers in one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from napari_what_where.activations.backbone import PATHWAYS
from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.attention import AttentionAffinity
from napari_what_where.affinity.collapse import SumsByGrid, Term, weighted
from napari_what_where.affinity.cosine import CosineAffinity, ExpKernelAffinity
from napari_what_where.affinity.neighbours import NeighbourAffinity
from napari_what_where.affinity.operator import SymmetricOperator, WeightedSum
from napari_what_where.affinity.pooling import Pooled
from napari_what_where.device import resolve_device
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

NORMALIZATIONS = ("degree", "none")
KERNELS = ("cosine", "exp", "neighbours")
FORMS = ("auto", "dense", "matrix-free", "landmarks")


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
            grid: weighted([term.operator for term in same], [term.weight / shares[grid] for term in same])
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
    fold = JointFold(
        pathway,
        normalization,
        kernel=kernel,
        temperature=temperature,
        centred=centred,
        form=form,
        collapse=collapse,
        device=device,
        report=report,
    )
    for layer in activations:
        fold.add(layer)
    return fold.finish()


class JointFold:
    """A joint operator in the making: network layers are added one at a time, as a model computes them.

    Parameters are those of :func:`joint_affinity`. What is collapsed into a matrix holds on to nothing of the
    activations that were added; low-rank affinities keep the values, matrix-free ones the queries and keys.
    """

    def __init__(
        self,
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
    ) -> None:
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

        self._stand_in = what
        self._build = {"what": [what], "where": [where], "both": [what, where]}[pathway]
        self._sums = SumsByGrid(normalized=normalization == "degree", form=form, collapse=bool(collapse))
        self._report = report
        self._names: list[str] = []
        self._forms: list[str] = []

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the network layers so far."""
        return tuple(self._names)

    def add(self, layer: TokenActivations) -> None:
        """Add a network layer, which counts by its weight; "what" and "where" of each count the same."""
        if not isinstance(layer, TokenActivations):
            raise TypeError(f"activations hold {type(layer).__name__}; expected TokenActivations, one a network layer.")
        progress = Progress("affinity", len(self._names), 0)
        self._report(progress)
        self._names.append(layer.name)
        with checkpoints(self._report, progress):
            # In "both" what has values only counts twice, as every other layer does.
            share = layer.weight * len(self._build) if layer.stands_in else layer.weight
            for make in [self._stand_in] if layer.stands_in else self._build:
                self._forms.append(self._sums.add(make(layer), share))

    def finish(self) -> JointAffinity:
        """The mean of all that were added; nothing can be added afterwards. ``ValueError`` if there were none."""
        if not self._names:
            raise ValueError("Received no activations; expected at least one network layer.")
        return JointAffinity(self._sums.terms(), self.layers, tuple(self._forms))


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
