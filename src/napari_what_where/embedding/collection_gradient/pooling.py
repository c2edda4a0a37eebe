"""Between the table's cells of every image of a batch and the tokens of a network layer."""

from __future__ import annotations

from functools import lru_cache

import torch

from napari_what_where.activations.types import Grid
from napari_what_where.affinity.pooling import orthonormal_overlap
from napari_what_where.grids import area_overlap

UPWARD = ("bilinear", "repeat")
ORTHONORMAL = "orthonormal"


class TablePooling:
    """Linear maps of (images, columns, side, side) tables to (tokens, columns), each image by its own grid.

    Kinds, along each axis:

    - "bilinear": means over the area of coarse cells; where the layer is finer than the table, linear interpolation;
    - "repeat": the same means; where the layer is finer, each cell is repeated, as the authors' script does;
    - "orthonormal": P = (W Wᵀ)^-½ W, see :class:`~napari_what_where.affinity.pooling.AreaPooling`: P Pᵀ = I, or
      PᵀP = I where the layer is finer, so that PᵀNP has no eigenvalue beyond N's. Block-diagonal over images.

    Tokens go image by image, in raster order. Cost: O(images · columns · side² · rows).
    """

    def __init__(self, grids: tuple[Grid, ...], side: int, kind: str, device: torch.device) -> None:
        self.grids, self.side = grids, side
        self.matrices = {
            size: _axis(size, side, kind).to(device) for grid in set(grids) for size in grid if size != side
        }

    def down(self, tables: torch.Tensor) -> torch.Tensor:
        """(images, columns, side, side) → (tokens, columns)."""
        if len(set(self.grids)) == 1:
            return self._down(tables, self.grids[0])
        return torch.cat([self._down(table[None], grid) for table, grid in zip(tables, self.grids, strict=True)])

    def up(self, tokens: torch.Tensor) -> torch.Tensor:
        """The transpose of ``down``."""
        if len(set(self.grids)) == 1:
            return self._up(tokens, self.grids[0], len(self.grids))
        sizes = [rows * columns for rows, columns in self.grids]
        parts = zip(tokens.split(sizes), self.grids, strict=True)
        return torch.cat([self._up(part, grid, 1) for part, grid in parts])

    def _down(self, tables: torch.Tensor, grid: Grid) -> torch.Tensor:
        if grid[0] != self.side:
            tables = self.matrices[grid[0]] @ tables
        if grid[1] != self.side:
            tables = tables @ self.matrices[grid[1]].T
        return tables.permute(0, 2, 3, 1).reshape(-1, tables.shape[1])

    def _up(self, tokens: torch.Tensor, grid: Grid, images: int) -> torch.Tensor:
        tables = tokens.reshape(images, *grid, tokens.shape[1]).permute(0, 3, 1, 2)
        if grid[0] != self.side:
            tables = self.matrices[grid[0]].T @ tables
        if grid[1] != self.side:
            tables = tables @ self.matrices[grid[1]]
        return tables


@lru_cache(maxsize=64)
def _axis(size: int, side: int, kind: str) -> torch.Tensor:
    """(size, side) float32, to be read only: from ``side`` cells of an axis to ``size``."""
    if kind == ORTHONORMAL:
        return torch.as_tensor(orthonormal_overlap(size, side), dtype=torch.float32)
    if size > side and kind == "bilinear":
        one_hot = torch.eye(side)[None]  # (1, cells as channels, cells)
        return torch.nn.functional.interpolate(one_hot, size=size, mode="linear", align_corners=False)[0].T.contiguous()
    return torch.as_tensor(area_overlap(size, side).toarray() * (size / side), dtype=torch.float32)
