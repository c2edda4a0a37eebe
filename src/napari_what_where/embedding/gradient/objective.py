"""What the gradient solver minimises: the paper's loss, on the same operators that the exact solver gets."""

from __future__ import annotations

from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn.functional import normalize

from napari_what_where.activations.types import Grid
from napari_what_where.affinity.collapse import Term
from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.affinity.pooling import AreaPooling
from napari_what_where.grids import area_overlap

POOLINGS = ("mean", "orthonormal")


class QuadraticForms(torch.autograd.Function):
    """z ↦ zᵀ A z for each column z of a (tokens, columns) tensor, differentiable for any symmetric operator.

    The gradient is 2 A z, and A z is already there: one product does for both passes, and nothing needs to be
    differentiated through it. Unsymmetrised attention gives the same: zᵀ A z = zᵀ ½(A + Aᵀ) z.
    """

    @staticmethod
    def forward(ctx: Any, columns: torch.Tensor, operator: SymmetricOperator) -> torch.Tensor:
        """(columns,) values."""
        image = operator.product(columns)
        ctx.save_for_backward(image)
        return (columns * image).sum(dim=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """2 A z, times what came from above."""
        (image,) = ctx.saved_tensors
        return 2 * gradient * image, None


class MeanPooling(AreaPooling):
    """Plain averages over the area of coarse cells: adaptive average pooling, and right also where grids do not nest.

    The paper's own. Where grids nest it is :class:`AreaPooling` up to a factor, which unit columns take away.
    """

    def __init__(self, coarse: Grid, fine: Grid, device: torch.device | str = "cpu") -> None:
        self.coarse, self.fine = coarse, fine
        self.rows, self.columns = (
            torch.as_tensor(area_overlap(c, f).toarray() * (c / f), dtype=torch.float32, device=device)
            for c, f in zip(coarse, fine, strict=True)
        )


class Objective:
    """The two parts of the paper's loss of a soft assignment X, (tokens, count), on the finest grid.

    With Z_l the columns of P_l X scaled to unit length, and means over network layers l (weighted as the operator
    weighs them), over channels i, and over pairs i ≠ j (Zhang, Yunis & Maire 2024, section 3):

    - *eigenvalue*: mean of |z_liᵀ A_l z_li − 1|
    - *orthogonality*: mean of (z_liᵀ z_lj)²

    The paper takes the former for each head, our operators are means over heads. For zᵀ A z ≤ 1, always so under
    degree normalisation, |zᵀ A z − 1| = 1 − zᵀ A z is linear in A, and it makes no difference. Without
    normalisation hub tokens can lift single heads above 1, where |·| turns around; to keep heads apart, give each
    as a ``TokenActivations`` of its own to ``joint_affinity(…, collapse=False)``.

    ``unit_columns=False`` scales X itself to unit columns and asks for orthogonality there, on the finest grid: with
    ``pooling="orthonormal"`` the mean of zᵀ A z is then tr(XᵀJX) / count, what the exact solver maximises.
    """

    def __init__(self, grid: Grid, *, pooling: str, unit_columns: bool) -> None:
        self.grid, self.unit_columns = grid, unit_columns
        self._kind = {"mean": MeanPooling, "orthonormal": AreaPooling}[pooling]
        self._poolings: dict[Grid, AreaPooling] = {}

    def __call__(self, operator: SymmetricOperator, assignment: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Eigenvalue and orthogonality part, scalars. Cost: one product of the operator with ``count`` columns."""
        finest = assignment if self.unit_columns else normalize(assignment, dim=0)
        # On one grid Z is the same for all layers, and so is its orthogonality.
        pooled: dict[Grid, torch.Tensor] = {}
        eigenvalue = orthogonality = torch.zeros((), device=assignment.device)
        for part, weight in terms_of(operator):
            if part.grid not in pooled:
                pooled[part.grid] = self._on(part.grid, finest)
            columns = pooled[part.grid]
            eigenvalue = eigenvalue + weight * (QuadraticForms.apply(columns, part) - 1).abs().mean()
            if self.unit_columns:
                orthogonality = orthogonality + weight * overlap(columns)
        return eigenvalue, orthogonality if self.unit_columns else overlap(finest)

    def _on(self, grid: Grid, finest: torch.Tensor) -> torch.Tensor:
        columns = finest
        if grid != self.grid:
            if grid not in self._poolings:
                self._poolings[grid] = self._kind(grid, self.grid, finest.device)
            columns = self._poolings[grid].down(finest)
        return normalize(columns, dim=0) if self.unit_columns else columns


def terms_of(operator: SymmetricOperator) -> tuple[Term, ...]:
    """An operator's parts on their own grids; an operator that knows of none is its own."""
    return getattr(operator, "terms", None) or (Term(operator, 1.0),)


def overlap(columns: torch.Tensor) -> torch.Tensor:
    """Mean of (z_iᵀ z_j)² over pairs i ≠ j; 0 for a single column."""
    count = columns.shape[1]
    gram = columns.T @ columns
    return (gram - torch.diag(gram.diagonal())).square().sum() / max(1, count * (count - 1))
