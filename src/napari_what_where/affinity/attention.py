"""The *where* affinity: key-query similarity, as the model's own attention has it."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.operator import SymmetricOperator, row_tiles


class AttentionAffinity(SymmetricOperator):
    """S = ½(A + Aᵀ), A = mean over heads of softmax(q kᵀ / √d) (Zhang, Yunis & Maire 2024, section 3).

    Never holds more than a tile of A unless :meth:`dense` is called. The scale 1/√d is applied here, so queries
    come unscaled.
    """

    def __init__(self, query: torch.Tensor, key: torch.Tensor, grid: Grid) -> None:
        self.query = query.to(torch.float32) * query.shape[-1] ** -0.5
        self.key = key.to(torch.float32)
        self.grid, self.device = grid, query.device

    @classmethod
    def of(cls, activations: TokenActivations, device: torch.device) -> AttentionAffinity:
        """From a network layer's activations; ``ValueError`` if it has no attention."""
        if activations.query is None or activations.key is None:
            raise ValueError(
                f"{activations.name} has no queries and keys: pathway 'where' is unavailable. Use pathway 'what', or "
                "a backbone with attention."
            )
        return cls(activations.query.to(device), activations.key.to(device), activations.grid)

    @property
    def cost(self) -> int:
        heads, tokens, width = self.query.shape
        return heads * tokens**2 * (width + 2)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x)
        for rows, attention in self._tiles():
            total[rows] += attention @ x  # A x
            total += attention.T @ x[rows]  # Aᵀ x
        return total / (2 * len(self.query))

    def dense(self) -> torch.Tensor:
        mean = torch.zeros(self.shape, device=self.device)
        for rows, attention in self._tiles():
            mean[rows] += attention
        return (mean + mean.T) / (2 * len(self.query))

    def _tiles(self) -> Iterator[tuple[slice, torch.Tensor]]:
        """Each head's attention, a block of query rows at a time: (rows, (rows, tokens) probabilities)."""
        for query, key in zip(self.query, self.key, strict=True):
            for rows in row_tiles(self.tokens):
                yield rows, torch.softmax(query[rows] @ key.T, dim=1)
