"""A full-rank kernel by its columns at landmarks: for grids too large for a matrix."""

from __future__ import annotations

import torch

from napari_what_where.activations.types import Grid
from napari_what_where.affinity.cosine import ExpKernelAffinity
from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.progress import checkpoint

LANDMARKS = 512
_BLOCK = 32


class LandmarkAffinity(SymmetricOperator):
    """S ≈ F Fᵀ with F (tokens, landmarks): a partial Cholesky factor with randomly chosen pivots.

    Pivots are drawn in proportion to what is left of the diagonal, a block at a time (Chen, Epperly, Tropp & Webber,
    "Randomly pivoted Cholesky", 2023, algorithms 2.1 and 2.2). ``trace_error`` is the share of the trace that is
    missing, 0 for an exact factor. Degrees of an approximation may come out as 0: :class:`Normalized` floors them.

    Cost: O(tokens · landmarks · (landmarks + width)) once, and memory of one factor.
    """

    def __init__(self, kernel: ExpKernelAffinity, count: int = LANDMARKS, *, seed: int = 0) -> None:
        if count < 1:
            raise ValueError(f"count is {count}; expected at least 1 landmark.")
        self.grid: Grid = kernel.grid
        self.device = kernel.device
        self.columns, left = pivoted_cholesky(kernel, min(count, kernel.tokens), seed)
        self.trace_error = float(left.sum() / kernel.tokens)

    @property
    def cost(self) -> int:
        return 2 * self.columns.numel()

    def product(self, x: torch.Tensor) -> torch.Tensor:
        return self.columns @ (self.columns.T @ x)

    def factor(self) -> torch.Tensor:
        return self.columns

    def dense(self) -> torch.Tensor:
        return self.columns @ self.columns.T


def pivoted_cholesky(kernel: ExpKernelAffinity, count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """F, (tokens, ≤ count) float32, and what F Fᵀ leaves of the kernel's diagonal of ones, (tokens,) ≥ 0."""
    generator = torch.Generator().manual_seed(seed)  # on the CPU: a seed means the same on every device
    factor = torch.zeros(kernel.tokens, 0, device=kernel.device)
    left = torch.ones(kernel.tokens, device=kernel.device)
    while factor.shape[1] < count and float(left.max()) > 1e-5:
        checkpoint()
        wanted = min(_BLOCK, count - factor.shape[1], int((left > 0).sum()))
        pivots = torch.multinomial(left.cpu(), wanted, generator=generator).to(kernel.device)
        residual = kernel.columns(pivots) - factor @ factor[pivots].T
        corner = residual[pivots].double().cpu()
        # Pivots of one block may say the same: a little on the diagonal keeps the root real.
        corner = (corner + corner.T) / 2 + 1e-6 * corner.trace() * torch.eye(wanted, dtype=torch.float64)
        root = torch.linalg.cholesky(corner).to(kernel.device, torch.float32)
        fresh = torch.linalg.solve_triangular(root, residual.T, upper=False).T
        factor = torch.cat([factor, fresh], dim=1)
        left = (left - fresh.square().sum(dim=1)).clamp_min(0)
        left[pivots] = 0
    return factor, left
