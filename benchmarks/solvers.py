"""Our exact solver beside its peers, on the same operators in one run.

    python benchmarks/solvers.py [--tokens 1024 4096 16384 65536] [--count 20] [--json FILE]

Peers: SciPy's eigsh (Lanczos) and lobpcg, torch.lobpcg and a dense decomposition (to 4096 tokens), a Chebyshev-filtered
subspace iteration, and ncut_pytorch, if it is installed, which solves an affinity of its own: the Gaussian kernel,
which ours solves beside it.

Angles are the largest principal angle to the reference, in degrees: float64 eigh up to 4096 tokens; beyond, eigsh at
tolerance 1e-10 on float64 products, or the components of a sparse graph. Where λ_k and λ_{k+1} are closer than 1e-3 λ₁
the span itself is not defined, so only residuals count. Seconds and mebibytes are of making the operator, and of
solving it: what either took at its peak.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
import peers
import torch
from environment import describe_environment, peak_memory
from peers import Answer
from scipy.linalg import subspace_angles
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import LinearOperator, eigsh

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.cosine import unit_values
from napari_what_where.affinity.joint import JointAffinity, joint_affinity
from napari_what_where.affinity.operator import Normalized, SymmetricOperator

DENSE_REFERENCE = 4096
DENSE_TOKENS = 16384
TEMPERATURE = 0.1
Solvers = dict[str, Callable[[SymmetricOperator, int], Answer]]


class Case(NamedTuple):
    """An operator to solve, and by whom."""

    name: str
    make: Callable[[], JointAffinity]
    solvers: Solvers
    make_judge: Callable[[], JointAffinity] | None = None
    """The operator that answers are judged by, where ``make`` gives an approximation of it."""


def planted(tokens: int, *, heads: int, width: int, regions: tuple[int, int] = (4, 5)) -> TokenActivations:
    """Twenty regions of tokens with their own queries, keys and values, and as much noise again."""
    side = round(tokens**0.5)
    rng = np.random.default_rng(0)
    rows, columns = np.divmod(np.arange(side * side), side)
    region = (rows * regions[0] // side) * regions[1] + columns * regions[1] // side
    query, key, value = (
        (
            rng.normal(size=(heads, regions[0] * regions[1], width))[:, region]
            + rng.normal(size=(heads, side * side, width))
        ).astype(np.float32)
        for _ in range(3)
    )
    return TokenActivations("planted", (side, side), query, (query + key) / 2, value)


def unstructured(tokens: int, *, heads: int, width: int) -> TokenActivations:
    """Noise: attention without any structure, whose spectrum is a bulk without gaps."""
    side = round(tokens**0.5)
    rng = np.random.default_rng(0)
    query, key = (rng.normal(size=(heads, side * side, width)).astype(np.float32) for _ in range(2))
    return TokenActivations("noise", (side, side), query, key, None)


def cases(tokens: int) -> Iterator[Case]:
    """Operators of one size: low rank, neighbours, the exponential kernel, attention as a matrix and without one."""
    products = {
        "ours": peers.ours,
        "our block Krylov": peers.block_krylov,
        "scipy eigsh (Lanczos)": peers.lanczos,
        "scipy lobpcg": peers.scipy_lobpcg,
        "Chebyshev-filtered subspace": peers.chebyshev,
    }
    if tokens <= DENSE_REFERENCE:
        products |= {"torch.lobpcg": peers.torch_lobpcg, "torch eigh, float64": peers.dense_eigh}
    few = {"ours": peers.ours, "scipy eigsh (Lanczos)": peers.lanczos}
    if tokens > DENSE_TOKENS:
        products = few | {"our block Krylov": peers.block_krylov}
    what = planted(tokens, heads=12, width=64)
    yield Case("cosine, width 768", lambda: joint_affinity([what], "what"), products)
    yield Case("50 neighbours, width 768", lambda: joint_affinity([what], "what", kernel="neighbours"), few)
    kernel: Solvers = {"ours": peers.ours}
    if find_spec("ncut_pytorch"):
        unit = unit_values(what, torch.device("cpu"))
        kernel["ncut_pytorch"] = lambda _, count: peers.ncut_pytorch(unit, TEMPERATURE, count)
    yield Case(
        f"exp kernel τ = {TEMPERATURE}, width 768",
        lambda: joint_affinity([what], "what", kernel="exp", temperature=TEMPERATURE),
        kernel,
        lambda: joint_affinity([what], "what", kernel="exp", temperature=TEMPERATURE, form="matrix-free"),
    )
    if tokens > DENSE_TOKENS:
        return
    where, noise = planted(tokens, heads=8, width=40), unstructured(tokens, heads=8, width=40)
    yield Case("attention, 8 heads, dense", lambda: joint_affinity([where], "where", form="dense"), products)
    yield Case("attention without structure, dense", lambda: joint_affinity([noise], "where", form="dense"), products)
    if tokens <= DENSE_REFERENCE:
        yield Case("attention, matrix-free", lambda: joint_affinity([where], "where", form="matrix-free"), few)


def reference(operator: JointAffinity, count: int) -> Answer | None:
    """Eigenvectors in float64; None where there is no way to them."""
    if operator.tokens <= DENSE_REFERENCE:
        return peers.dense_eigh(operator, count)
    factor = operator.factor()
    if factor is not None:
        wide = factor.double().numpy()
        linear = LinearOperator(operator.shape, matvec=lambda x: wide @ (wide.T @ x), dtype=np.float64)
    elif operator.tokens <= DENSE_TOKENS:
        linear = operator.dense().double().numpy()
    elif "sparse" in operator.forms:
        return component_vectors(operator.terms[0].operator, count)
    else:
        return None
    start = np.random.default_rng(1).normal(size=operator.tokens)
    values, vectors = eigsh(linear, count, which="LA", tol=1e-10, v0=start)
    return Answer(values[::-1], vectors[:, ::-1])


def component_vectors(normalized: Normalized, count: int) -> Answer | None:
    """D^½ times the indicators of the components of a graph of neighbours, if there are ``count`` of them.

    These are its eigenvectors of eigenvalue 1 (von Luxburg 2007, proposition 4). eigsh in float64 would not do: without
    rounding a single vector never sees the copies of a repeated eigenvalue.
    """
    entries = normalized.operator.matrix  # type: ignore[attr-defined]
    adjacency = csr_array((entries.values().double().numpy(), entries.indices().numpy()), shape=normalized.shape)
    components, component = connected_components(adjacency, directed=False)
    if components != count:
        return None
    vectors = np.sqrt(adjacency.sum(axis=1))[:, None] * (component[:, None] == np.arange(count))
    return Answer(np.ones(count), vectors / np.linalg.norm(vectors, axis=0))


def relative_gap(operator: SymmetricOperator, count: int) -> float:
    """(λ_k − λ_{k+1}) / λ₁."""
    values = peers.ours(operator, count + 1).values
    return float((values[count - 1] - values[count]) / values[0])


def run_case(case: Case, tokens: int, count: int) -> Iterator[dict]:
    """One row a solver."""
    with peak_memory() as peak:
        started = time.perf_counter()
        operator = case.make()
        made = {"affinity": time.perf_counter() - started, "affinity_memory": peak()}
    form = getattr(operator, "forms", ("",))[0]
    exact = case.make_judge() if case.make_judge and tokens > DENSE_TOKENS else operator
    gap = relative_gap(operator, count)
    truth = reference(exact, count) if gap > 1e-3 else None
    for solver, solve in case.solvers.items():
        row = {"case": case.name, "form": form, "tokens": tokens, "solver": solver, "gap": gap} | made
        with peak_memory() as peak:
            started = time.perf_counter()
            try:
                answer = solve(operator, count)
            except Exception as problem:  # a peer that fails is a finding, not the end of the run
                yield row | {"failed": f"{type(problem).__name__}"}
                continue
            seconds = time.perf_counter() - started
        yield (
            row | {"solver": solver + answer.remark, "seconds": seconds, "memory": peak()} | judge(exact, answer, truth)
        )


def judge(operator: SymmetricOperator, answer: Answer, truth: Answer | None) -> dict[str, float | int | None]:
    """Largest residual relative to λ₁, and largest angle to the reference where there is one."""
    vectors = answer.vectors.astype(np.float64)
    image = operator @ vectors
    # Of the span: eigenvalues that belong to other vectors should not count against these.
    values, rotation = np.linalg.eigh(vectors.T @ image)
    residual = np.linalg.norm(image @ rotation - vectors @ rotation * values, axis=0).max() / values[-1]
    angle = None if truth is None else float(np.degrees(subspace_angles(vectors, truth.vectors)).max())
    return {"residual": float(residual), "angle": angle, "products": answer.products}


def markdown(rows: list[dict]) -> str:
    """A table, one row a solver."""
    lines = ["| operator | tokens | solver | affinity s, MiB | solver s, MiB | products | residual / λ₁ | angle |"]
    lines.append("|---" * 8 + "|")
    for row in rows:
        alone = row["solver"].startswith("ncut_pytorch")
        making = "in all" if alone else cost(row["affinity"], row["affinity_memory"])
        solver = (
            f"{row['solver']}, {row['form']}" if row["form"].startswith("landmarks") and not alone else row["solver"]
        )
        name = f"| {row['case']} | {row['tokens']} | {solver} | {making} | "
        if "failed" in row:
            figures = [f"failed: {row['failed']}", "", "", ""]
        else:
            angle = (
                "no gap" if row["gap"] <= 1e-3 else "no reference" if row["angle"] is None else f"{row['angle']:.1e}°"
            )
            spent = cost(row["seconds"], row["memory"])
            figures = [spent, str(row["products"] or ""), f"{row['residual']:.1e}", angle]
        lines.append(name + " | ".join(figures) + " |")
    return "\n".join(lines)


def cost(seconds: float, memory: int | None) -> str:
    """Seconds, and mebibytes where they are known."""
    return f"{seconds:.2f}" if memory is None else f"{seconds:.2f}, {memory / 2**20:.0f}"


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tokens", type=int, nargs="+", default=[1024, 4096, 16384, 65536])
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--only", default="", help="only the operators with this in their name")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[dict] = []
    for tokens in options.tokens:
        for case in cases(tokens):
            if options.only in case.name:
                fresh = list(run_case(case, tokens, options.count))
                print(markdown(fresh), flush=True)
                rows += fresh
    record = {"environment": describe_environment(), "count": options.count, "rows": rows}
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
