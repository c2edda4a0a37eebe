"""What the gradient method minimises over a batch, and the linear operator that the exact solver gets in its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import torch
from torch.nn.functional import normalize

from napari_what_where.activations.types import Grid
from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.collection_gradient.graphs import BatchGraph, SparseOperator, summed
from napari_what_where.embedding.collection_gradient.pooling import ORTHONORMAL, TablePooling
from napari_what_where.embedding.gradient.objective import QuadraticForms, overlap

WEIGHTINGS = ("inverse", "equal")


def layer_weights(graphs: Sequence[BatchGraph], weighting: str) -> list[float]:
    """How much each network layer counts; they sum to 1.

    "inverse": in proportion to 32 / side of its grid (√(rows · columns) where it is no square), the paper's; "equal":
    all alike. Either times the layer's own weight.
    """
    raw = [graph.weight * (32 / graph.side if weighting == "inverse" else 1.0) for graph in graphs]
    return [weight / sum(raw) for weight in raw]


class BatchObjective:
    """The two parts of the paper's loss of soft assignments X, (images, count, side, side), over a batch of images.

    As :class:`~napari_what_where.embedding.gradient.objective.Objective`, with graphs that join several images: Z_l
    is X pooled to each image's tokens of network layer l, its columns scaled to unit length over all images, and

    - *eigenvalue*: Σ_l w_l · mean over columns of |z_liᵀ A_l z_li − 1|
    - *orthogonality*: Σ_l w_l · mean over pairs i ≠ j of (z_liᵀ z_lj)²

    ``normalization`` and ``upward``: see :meth:`BatchGraph.normalized` and :class:`TablePooling`.
    """

    def __init__(
        self,
        graphs: Sequence[BatchGraph],
        weights: Sequence[float],
        *,
        side: int,
        normalization: str,
        upward: str,
        device: torch.device,
    ) -> None:
        self.terms = [
            (graph.grids, SparseOperator(graph.normalized(normalization), device), weight)
            for graph, weight in zip(graphs, weights, strict=True)
        ]
        self.poolings = {grids: TablePooling(grids, side, upward, device) for grids, _, _ in self.terms}

    def __call__(self, assignment: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Eigenvalue and orthogonality part, scalars. Cost: one product of every graph with ``count`` columns."""
        eigenvalue = orthogonality = torch.zeros((), device=assignment.device)
        pooled = {grids: normalize(pooling.down(assignment), dim=0) for grids, pooling in self.poolings.items()}
        for grids, operator, weight in self.terms:
            eigenvalue = eigenvalue + weight * (QuadraticForms.apply(pooled[grids], operator) - 1).abs().mean()
        for grids, columns in pooled.items():  # the same for all layers of a grid
            share = sum(weight for each, _, weight in self.terms if each == grids)
            orthogonality = orthogonality + share * overlap(columns)
        return eigenvalue, orthogonality


class BatchJoint(SymmetricOperator):
    """J = Σ_l w_l P_lᵀ N_l P_l over the table's cells of all images of a batch, below one another.

    P_l is "orthonormal" :class:`TablePooling` within each image, N_l the normalised graph. Where the columns of X are
    orthonormal, tr(XᵀJX) is what the paper's eigenvalue part becomes when columns are scaled on the table instead of
    anew for each layer; it is linear, so that network layers of one grid are summed once, and its best X are the
    leading eigenvectors of J.
    """

    def __init__(
        self,
        graphs: Sequence[BatchGraph],
        weights: Sequence[float],
        *,
        side: int,
        normalization: str,
        device: torch.device,
    ) -> None:
        self.images, self.side, self.device = len(graphs[0].grids), side, device
        self.grid = (self.images * side, side)
        sums: dict[tuple[Grid, ...], list[torch.Tensor]] = defaultdict(list)
        for graph, weight in zip(graphs, weights, strict=True):
            sums[graph.grids].append(graph.normalized(normalization) * weight)
        self.terms = [
            (TablePooling(grids, side, ORTHONORMAL, device), SparseOperator(summed(same), device))
            for grids, same in sums.items()
        ]

    @property
    def cost(self) -> int:
        return sum(operator.cost + 2 * self.tokens * self.side for _, operator in self.terms)

    def product(self, x: torch.Tensor) -> torch.Tensor:
        tables = x.reshape(self.images, self.side, self.side, x.shape[1]).permute(0, 3, 1, 2)
        total = torch.zeros_like(tables)
        for pooling, operator in self.terms:
            total = total + pooling.up(operator.product(pooling.down(tables)))
        return total.permute(0, 2, 3, 1).reshape(x.shape)
