"""The exact answer for one batch of images, on the gradient method's own graphs: what it is measured against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_what_where.embedding.collection_gradient.graphs import BatchGraph
from napari_what_where.embedding.collection_gradient.objective import BatchJoint
from napari_what_where.embedding.collection_gradient.pooling import ORTHONORMAL, TablePooling
from napari_what_where.embedding.exact import DENSE_TOKENS, solve_dense, solve_krylov
from napari_what_where.embedding.solver import Solution, rayleigh_ritz
from napari_what_where.progress import Progress, Report, ignore_progress


def exact_batch(
    graphs: Sequence[BatchGraph],
    weights: Sequence[float],
    count: int,
    *,
    side: int = 32,
    normalization: str = "rows",
    tolerance: float = 1e-5,
    seed: int = 0,
    device: torch.device | str = "cpu",
    report: Report = ignore_progress,
) -> Solution:
    """Leading eigenpairs of J (:class:`BatchJoint`) over the table's cells of a batch of images.

    ``vectors`` (images · side · side, count) float64: image by image, in raster order. By Lanczos' method (ARPACK);
    a small J by a dense decomposition. ``report`` may raise to cancel. Where all network layers' grids nest in the
    finest of them and that in the table, J is solved there and its vectors are lifted, which changes nothing.

    No orthonormal X has a larger tr(XᵀJX) than these. ``normalization`` decides which J: see
    :meth:`BatchGraph.normalized`; D⁻¹S and D^-½SD^-½ have the same eigenvalues layer by layer, but not summed.

    Cost: some hundred products of J with a column, each of 2 · (within + between) multiply-adds a token and grid.
    """
    device = torch.device(device)
    count = min(count, len(graphs[0].grids) * side * side)
    working = _working_side(graphs, side)
    if len(graphs[0].grids) * working * working < count:
        working = side
    joint = BatchJoint(graphs, weights, side=working, normalization=normalization, device=device)
    found = _solve(joint, count, tolerance=tolerance, seed=seed, report=report)
    if working == side:
        return found
    lift = TablePooling(((working, working),) * joint.images, side, ORTHONORMAL, torch.device("cpu"))
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


def _solve(joint: BatchJoint, count: int, *, tolerance: float, seed: int, report: Report) -> Solution:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh

    report(Progress("eigenvectors", 0, 1))
    if joint.tokens <= DENSE_TOKENS or 3 * count > joint.tokens:
        return solve_dense(joint, count, tolerance=tolerance)
    spent = 0

    def product(x: np.ndarray) -> np.ndarray:
        nonlocal spent
        report(Progress("eigenvectors", spent, 0))
        spent += 1
        column = torch.from_numpy(np.asarray(x, np.float32).reshape(-1, 1)).to(joint.device)
        return np.asarray(joint.product(column)[:, 0].cpu())

    operator = LinearOperator(joint.shape, matvec=product, dtype=np.float32)
    start = np.random.default_rng(seed).normal(size=joint.tokens).astype(np.float32)
    try:
        vectors = eigsh(operator, count, which="LA", tol=tolerance, v0=start)[1]
    except ArpackNoConvergence:
        return solve_krylov(joint, count, tolerance=tolerance, seed=seed, report=report)
    basis = torch.linalg.qr(torch.from_numpy(vectors).double())[0]
    return rayleigh_ritz(joint, basis, spent=spent, tolerance=10 * tolerance, solver="ARPACK")
