"""The paper's *what* affinity: only the most similar tokens are related."""

from __future__ import annotations

import torch

from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.cosine import unit_values
from napari_what_where.affinity.operator import SymmetricOperator, row_tiles

NEIGHBOURS = 50
LEAST_COSINE = 0.1


class NeighbourAffinity(SymmetricOperator):
    """S = ½(K + Kᵀ), where K keeps the ``neighbours`` largest cosines of each row that are above ``least``.

    A token is its own nearest neighbour, with cosine 1. Equal cosines at the limit are settled by torch's ``topk``.
    The paper divides rows by their sums; D^-½ S D^-½ has the same eigenvalues (Zhang, Yunis & Maire 2024,
    section 3.2, where a collection adds as many neighbours in other images).

    Sparse: memory of ``tokens · 2 · neighbours`` entries; made once at the cost of all cosines, a tile at a time.
    """

    def __init__(
        self, unit: torch.Tensor, grid: Grid, *, neighbours: int = NEIGHBOURS, least: float = LEAST_COSINE
    ) -> None:
        self.grid, self.device = grid, unit.device
        self.matrix = _symmetric(*_nearest(unit, min(neighbours, len(unit)), least), len(unit))

    @classmethod
    def of(
        cls, activations: TokenActivations, device: torch.device, *, centred: bool = True, neighbours: int = NEIGHBOURS
    ) -> NeighbourAffinity:
        """From a network layer's values, merged over heads."""
        unit = unit_values(activations, device, centred=centred)
        return cls(unit, activations.grid, neighbours=neighbours)

    @property
    def cost(self) -> int:
        return int(self.matrix.values().numel())

    def product(self, x: torch.Tensor) -> torch.Tensor:
        # Sparse products are not to be had on every kind of device; there the CPU does them.
        return torch.sparse.mm(self.matrix, x.to(self.matrix.device)).to(x.device)

    def dense(self) -> torch.Tensor:
        return self.matrix.to_dense().to(self.device)


def _nearest(unit: torch.Tensor, count: int, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Row and column numbers, (2, entries), and cosines, (entries,), of each row's nearest."""
    zero = (unit == 0).all(dim=1)
    indices, values = [], []
    for rows in row_tiles(len(unit), unit.device):
        cosine = unit[rows] @ unit.T
        # Above all others, also where rounding makes the cosine of a duplicate larger; a zero value has only itself.
        cosine.diagonal(rows.start).fill_(2.0)
        nearest, columns = cosine.topk(count, dim=1)
        nearest[:, 0] = 1.0
        kept = nearest > least
        kept[:, 1:] &= ~zero[rows, None]
        number = torch.arange(rows.start, rows.stop, device=unit.device)[:, None].expand_as(columns)
        indices.append(torch.stack([number[kept], columns[kept]]))
        values.append(nearest[kept])
    return torch.cat(indices, dim=1), torch.cat(values)


def _symmetric(indices: torch.Tensor, values: torch.Tensor, tokens: int) -> torch.Tensor:
    """½(K + Kᵀ) as a sparse matrix; on the CPU where the device has none."""
    if indices.device.type == "mps":
        indices, values = indices.cpu(), values.cpu()
    both, halves = torch.cat([indices, indices.flip(0)], dim=1), torch.cat([values, values]) / 2
    return torch.sparse_coo_tensor(both, halves, (tokens, tokens), check_invariants=True).coalesce()
