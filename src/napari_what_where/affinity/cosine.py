"""The *what* affinities: value similarity, linear (low rank) or sharpened by an exponential."""

from __future__ import annotations

import torch

from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.operator import SymmetricOperator, row_tiles

MOST_ZERO_COLUMNS = 64
"""Up to this many zero values are written into the factor; with more, the operator is low rank plus a diagonal."""


def unit_values(activations: TokenActivations, device: torch.device, *, centred: bool = True) -> torch.Tensor:
    """Values merged over heads, centred over the image and scaled to length 1; (tokens, heads · head_dim) float32.

    Values that are zero (after centring, to rounding) stay exactly zero. ``ValueError`` if there are no values.
    """
    if activations.value is None:
        raise ValueError(f"{activations.name} has no values: pathway 'what' is unavailable. Use pathway 'where'.")
    values = activations.value.to(torch.promote_types(activations.value.dtype, torch.float32))
    low, high = torch.aminmax(values)
    # Cosines know no scale; with a largest entry of 1 neither the cast nor the squares can overflow or vanish.
    merged = torch.empty(activations.tokens, *values.shape[::2], device=values.device)
    torch.div(values.permute(1, 0, 2), torch.maximum(high, -low) or 1.0, out=merged)
    merged = merged.flatten(1).to(device)
    if centred:
        merged.sub_(merged.mean(dim=0, keepdim=True))
    length = merged.norm(dim=1, keepdim=True)
    rounding = 8 * torch.finfo(torch.float32).eps * merged.shape[1] ** 0.5
    return merged.mul_(torch.where(length > rounding, 1 / length.clamp_min(rounding), 0.0))


class CosineAffinity(SymmetricOperator):
    """S = (1 + cosine) / 2: non-negative, of rank ≤ width + 1.

    A zero value has cosine 0 with all others and 1 with itself.
    """

    def __init__(self, unit: torch.Tensor, grid: Grid) -> None:
        self.grid, self.device = grid, unit.device
        half = 0.5**0.5
        self.columns = torch.empty(unit.shape[0], unit.shape[1] + 1, device=self.device)
        self.columns[:, 0] = half
        torch.mul(unit, half, out=self.columns[:, 1:])
        self.zero = (unit == 0).all(dim=1)
        self.has_zero = bool(self.zero.any())

    @classmethod
    def of(cls, activations: TokenActivations, device: torch.device, *, centred: bool = True) -> CosineAffinity:
        """From a network layer's values, merged over heads."""
        return cls(unit_values(activations, device, centred=centred), activations.grid)

    @property
    def cost(self) -> int:
        return 2 * self.columns.numel()

    def product(self, x: torch.Tensor) -> torch.Tensor:
        similar = self.columns @ (self.columns.T @ x)
        return similar + 0.5 * self.zero[:, None] * x if self.has_zero else similar

    def factor(self) -> torch.Tensor | None:
        if not self.has_zero:
            return self.columns
        where = self.zero.nonzero()[:, 0]
        if len(where) > MOST_ZERO_COLUMNS:
            return None
        own = torch.zeros(self.tokens, len(where), device=self.device)
        own[where, torch.arange(len(where), device=self.device)] = 0.5**0.5
        return torch.cat([self.columns, own], dim=1)

    def dense(self) -> torch.Tensor:
        matrix = self.columns @ self.columns.T
        if self.has_zero:
            matrix.diagonal().add_(0.5 * self.zero)
        return matrix


class ExpKernelAffinity(SymmetricOperator):
    """S = exp((cosine - 1) / τ): exp(cosine / τ) up to the constant e^(1/τ), which would overflow for small τ.

    Full rank; products are computed a tile of rows at a time.
    """

    def __init__(self, unit: torch.Tensor, grid: Grid, temperature: float = 0.1) -> None:
        if not temperature > 0:
            raise ValueError(f"temperature is {temperature}; expected a number above 0, for example 0.1.")
        self.unit, self.grid, self.device, self.temperature = unit, grid, unit.device, temperature
        self.zero = (unit == 0).all(dim=1)

    @classmethod
    def of(
        cls, activations: TokenActivations, device: torch.device, *, centred: bool = True, temperature: float = 0.1
    ) -> ExpKernelAffinity:
        """From a network layer's values, merged over heads."""
        return cls(unit_values(activations, device, centred=centred), activations.grid, temperature)

    @property
    def cost(self) -> int:
        return self.tokens**2 * (self.unit.shape[1] + 2)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([self._rows(rows) @ x for rows in row_tiles(self.tokens, self.device)])

    def dense(self) -> torch.Tensor:
        matrix = torch.empty(self.shape, device=self.device)
        for rows in row_tiles(self.tokens, self.device):
            matrix[rows] = self._rows(rows)
        return matrix

    def columns(self, tokens: torch.Tensor) -> torch.Tensor:
        """Some columns of the matrix: (tokens, chosen) float32 for (chosen,) token numbers."""
        cosine = self.unit @ self.unit[tokens].T
        chosen = torch.arange(len(tokens), device=self.device)
        cosine[tokens, chosen] += self.zero[tokens].to(cosine.dtype)
        return torch.exp((cosine - 1) / self.temperature)

    def _rows(self, rows: slice) -> torch.Tensor:
        cosine = self.unit[rows] @ self.unit.T
        cosine.diagonal(rows.start).add_(self.zero[rows])
        return torch.exp((cosine - 1) / self.temperature)
