"""Comparing token grids: area-overlap pooling with orthonormal rows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from napari_what_where.activations.types import Grid
from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.grids import area_overlap


@lru_cache(maxsize=256)
def orthonormal_overlap(coarse: int, fine: int) -> np.ndarray:
    """(W Wᵀ)^-½ W for the (coarse, fine) area overlap W of one axis, float64.

    Its rows are orthonormal also when the grids do not nest. Where ``coarse`` > ``fine``, W Wᵀ is singular: the
    pseudo-inverse root is taken, the closest there is. To be read only.
    """
    overlap = area_overlap(coarse, fine).toarray()
    values, vectors = np.linalg.eigh(overlap @ overlap.T)
    kept = values > 1e-10 * values.max()
    root = (vectors[:, kept] / np.sqrt(values[kept])) @ vectors[:, kept].T
    return root @ overlap


class AreaPooling:
    """P: (fine tokens) → (coarse tokens) with P Pᵀ = I; separable, so two small products.

    ``down`` applies P and ``up`` Pᵀ to (tokens, columns) tensors of its ``dtype``.
    """

    def __init__(
        self, coarse: Grid, fine: Grid, device: torch.device | str = "cpu", *, dtype: torch.dtype = torch.float32
    ) -> None:
        self.coarse, self.fine = coarse, fine
        self.rows, self.columns = (
            torch.as_tensor(orthonormal_overlap(c, f), dtype=dtype, device=device)
            for c, f in zip(coarse, fine, strict=True)
        )

    @property
    def cost(self) -> int:
        """Multiply-adds of ``down`` or ``up`` on one column."""
        return self.coarse[0] * self.fine[1] * (self.fine[0] + self.coarse[1])

    def down(self, x: torch.Tensor) -> torch.Tensor:
        """P x."""
        return _separable(self.rows, self.columns, x, self.fine)

    def up(self, x: torch.Tensor) -> torch.Tensor:
        """Pᵀ x."""
        return _separable(self.rows.T, self.columns.T, x, self.coarse)


def _separable(rows: torch.Tensor, columns: torch.Tensor, x: torch.Tensor, grid: Grid) -> torch.Tensor:
    planes = x.reshape(*grid, x.shape[1])
    planes = torch.einsum("ar,rck->ack", rows, planes)
    planes = torch.einsum("bc,ack->abk", columns, planes)
    return planes.reshape(len(rows) * len(columns), x.shape[1])


class Pooled(SymmetricOperator):
    """Pᵀ A P: an operator of a coarse grid, acting on a finer one."""

    def __init__(self, operator: SymmetricOperator, fine: Grid) -> None:
        self.operator, self.grid, self.device = operator, fine, operator.device
        self.pooling = AreaPooling(operator.grid, fine, operator.device)

    @property
    def cost(self) -> int:
        return self.operator.cost + 2 * self.pooling.cost

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return self.pooling.up(self.operator.product(self.pooling.down(x)))

    def factor(self) -> torch.Tensor | None:
        factor = self.operator.factor()
        return None if factor is None else self.pooling.up(factor)

    def dense(self) -> torch.Tensor:
        right = self.pooling.up(self.operator.dense())  # Pᵀ A
        return self.pooling.up(right.T.contiguous())
