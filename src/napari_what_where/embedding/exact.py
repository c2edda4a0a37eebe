"""The exact solver: Gram matrix where the operator is low rank, dense where it is small, block Krylov beyond."""

from __future__ import annotations

import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.solver import Solution, product64, rayleigh_ritz
from napari_what_where.progress import Progress, Report, checkpoint, ignore_progress

DENSE_TOKENS = 1024
"""Up to this many a full float64 eigendecomposition takes a few tenths of a second, and misses nothing."""
GRAM_RANK = 1024
"""Up to this rank the eigenvectors of a Gram matrix take at most two seconds on two cores; beyond, products with the
low-rank operator are faster (16384 tokens, rank 1028: 1.9 against 1.3 s; rank 3076: 28 against 3 s)."""
GRAM_ROWS = 4096
"""Rows of a factor multiplied at a time; their sum is float64."""
MOST_ROUNDS = 300


def solve_exact(
    operator: SymmetricOperator,
    count: int,
    *,
    tolerance: float = 1e-6,
    seed: int = 0,
    start: torch.Tensor | None = None,
    report: Report = ignore_progress,
) -> Solution:
    """Leading eigenpairs by whichever exact route fits the operator's structure (see :class:`Solver`).

    Cost: low rank r, O(tokens · r²) once; small, O(tokens³); else some tens of block products.
    """
    report(Progress("eigenvectors", 0, 1))
    factor = operator.factor()
    if factor is not None and factor.shape[1] <= min(operator.tokens, GRAM_RANK):
        return solve_gram(operator, factor, count, tolerance=tolerance, seed=seed)
    if operator.tokens <= DENSE_TOKENS or 3 * count > operator.tokens:
        return solve_dense(operator, count, tolerance=tolerance)
    return solve_krylov(operator, count, tolerance=tolerance, seed=seed, start=start, report=report)


def solve_gram(
    operator: SymmetricOperator, factor: torch.Tensor, count: int, *, tolerance: float, seed: int
) -> Solution:
    """From F with A = F Fᵀ: the eigenvectors of FᵀF = W Λ Wᵀ give those of A as F W Λ^-½.

    In float32, which suffices for the usual tolerance and takes a third of the time; in float64 where it does not.
    """
    for dtype in (torch.float32, torch.float64):
        basis = _gram_basis(factor.to(_home(operator), dtype), count, seed)
        solution = rayleigh_ritz(operator, basis, spent=0, tolerance=tolerance, solver="Gram matrix")
        if solution.converged:
            break
    return solution


def _gram_basis(factor: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    """Orthonormal (tokens, count) float64 columns that span the leading eigenvectors of F Fᵀ."""
    gram = torch.zeros(factor.shape[1], factor.shape[1], dtype=torch.float64, device=factor.device)
    for rows in factor.split(GRAM_ROWS):
        checkpoint()
        gram += rows.T @ rows
    values, rotation = torch.linalg.eigh(gram)
    values, rotation = values.flip(0)[:count], rotation.flip(1)[:, :count]
    # Beyond the numerical rank F W Λ^-½ is noise; any vector orthogonal to F has eigenvalue 0.
    rounding = 10 * torch.finfo(factor.dtype).eps
    kept = values > rounding * values[:1].clamp_min(0)
    basis = (factor @ (rotation[:, kept] / values[kept].sqrt()).to(factor.dtype)).double()
    filled = torch.cat([basis, _random(len(factor), count - basis.shape[1], seed, factor.device)], dim=1)
    return torch.linalg.qr(filled)[0]


def solve_dense(operator: SymmetricOperator, count: int, *, tolerance: float) -> Solution:
    """By a full eigendecomposition in float64."""
    matrix = operator.dense().to(_home(operator), torch.float64)
    vectors = torch.linalg.eigh((matrix + matrix.T) / 2)[1].flip(1)[:, :count]
    by_products = type(operator).dense is SymmetricOperator.dense
    spent = operator.tokens if by_products else 0
    return rayleigh_ritz(operator, vectors, spent=spent, tolerance=tolerance, solver="dense")


def solve_krylov(
    operator: SymmetricOperator,
    count: int,
    *,
    tolerance: float,
    seed: int,
    start: torch.Tensor | None = None,
    report: Report = ignore_progress,
) -> Solution:
    """By a restarted block Krylov space, fully orthogonalised in float64.

    Each round joins the residuals of the leading Ritz vectors to the basis (Stathopoulos & Saad 1998: Davidson
    without preconditioner, thick restarts). A block wider than ``count`` keeps repeated eigenvalues together. The
    columns of ``start``, as many as there are, take the place of random ones.
    """
    block = min(operator.tokens, count + max(8, count // 4))
    most = min(operator.tokens, 6 * block)
    basis = _random(operator.tokens, block, seed, _home(operator))
    if start is not None:
        known = start[:, :block].to(basis)
        # Random ones still fill the block, for what the start may have missed.
        basis = torch.cat([known, basis[:, known.shape[1] :]], dim=1)
    basis = torch.linalg.qr(basis)[0]
    image = product64(operator, basis)
    projected = basis.T @ image
    spent, best, stale = block, float("inf"), 0
    for done in range(MOST_ROUNDS):
        report(Progress("eigenvectors", done, 0))
        values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
        values, rotation = values.flip(0)[:block], rotation.flip(1)[:, :block]
        ritz, ritz_image = basis @ rotation, image @ rotation
        residual = ritz_image - ritz * values
        error = residual.norm(dim=0)
        worst = float(error[:count].max() / values.abs().max().clamp_min(1e-30))
        # Products are float32: where rounding keeps the residual from falling, more rounds only burn time.
        stale = 0 if worst < 0.9 * best else stale + 1
        best = min(best, worst)
        if worst <= tolerance / 2 or stale >= 10:
            break
        if basis.shape[1] + block > most:
            basis, image, projected = ritz, ritz_image, torch.diag(values)
        wanted = error > tolerance / 4 * values.abs().max()
        fresh = orthonormal_complement(residual[:, wanted], basis)
        if not fresh.shape[1]:
            break
        fresh_image = product64(operator, fresh)
        spent += fresh.shape[1]
        across = basis.T @ fresh_image
        projected = torch.cat(
            [torch.cat([projected, across], dim=1), torch.cat([across.T, fresh.T @ fresh_image], dim=1)]
        )
        basis, image = torch.cat([basis, fresh], dim=1), torch.cat([image, fresh_image], dim=1)
    leading = torch.linalg.qr(ritz[:, :count])[0]
    return rayleigh_ritz(operator, leading, spent=spent, tolerance=tolerance, solver="block Krylov")


def orthonormal_complement(columns: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Orthonormal columns that span what of ``columns`` lies outside the orthonormal ``basis``."""
    columns = columns / columns.norm(dim=0).clamp_min(1e-300)
    columns = columns - basis @ (basis.T @ columns)
    left, singular, _ = torch.linalg.svd(columns, full_matrices=False)
    columns = left[:, singular > 1e-8]
    # Twice is enough (Parlett 1998, section 6.9); what is left is all but orthonormal, so Cholesky's QR will do.
    columns = columns - basis @ (basis.T @ columns)
    lower = torch.linalg.cholesky(columns.T @ columns)
    return torch.linalg.solve_triangular(lower, columns.T, upper=False).T.contiguous()


def _home(operator: SymmetricOperator) -> torch.device:
    """Where float64 work is done: the operator's device, or the CPU for Apple's GPUs, which have no float64."""
    return torch.device("cpu") if operator.device.type == "mps" else operator.device


def _random(rows: int, columns: int, seed: int, device: torch.device) -> torch.Tensor:
    # Drawn on the CPU, so that a seed means the same on every device.
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, columns, generator=generator, dtype=torch.float64).to(device)
