"""The *where* affinity: key-query similarity, as the model's own attention has it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import torch
from torch.nn.functional import pad, scaled_dot_product_attention

from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.operator import SymmetricOperator, row_tiles, symmetrize_
from napari_what_where.progress import checkpoint

LARGEST_EXPONENT = 80.0
"""exp() of more overflows float32, with room to sum."""
FUSED_PRODUCTS = 2**33
"""Multiply-adds of one call of fused attention: a few tenths of a second on two CPU cores."""


class AttentionAffinity(SymmetricOperator):
    """S = ½(A + Aᵀ), A = mean over heads of softmax(q kᵀ / √d) (Zhang, Yunis & Maire 2024, section 3).

    The scale 1/√d is applied here, so queries come unscaled. Queries and keys are kept at the precision they come
    in; all sums are float32.

    Products need no matrix at all: A X is what fused attention computes with X for values, and with r and c the row
    and column sums of exp(q kᵀ / √d), Aᵀ X = c ∘ attention(k, q, X / r). Where the spread of r and c is beyond
    float32 (extreme hub tokens), a tile of A at a time is computed instead.
    """

    def __init__(self, query: torch.Tensor, key: torch.Tensor, grid: Grid) -> None:
        self.query, self.key, self.grid, self.device = query, key, grid, query.device

    @classmethod
    def of(cls, activations: TokenActivations, device: torch.device) -> AttentionAffinity:
        """From a network layer's activations; ``ValueError`` if it has no attention."""
        if activations.query is None or activations.key is None:
            reason = f": {activations.obstacle}" if activations.obstacle else ""
            raise ValueError(
                f"{activations.name} has no queries and keys{reason}. Pathway 'where' is unavailable. "
                "Use pathway 'what', or a backbone with plain attention."
            )
        return cls(activations.query.to(device), activations.key.to(device), activations.grid)

    @property
    def cost(self) -> int:
        heads, tokens, width = self.query.shape
        return 2 * heads * tokens**2 * (width + 1)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        row, column = self._log_sums
        # exp(column_j - row_i) is split between X and the answer, so the spread must fit once on either side.
        middle = row.amin(dim=1, keepdim=True)
        if float((row - middle).max()) > LARGEST_EXPONENT or float((column - middle).abs().max()) > LARGEST_EXPONENT:
            return self._tiled_product(x)
        total = torch.empty_like(x)
        heads, tokens, width = self.query.shape
        shrink, grow = torch.exp(middle - row)[..., None], torch.exp(column - middle)[..., None]
        step = max(1, FUSED_PRODUCTS // (heads * tokens * width))
        for first in range(0, x.shape[1], width):
            columns = x[:, first : first + width]
            # Values as wide as the heads: anything else silently leaves the fused kernels.
            values = pad(columns, (0, width - columns.shape[1])).expand(heads, -1, -1)
            shrunk = values * shrink
            for start in range(0, tokens, step):
                checkpoint()
                rows = slice(start, start + step)
                ahead = _attend(self.query[:, rows], self.key, values)  # A X
                back = _attend(self.key[:, rows], self.query, shrunk) * grow[:, rows]  # Aᵀ X
                total[rows, first : first + width] = (ahead + back).sum(dim=0)[:, : columns.shape[1]]
        return total / (2 * heads)

    def dense(self) -> torch.Tensor:
        return symmetrize_(self.half())

    def half(self, out: torch.Tensor | None = None) -> torch.Tensor:
        """A, the mean over heads."""
        mean = torch.empty(self.shape, device=self.device) if out is None else out
        queries, keys = self.query, [key.float().T for key in self.key]
        scale = queries.shape[-1] ** -0.5
        tile = torch.empty(0, self.tokens, device=self.device)
        # All heads of a block of rows before the next block, in one piece of memory: it stays in the cache.
        for rows in row_tiles(self.tokens, self.device):
            tile = tile.resize_(rows.stop - rows.start, self.tokens)
            for head, query in enumerate(queries):
                torch.mm(query[rows].float() * scale, keys[head], out=tile)
                torch.softmax(tile, dim=1, out=tile)
                if head == 0:
                    mean[rows] = tile
                else:
                    mean[rows] += tile
        return mean.div_(len(queries))

    def _tiled_product(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x)
        for _, rows, attention in self._tiles():
            total[rows] += attention @ x  # A x
            total += attention.T @ x[rows]  # Aᵀ x
        return total / (2 * len(self.query))

    @cached_property
    def _log_sums(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Logarithms of the row and of the column sums of exp(q kᵀ / √d), each (heads, tokens) float32."""
        row = torch.empty(self.query.shape[:2], device=self.device)
        column = torch.full_like(row, -torch.inf)
        for head, rows, logits in self._logits():
            row[head, rows] = logits.logsumexp(dim=1)
            column[head] = torch.logaddexp(column[head], logits.logsumexp(dim=0))
        return row, column

    def _tiles(self) -> Iterator[tuple[int, slice, torch.Tensor]]:
        """Each head's attention, a block of query rows at a time: (head, rows, (rows, tokens) probabilities)."""
        for head, rows, logits in self._logits():
            yield head, rows, torch.softmax(logits, dim=1)

    def _logits(self) -> Iterator[tuple[int, slice, torch.Tensor]]:
        """Each head's q kᵀ / √d, a block of query rows at a time: (head, rows, (rows, tokens) float32)."""
        scale = self.query.shape[-1] ** -0.5
        for head, (query, key) in enumerate(zip(self.query, self.key, strict=True)):
            keys = key.float().T
            for rows in row_tiles(self.tokens, self.device):
                yield head, rows, (query[rows].float() * scale) @ keys


def _attend(query: torch.Tensor, key: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """softmax(query keyᵀ / √d) values, each (heads, tokens, head_dim), summed in float32."""
    return scaled_dot_product_attention(query.float()[None], key.float()[None], values[None])[0]
