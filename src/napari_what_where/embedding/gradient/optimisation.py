"""The optimisation inside the gradient solver: its options, its state, and one update after the other."""

from __future__ import annotations

import math
import operator as operators
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.gradient.draws import Draws, Redraw
from napari_what_where.embedding.gradient.objective import POOLINGS, Objective
from napari_what_where.embedding.gradient.resuming import Checkpoint
from napari_what_where.embedding.gradient.softmax_net import SoftmaxNet
from napari_what_where.progress import Progress, Report, ignore_progress


@dataclass(frozen=True)
class GradientOptions:
    """The options of :func:`solve_gradient` that decide what comes out, checked.

    Defaults are those of the official per-image script (github.com/xiao7199/layer_distributed_spectral_clustering,
    ``single_img/srun.sh`` and ``main.py``, which settle what the paper leaves open).
    """

    steps: int = 2000
    accumulate: int = 20
    learning_rate: float = 2e-3
    eigenvalue_weight: float = 2.0
    orthogonality_weight: float = 2.0
    width: int = 128
    layers: int = 3
    pooling: str = "mean"
    unit_columns: bool = True
    buffer: int = 7
    reuse: float = 0.75

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("accumulate", 1), ("width", 1), ("layers", 1), ("buffer", 0)):
            object.__setattr__(self, name, whole_number(name, getattr(self, name), least))
        for name in ("learning_rate", "eigenvalue_weight", "orthogonality_weight", "reuse"):
            object.__setattr__(
                self, name, real_number(name, getattr(self, name), most=1 if name == "reuse" else math.inf)
            )
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling is {self.pooling!r}; expected one of {', '.join(map(repr, POOLINGS))}.")
        object.__setattr__(self, "unit_columns", bool(self.unit_columns))


@dataclass(frozen=True, eq=False)
class Optimised:
    """Where the optimisation ended.

    ``assignment`` (tokens, count) float32, rows sum to 1: the network's softmax, whose ``argmax(1)`` is a
    segmentation of its own; ``losses`` the mean raw loss of each update's steps; ``eigenvalue_term`` and
    ``orthogonality_term`` of the final assignment, unweighted (see :class:`Objective`), and ``loss``, their weighted
    sum; ``products`` of the operator with a single column; ``draws`` of operators.
    """

    assignment: torch.Tensor
    losses: list[float]
    eigenvalue_term: float
    orthogonality_term: float
    loss: float
    products: int
    draws: int


def optimise(
    operator: SymmetricOperator,
    count: int,
    options: GradientOptions,
    *,
    seed: int = 0,
    report: Report = ignore_progress,
    redraw: Redraw | None = None,
    checkpoint: Checkpoint | None = None,
) -> Optimised:
    """The optimisation of :func:`solve_gradient`, before its answer is made into eigenvectors."""
    run = _Run(operator, count, options, seed, redraw)
    if checkpoint is not None:
        known = {"grid": list(operator.grid), "count": count, "seed": seed, "redrawn": redraw is not None}
        signature = known | asdict(options)
        checkpoint.open(run, signature, run.fingerprint())
    while run.done < options.steps:
        before = run.done
        run.update(report)
        if checkpoint is not None:
            checkpoint.save(run, before, last=run.done == options.steps)
    return run.result()


class _Run:
    """The state of an optimisation: all that changes from update to update."""

    def __init__(
        self, operator: SymmetricOperator, count: int, options: GradientOptions, seed: int, redraw: Redraw | None
    ) -> None:
        self.operator, self.options = operator, options
        self.generator = torch.Generator().manual_seed(seed)
        net = SoftmaxNet(operator.grid, count, width=options.width, layers=options.layers, generator=self.generator)
        self.net = net.to(operator.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=options.learning_rate)
        self.objective = Objective(operator.grid, pooling=options.pooling, unit_columns=options.unit_columns)
        self.draws = Draws(operator, redraw, buffer=options.buffer, reuse=options.reuse, generator=self.generator)
        self.done = self.products = 0
        self.losses: list[float] = []

    def update(self, report: Report) -> None:
        """One update of Adam, from the gradients of the next ``accumulate`` steps."""
        first, last = self.done, min(self.done + self.options.accumulate, self.options.steps)
        with _repeatable():
            self.adam.zero_grad()
            assignment = self.net()
            leaf = assignment.detach().requires_grad_()
            seen: dict[int, tuple[float, torch.Tensor]] = {}
            total, losses = torch.zeros_like(leaf), []
            for step in range(first, last):
                report(Progress("eigenvectors", step, self.options.steps))
                number, current = self.draws.at(step)
                if number not in seen:
                    seen[number] = self._gradient(current, leaf)
                del current  # not held while the next one is drawn
                losses.append(seen[number][0])
                total += seen[number][1]
            assignment.backward(total)
            self.adam.step()
        self.losses.append(sum(losses) / len(losses))
        self.done = last

    def result(self) -> Optimised:
        """The answer as it stands."""
        with torch.no_grad(), _repeatable():
            assignment = self.net()
            eigenvalue, orthogonality = (float(part) for part in self.objective(self.operator, assignment))
        self.products += assignment.shape[1]
        loss = self._weighted(eigenvalue, orthogonality)
        return Optimised(
            assignment, self.losses, eigenvalue, orthogonality, loss, products=self.products, draws=self.draws.count
        )

    def fingerprint(self) -> torch.Tensor:
        """Some entries of the operator times a fixed vector: enough to tell two affinities apart."""
        self.products += 1
        x = torch.randn(self.operator.tokens, 1, generator=torch.Generator().manual_seed(0))
        return self.operator.product(x.to(self.operator.device))[:64, 0]

    def state(self) -> dict[str, Any]:
        """See :class:`~napari_what_where.embedding.gradient.resuming.Resumable`."""
        return {
            "net": self.net.state_dict(),
            "adam": self.adam.state_dict(),
            "generator": self.generator.get_state(),
            "buffer": self.draws.numbers,
            "counts": [self.done, self.products, self.draws.count],
            "losses": self.losses,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`~napari_what_where.embedding.gradient.resuming.Resumable`."""
        self.net.load_state_dict(state["net"])
        self.adam.load_state_dict(state["adam"])
        self.generator.set_state(state["generator"])
        self.draws.numbers, self.losses = list(state["buffer"]), list(state["losses"])
        self.done, products, self.draws.count = state["counts"]
        self.products += products

    def _gradient(self, operator: SymmetricOperator, leaf: torch.Tensor) -> tuple[float, torch.Tensor]:
        """Loss of one step, and its gradient with respect to the assignment."""
        eigenvalue, orthogonality = self.objective(operator, leaf)
        loss = self._weighted(eigenvalue, orthogonality)
        self.products += leaf.shape[1]
        return float(loss.detach()), torch.autograd.grad(loss, leaf)[0]

    def _weighted(self, eigenvalue: Any, orthogonality: Any) -> Any:
        return self.options.eigenvalue_weight * eigenvalue + self.options.orthogonality_weight * orthogonality


@contextmanager
def _repeatable() -> Iterator[None]:
    """Within the block convolutions on NVIDIA GPUs give the same bits every time, at some cost."""
    known = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = known


def whole_number(name: str, given: Any, least: int) -> int:
    """``given`` as an int of at least ``least``, else ``TypeError`` or ``ValueError`` in words."""
    try:
        if isinstance(given, bool):
            raise TypeError
        number = operators.index(given)
    except TypeError:
        raise TypeError(f"{name} is {given!r}; expected a whole number, at least {least}.") from None
    if number < least:
        raise ValueError(f"{name} is {number}; expected at least {least}.")
    return number


def real_number(name: str, given: Any, most: float) -> float:
    """``given`` as a float of 0 … ``most``, else ``TypeError`` or ``ValueError`` in words."""
    try:
        if isinstance(given, bool | str):
            raise TypeError
        number = float(given)
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {given!r}; expected a number.") from None
    if not 0 <= number <= most or math.isinf(number):
        wanted = "of at least 0" if math.isinf(most) else f"between 0 and {most:g}"
        raise ValueError(f"{name} is {number}; expected a number {wanted}.")
    return number
