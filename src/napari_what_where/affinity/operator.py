"""The seam between affinities and solvers: a lazy symmetric linear operator."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from napari_what_where.activations.types import Grid, real_tensor
from napari_what_where.progress import checkpoint

TILE_ELEMENTS = 2**24
"""Entries of a full-rank affinity computed at a time: 64 MB in float32."""
CPU_ROWS = 512
"""Most rows of a tile on a CPU: enough for a product of matrices, few enough to be near the caches while softmax or
exp() pass over them. Whole matrices take up to three times as long."""


def row_tiles(tokens: int, device: torch.device) -> Iterator[slice]:
    """Consecutive blocks of rows of a (tokens, tokens) matrix, of at most ``TILE_ELEMENTS`` entries or one row.

    Work can be stopped between them.
    """
    step = max(1, TILE_ELEMENTS // tokens)
    if device.type == "cpu":
        step = min(step, CPU_ROWS)
    for start in range(0, tokens, step):
        checkpoint()
        yield slice(start, min(start + step, tokens))


def symmetrize_(matrix: torch.Tensor, weight: float = 0.5) -> torch.Tensor:
    """``weight`` · (M + Mᵀ), in place; block by block, as a transposed pass over a large matrix misses every cache."""
    step = 256 if matrix.device.type == "cpu" else 4096
    for i in range(0, len(matrix), step):
        for j in range(i, len(matrix), step):
            upper, lower = matrix[i : i + step, j : j + step], matrix[j : j + step, i : i + step]
            both = (upper + lower.T).mul_(weight)
            upper.copy_(both)
            lower.copy_(both.T)
    return matrix


class SymmetricOperator(ABC):
    """A symmetric (tokens, tokens) matrix known by its products.

    Subclasses give ``grid``, ``device`` and :meth:`product`. What else they know about their structure they say by
    overriding :meth:`factor` (low rank) and :meth:`dense`; solvers choose by it.
    """

    grid: Grid
    device: torch.device

    @property
    def tokens(self) -> int:
        """Number of rows and columns."""
        return self.grid[0] * self.grid[1]

    @property
    def shape(self) -> tuple[int, int]:
        """(tokens, tokens)."""
        return self.tokens, self.tokens

    @property
    @abstractmethod
    def cost(self) -> int:
        """Multiply-adds of the product with one column."""

    @abstractmethod
    def product(self, x: torch.Tensor) -> torch.Tensor:
        """The operator times ``x``, (tokens, columns) float32 on ``device``."""

    def factor(self) -> torch.Tensor | None:
        """F, (tokens, rank) float32, with F Fᵀ equal to the operator; None where it has no such low-rank form."""
        return None

    def dense(self) -> torch.Tensor:
        """The whole matrix, float32. Memory: 4 · tokens² bytes; cost: tokens products unless overridden."""
        return self.product(torch.eye(self.tokens, device=self.device))

    def half(self, out: torch.Tensor | None = None) -> torch.Tensor:
        """A matrix M such that the operator is ½(M + Mᵀ), where that is cheaper than :meth:`dense`; else that.

        ``out``: (tokens, tokens) float32 that may be overwritten with it.
        """
        return self.dense()

    def degree(self) -> torch.Tensor:
        """Row sums, (tokens,) float32."""
        return self.product(torch.ones(self.tokens, 1, device=self.device))[:, 0]

    def __matmul__(self, x: Any) -> Any:
        """The product with a torch tensor or numpy array, (tokens,) or (tokens, columns); the same type comes back.

        Computed in float32, which is also what integers and bool give. Raises ``ValueError`` if ``x`` has another
        number of rows, ``TypeError`` if it is not real numbers.
        """
        given = real_tensor(x, "x")
        if given.ndim not in (1, 2) or given.shape[0] != self.tokens:
            raise ValueError(
                f"x has shape {tuple(given.shape)}; expected ({self.tokens},) or ({self.tokens}, columns), one row "
                f"for each token of the {self.grid[0]} × {self.grid[1]} grid."
            )
        columns = given if given.ndim == 2 else given[:, None]
        answer = self.product(columns.to(self.device, torch.float32))
        answer = answer if given.ndim == 2 else answer[:, 0]
        answer = answer.to(given.device, given.dtype)
        return answer.numpy() if isinstance(x, np.ndarray) else answer


class DenseAffinity(SymmetricOperator):
    """A matrix that is already there."""

    def __init__(self, matrix: torch.Tensor, grid: Grid) -> None:
        if matrix.shape != (grid[0] * grid[1],) * 2:
            raise ValueError(f"matrix has shape {tuple(matrix.shape)}; expected one row and column a token of {grid}.")
        self.matrix, self.grid, self.device = matrix.to(torch.float32), grid, matrix.device

    @property
    def cost(self) -> int:
        return self.tokens**2

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return self.matrix @ x

    def dense(self) -> torch.Tensor:
        return self.matrix


def degree_scaling(degree: torch.Tensor) -> torch.Tensor:
    """The diagonal of D^-½ as a column, (tokens, 1), from the degrees, (tokens,)."""
    # Every affinity here has S ≥ 0 and S_ii > 0; the floor only guards against rounding in low-rank sums, and keeps
    # tokens without any affinity at 0.
    accuracy = torch.finfo(degree.dtype)
    return degree.clamp_min(max(accuracy.eps * float(degree.max()), accuracy.tiny)).rsqrt()[:, None]


class Normalized(SymmetricOperator):
    """N = D^-½ S D^-½ with D the degrees of S: the normalised adjacency (Shi & Malik 2000)."""

    def __init__(self, operator: SymmetricOperator) -> None:
        self.operator, self.grid, self.device = operator, operator.grid, operator.device
        self.scaling = degree_scaling(operator.degree())

    @property
    def cost(self) -> int:
        return self.operator.cost + 2 * self.tokens

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return self.scaling * self.operator.product(self.scaling * x)

    def factor(self) -> torch.Tensor | None:
        factor = self.operator.factor()
        return None if factor is None else self.scaling * factor

    def dense(self) -> torch.Tensor:
        return self.scaling * self.operator.dense() * self.scaling.T


class WeightedSum(SymmetricOperator):
    """Σ wᵢ Aᵢ of operators on one grid, with weights ≥ 0."""

    def __init__(self, operators: Sequence[SymmetricOperator], weights: Sequence[float]) -> None:
        if not operators or len(operators) != len(weights) or min(weights) < 0:
            raise ValueError(f"Received {len(operators)} operators and weights {list(weights)}; expected one ≥ 0 each.")
        if len({operator.grid for operator in operators}) > 1:
            raise ValueError(f"The operators live on {[operator.grid for operator in operators]}; expected one grid.")
        self.operators, self.weights = tuple(operators), tuple(weights)
        self.grid, self.device = operators[0].grid, operators[0].device

    @property
    def cost(self) -> int:
        return sum(operator.cost for operator in self.operators)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x)
        for operator, weight in zip(self.operators, self.weights, strict=True):
            total.add_(operator.product(x), alpha=weight)
        return total

    def factor(self) -> torch.Tensor | None:
        factors = [operator.factor() for operator in self.operators]
        known = [factor for factor in factors if factor is not None]
        if len(known) < len(factors):
            return None
        if self.weights == (1.0,):
            return known[0]
        joined = torch.empty(self.tokens, sum(factor.shape[1] for factor in known), device=self.device)
        parts = joined.split([factor.shape[1] for factor in known], dim=1)
        for part, factor, weight in zip(parts, known, self.weights, strict=True):
            torch.mul(factor, weight**0.5, out=part)
        return joined

    def dense(self) -> torch.Tensor:
        total = torch.zeros(self.shape, device=self.device)
        for operator, weight in zip(self.operators, self.weights, strict=True):
            total.add_(operator.dense(), alpha=weight)
        return total
