"""The exact answer for one batch of images, on the gradient method's own graphs: what it is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from napari_what_where.embedding.collection_gradient.graphs import BatchGraph
from napari_what_where.embedding.collection_gradient.objective import BatchJoint
from napari_what_where.embedding.collection_gradient.pooling import ORTHONORMAL, TablePooling
from napari_what_where.embedding.exact import solve_exact
from napari_what_where.embedding.solver import Solution
from napari_what_where.progress import Report, ignore_progress


def exact_batch(
    graphs: Sequence[BatchGraph],
    weights: Sequence[float],
    count: int,
    *,
    side: int = 32,
    normalization: str = "rows",
    tolerance: float = 1e-4,
    seed: int = 0,
    device: torch.device | str = "cpu",
    report: Report = ignore_progress,
) -> Solution:
    """Leading eigenpairs of J (:class:`BatchJoint`) over the table's cells of a batch of images.

    ``vectors`` (images · side · side, count) float64: image by image, in raster order; by :func:`solve_exact`,
    whose ``tolerance``, ``seed`` and ``report`` these are. Its blocks of columns suit J, whose product with twenty
    takes at most twice as long as with one: scipy's ``eigsh`` (ARPACK) takes 2.5 times as long on the same J, its
    ``lobpcg`` longer still, for equal traces. Where all network layers' grids nest in the finest of them, and that in
    the table, J is solved there and its vectors are lifted, which changes nothing.

    No orthonormal X has a larger tr(XᵀJX) than these. ``normalization`` decides which J: see
    :meth:`BatchGraph.normalized`; D⁻¹S and D^-½SD^-½ have the same eigenvalues layer by layer, but not summed.

    Cost: some hundred products of J with a column, in blocks; each some
    hundred multiply-adds for every token of the finest layer.
    """
    device, images = torch.device(device), len(graphs[0].grids)
    count = min(count, images * side * side)
    for working in dict.fromkeys((_working_side(graphs, side), side)):
        joint = BatchJoint(graphs, weights, side=working, normalization=normalization, device=device)
        if joint.tokens < count:
            continue
        found = solve_exact(joint, count, tolerance=tolerance, seed=seed, report=report)
        # The larger J has eigenvalues of zero beside those of the smaller.
        if working == side or float(found.values.min()) >= 0:
            break
    if working == side:
        return found
    lift = TablePooling(((working, working),) * images, side, ORTHONORMAL, torch.device("cpu"))
    lifted = lift.up(found.vectors.cpu().float()).permute(0, 2, 3, 1).reshape(-1, count)
    return Solution(
        found.values, lifted.to(found.vectors), found.residuals, found.products, found.converged, found.details
    )


def joint_trace(joint: BatchJoint, assignment: torch.Tensor) -> float:
    """tr(XᵀJX) of soft assignments, (images, count, side, side), after their columns are made orthonormal."""
    columns = assignment.detach().permute(0, 2, 3, 1).reshape(joint.tokens, -1).cpu()
    basis = torch.linalg.qr(columns.double())[0]
    return float((basis * joint.product(basis.float().to(joint.device)).cpu().double()).sum())


def _working_side(graphs: Sequence[BatchGraph], side: int) -> int:
    sizes = {size for graph in graphs for grid in graph.grids for size in grid}
    finest = max(sizes)
    return finest if side % finest == 0 and all(finest % size == 0 for size in sizes) else side
