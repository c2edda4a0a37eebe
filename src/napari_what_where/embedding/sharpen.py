"""Boundaries where the finest network layers put them."""

from __future__ import annotations

import torch

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.exact import orthonormal_complement
from napari_what_where.embedding.solver import Solution, product64, rayleigh_ritz


def sharpen(finest: SymmetricOperator, solution: Solution) -> Solution:
    """One product with the finest grid's mean operator N: U ← orth(N U), then Rayleigh–Ritz with N.

    Coarse layers make joint eigenvectors blocky; this puts the boundaries back without losing the layout.
    Directions that N all but annihilates (it may have low rank) are kept as they were.
    """
    smooth = product64(finest, solution.vectors)
    left, singular, right = torch.linalg.svd(smooth, full_matrices=False)
    kept = singular > 1e-3 * singular.max()
    basis = left[:, kept]
    if not bool(kept.all()):
        rest = orthonormal_complement(solution.vectors @ right[~kept].T, basis)
        basis = torch.cat([basis, rest], dim=1)
    return rayleigh_ritz(finest, basis, spent=solution.products, tolerance=1.0)
