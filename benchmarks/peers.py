"""Eigensolvers to compare with, each on the same operator: ``peer(operator, count)`` → Answer."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator, eigsh

from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.exact import solve_exact, solve_krylov
from napari_what_where.embedding.solver import product64, rayleigh_ritz

TOLERANCE = 1e-6
"""Of residuals, relative to the largest eigenvalue; for every solver that takes one."""


class Answer(NamedTuple):
    """Eigenvalues (count,) descending; vectors (tokens, count); products of the operator with one column if known."""

    values: np.ndarray
    vectors: np.ndarray
    products: int | None = None
    remark: str = ""


def ours(operator: SymmetricOperator, count: int) -> Answer:
    """What ``spectral_embedding`` uses."""
    solution = solve_exact(operator, count)
    return Answer(
        solution.values.numpy(), solution.vectors.numpy(), solution.products, f" ({solution.details['solver']})"
    )


def block_krylov(operator: SymmetricOperator, count: int) -> Answer:
    """Our block Krylov route, whatever the structure."""
    solution = solve_krylov(operator, count, tolerance=TOLERANCE, seed=0)
    return Answer(solution.values.numpy(), solution.vectors.numpy(), solution.products)


class _Counted:
    """The operator for SciPy, counting columns."""

    def __init__(self, operator: SymmetricOperator) -> None:
        self.operator, self.columns = operator, 0
        self.linear = LinearOperator(operator.shape, matvec=self.product, matmat=self.product, dtype=np.float64)

    def product(self, x: np.ndarray) -> np.ndarray:
        self.columns += 1 if x.ndim == 1 else x.shape[1]
        return self.operator @ np.asarray(x, np.float64)


def lanczos(operator: SymmetricOperator, count: int, tolerance: float = TOLERANCE) -> Answer:
    """ARPACK's implicitly restarted Lanczos (scipy eigsh)."""
    counted = _Counted(operator)
    start = np.random.default_rng(0).normal(size=operator.tokens)
    values, vectors = eigsh(counted.linear, count, which="LA", tol=tolerance, v0=start)
    return Answer(values[::-1], vectors[:, ::-1], counted.columns)


def scipy_lobpcg(operator: SymmetricOperator, count: int) -> Answer:
    """LOBPCG without preconditioner (scipy), on products."""
    from scipy.sparse.linalg import lobpcg

    counted = _Counted(operator)
    start = np.random.default_rng(0).normal(size=(operator.tokens, count + 8))
    values, vectors = lobpcg(counted.linear, start, largest=True, tol=TOLERANCE, maxiter=200)
    order = np.argsort(values)[::-1][:count]
    return Answer(values[order], vectors[:, order], counted.columns)


def torch_lobpcg(operator: SymmetricOperator, count: int) -> Answer:
    """torch.lobpcg takes a matrix, so a dense one."""
    start = torch.randn(operator.tokens, count, generator=torch.Generator().manual_seed(0))
    values, vectors = torch.lobpcg(operator.dense(), X=start, largest=True, tol=TOLERANCE, niter=100)
    return Answer(values.numpy(), vectors.numpy())


def chebyshev(operator: SymmetricOperator, count: int, most: int = 40) -> Answer:
    """Chebyshev-filtered subspace iteration (Zhou, Saad, Tiago & Chelikowsky 2006), the interval found as it goes."""
    generator = torch.Generator().manual_seed(0)
    width = min(operator.tokens, count + max(8, count // 4))
    basis = torch.linalg.qr(torch.randn(operator.tokens, width, generator=generator, dtype=torch.float64))[0]
    spent = 0
    for _ in range(most):
        image = product64(operator, basis)
        spent += width
        values, rotation = torch.linalg.eigh(basis.T @ image)
        values, basis, image = values.flip(0), basis @ rotation.flip(1), image @ rotation.flip(1)
        residual = (image - basis * values)[:, :count].norm(dim=0).max()
        if residual <= TOLERANCE * values.abs().max():
            break
        # Damp everything below the block's smallest Ritz value; these operators have no large negative eigenvalues.
        high = max(float(values[-1]), 1e-4 * float(values[0]))
        low = -0.5 * high
        centre, radius = (high + low) / 2, (high - low) / 2
        # A higher degree would lift the first vector so far that the others drown in float32's rounding.
        lift = np.arccosh(max((float(values[0]) - centre) / radius, 1 + 1e-6))
        degree = int(np.clip(np.log(1e5) / lift, 1, 12))
        before, now = basis, (image - centre * basis) / radius
        for _ in range(degree - 1):
            before, now = now, 2 / radius * (product64(operator, now) - centre * now) - before
            spent += width
        basis = torch.linalg.qr(now)[0]
    solution = rayleigh_ritz(operator, basis, spent=spent, tolerance=TOLERANCE)
    return Answer(solution.values[:count].numpy(), solution.vectors[:, :count].numpy(), solution.products)


def dense_eigh(operator: SymmetricOperator, count: int) -> Answer:
    """The full decomposition in float64."""
    matrix = operator.dense().double()
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    return Answer(values.flip(0)[:count].numpy(), vectors.flip(1)[:, :count].numpy())


def ncut_pytorch(unit: torch.Tensor, temperature: float, count: int) -> Answer:
    """ncut_pytorch from (tokens, width) unit features to eigenvectors, with the kernel exp((cosine − 1) / temperature).

    Its Gaussian of width σ is that kernel on unit vectors if σ² = temperature. Made orthonormal afterwards, outside
    its own eigenvalues, as its Nyström vectors are not.
    """
    from ncut_pytorch import ncut_fn

    vectors, values = ncut_fn(unit, n_eig=count, sigma=temperature**0.5, device="cpu")
    return Answer(values.double().numpy(), torch.linalg.qr(vectors.double())[0].numpy())
