"""Our exact solver beside SciPy's eigsh, torch.lobpcg and a dense decomposition, on the same operators in one run.

Usage: ``python benchmarks/solvers.py [--tokens 1024 4096 16384] [--count 12] [--json FILE]``. Angles are the largest
principal angle to the reference, in degrees: float64 eigh up to 4096 tokens, eigsh at tolerance 1e-10 beyond. Where
λ_k and λ_{k+1} are closer than 1e-3 λ₁ the span itself is not defined, so only residuals count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from environment import describe_environment
from scipy.linalg import subspace_angles
from scipy.sparse.linalg import LinearOperator, eigsh

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.affinity.operator import SymmetricOperator
from napari_what_where.embedding.exact import solve_exact, solve_krylov

DENSE_REFERENCE = 4096
Answer = tuple[np.ndarray, np.ndarray, int | None]
"""Eigenvalues (count,) descending, vectors (tokens, count), products of the operator with one column if known."""


def planted(tokens: int, *, heads: int, width: int, seed: int = 0) -> TokenActivations:
    """Twelve regions of tokens with their own queries, keys and values, and as much noise again."""
    side = round(tokens**0.5)
    rng = np.random.default_rng(seed)
    rows, columns = np.divmod(np.arange(side * side), side)
    region = (rows * 3 // side) * 4 + columns * 4 // side
    query, key, value = (
        (rng.normal(size=(heads, 12, width))[:, region] + rng.normal(size=(heads, side * side, width))).astype(
            np.float32
        )
        for _ in range(3)
    )
    return TokenActivations("planted", (side, side), query, (query + key) / 2, value)


def cases(tokens: int) -> dict[str, Callable[[], SymmetricOperator]]:
    """Operators of one size: low rank, and attention as a matrix and without one."""
    found = {"cosine, width 768": lambda: joint_affinity([planted(tokens, heads=12, width=64)], "what")}
    if tokens <= 16384:
        layer = planted(tokens, heads=8, width=40)
        found["attention, 8 heads, dense"] = lambda: joint_affinity([layer], "where", form="dense")
    if tokens <= 4096:
        found["attention, 8 heads, matrix-free"] = lambda: joint_affinity([layer], "where", form="matrix-free")
    return found


def ours(operator: SymmetricOperator, count: int) -> Answer:
    """What ``spectral_embedding`` uses."""
    solution = solve_exact(operator, count)
    return solution.values.numpy(), solution.vectors.numpy(), solution.products


def krylov(operator: SymmetricOperator, count: int) -> Answer:
    """Our block Krylov route, whatever the structure."""
    solution = solve_krylov(operator, count, tolerance=1e-6, seed=0)
    return solution.values.numpy(), solution.vectors.numpy(), solution.products


def scipy_eigsh(operator: SymmetricOperator, count: int, tolerance: float = 1e-6) -> Answer:
    """ARPACK's implicitly restarted Lanczos on products of the same operator."""
    spent = [0]

    def product(x: np.ndarray) -> np.ndarray:
        spent[0] += 1
        return operator @ np.asarray(x, np.float64).ravel()

    start = np.random.default_rng(0).normal(size=operator.tokens)
    matrix = LinearOperator(operator.shape, matvec=product, dtype=np.float64)
    values, vectors = eigsh(matrix, count, which="LA", tol=tolerance, v0=start)
    return values[::-1], vectors[:, ::-1], spent[0]


def torch_lobpcg(operator: SymmetricOperator, count: int) -> Answer:
    """LOBPCG takes a matrix, so a dense one."""
    start = torch.randn(operator.tokens, count, generator=torch.Generator().manual_seed(0))
    values, vectors = torch.lobpcg(operator.dense(), X=start, largest=True, tol=1e-6, niter=100)
    return values.numpy(), vectors.numpy(), None


def dense_eigh(operator: SymmetricOperator, count: int) -> Answer:
    """The full decomposition in float64."""
    values, vectors = torch.linalg.eigh(operator.dense().double())
    return values.flip(0)[:count].numpy(), vectors.flip(1)[:, :count].numpy(), None


def judge(operator: SymmetricOperator, answer: Answer, reference: Answer, gap: float) -> dict[str, float | None]:
    """Largest residual relative to λ₁, and largest angle where the span is defined."""
    values, vectors, products = answer
    residual = np.linalg.norm(operator @ vectors.astype(np.float64) - vectors * values, axis=0).max() / values[0]
    angle = np.degrees(subspace_angles(vectors.astype(np.float64), reference[1])).max() if gap > 1e-3 else None
    return {"residual": float(residual), "angle": None if angle is None else float(angle), "products": products}


def run_case(name: str, tokens: int, operator: SymmetricOperator, count: int) -> list[dict]:
    """One row a solver."""
    exact = tokens <= DENSE_REFERENCE
    solve_reference = dense_eigh if exact else (lambda op, k: scipy_eigsh(op, k, 1e-10))
    longer = solve_reference(operator, count + 1)
    gap = float((longer[0][count - 1] - longer[0][count]) / longer[0][0])
    reference = (longer[0][:count], longer[1][:, :count], None)
    solvers = {"ours": ours, "our block Krylov": krylov, "scipy eigsh": scipy_eigsh}
    if exact:
        solvers |= {"torch.lobpcg": torch_lobpcg, "torch eigh, float64": dense_eigh}
    rows = []
    for solver, solve in solvers.items():
        started = time.perf_counter()
        try:
            answer = solve(operator, count)
        except Exception as problem:  # a peer that fails is a finding, not the end of the run
            rows.append({"case": name, "tokens": tokens, "solver": solver, "failed": f"{type(problem).__name__}"})
            continue
        seconds = time.perf_counter() - started
        judged = judge(operator, answer, reference, gap)
        rows.append({"case": name, "tokens": tokens, "solver": solver, "seconds": seconds, "gap": gap, **judged})
    return rows


def markdown(rows: list[dict]) -> str:
    """A table, one row a solver."""
    lines = ["| operator | tokens | solver | seconds | products | residual / λ₁ | angle |", "|---" * 7 + "|"]
    for row in rows:
        if "failed" in row:
            figures = [f"failed: {row['failed']}", "", "", ""]
        else:
            angle = "no gap" if row["angle"] is None else f"{row['angle']:.1e}°"
            figures = [f"{row['seconds']:.2f}", str(row["products"] or ""), f"{row['residual']:.1e}", angle]
        lines.append(f"| {row['case']} | {row['tokens']} | {row['solver']} | " + " | ".join(figures) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096, 16384])
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = []
    for tokens in options.tokens:
        for name, make in cases(tokens).items():
            rows += run_case(name, tokens, make(), options.count)
    print(markdown(rows))
    record = {"environment": describe_environment(), "count": options.count, "rows": rows}
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
