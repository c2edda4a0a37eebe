"""The gradient solver against the exact one at Stable Diffusion 1.4's shapes, 512 × 512 pixels, all heads.

    python benchmarks/gradient.py [--steps 5] [--count 20] [--cases planted random] [--json FILE]

Self-attention of SD-1.4: five layers of 64 × 64 tokens (8 heads of 40), five of 32 × 32 (80), five of 16 × 16 (160),
one of 8 × 8 (160); queries and keys of twenty planted regions, or of noise. Every row runs in a process of its own:

- *exact*: ``joint_affinity`` and ``spectral_embedding``, all of it;
- *gradient*: the same with ``method="gradient"``, 2000 steps;
- *gradient, an operator a step*: the same, but computing the gradient of each of ``--steps`` steps, but at least
  20, as redrawn timesteps would make it, extrapolated to 2000;
- *official formulation*: every head's unsymmetrised attention kept, autograd through all of it, written plainly from
  the paper's equations; ``--steps`` steps (after one that is not counted), extrapolated to 2000. ``--steps 2000`` runs
  it all. The UNet passes that redraw timesteps are left out, for every row.

"trace" is Σ of Rayleigh quotients of the re-orthonormalised vectors under the row's own normalisation; "cosines" are of
principal angles to the exact solver's under the same; "memory" the peak beyond the activations; ARI is against the
planted regions, of cluster_qr on the sharpened vectors, and of the softmax's own argmax.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from environment import describe_environment, peak_memory
from scipy.linalg import subspace_angles
from sklearn.metrics import adjusted_rand_score
from torch.nn.functional import adaptive_avg_pool2d, normalize

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import JointAffinity, joint_affinity
from napari_what_where.embedding.gradient.draws import Draws
from napari_what_where.embedding.gradient.optimisation import GradientOptions, optimise
from napari_what_where.embedding.gradient.softmax_net import SoftmaxNet
from napari_what_where.embedding.sharpen import sharpen
from napari_what_where.embedding.solver import rayleigh_ritz
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.grids import area_mean
from napari_what_where.segments.clusters import cluster_qr

SHAPES = [(64, 40)] * 5 + [(32, 80)] * 5 + [(16, 160)] * 5 + [(8, 160)]
"""(side, head_dim) of each layer of self-attention, 8 heads."""
HEADS, SIDE, ALL_STEPS = 8, 64, 2000
Row = dict[str, Any]


def regions() -> np.ndarray:
    """Twenty regions, four by five, whose borders run across coarse cells; (64, 64) numbers."""
    rows, columns = np.indices((SIDE, SIDE))
    wave = 2 * np.sin(rows / 5)
    return 5 * (rows * 4 // SIDE) + np.clip((columns + wave) * 5 // SIDE, 0, 4).astype(int)


def activations(case: str) -> list[TokenActivations]:
    """Queries and keys: of regions, which answer to their own, with as much noise again; or of nothing but noise."""
    rng, plan, layers = np.random.default_rng(0), regions(), []
    for number, (side, width) in enumerate(SHAPES):
        shared = np.zeros((HEADS, side * side, width), np.float32)
        if case == "planted":
            means = rng.normal(size=(HEADS, 20, width)).astype(np.float32)
            shared = np.stack([area_mean(head[plan], (side, side)).reshape(-1, width) for head in means])
        query, key = (shared + rng.normal(size=shared.shape).astype(np.float32) for _ in range(2))
        layers.append(TokenActivations(f"layer {number}", (side, side), query, key))
    return layers


def exact(layers: list[TokenActivations], options: argparse.Namespace) -> Row:
    """Collapse and solve."""
    started = time.perf_counter()
    affinity = joint_affinity(layers, "where", options.normalization, device="cpu")
    collapsed = time.perf_counter()
    embedding = spectral_embedding(affinity, options.count)
    ended = time.perf_counter()
    return {
        "seconds": ended - started,
        "collapse": collapsed - started,
        "trace": float(embedding.values.sum()),
        "vectors": embedding.vectors.reshape(options.count, -1).T,
        "sharp": embedding.sharp_vectors.reshape(options.count, -1).T,
        "solver": embedding.details["solver"],
    }


def gradient(layers: list[TokenActivations], options: argparse.Namespace) -> Row:
    """Collapse, and the gradient solver as it is."""
    started = time.perf_counter()
    affinity = joint_affinity(layers, "where", options.normalization, device="cpu")
    found = optimise(affinity, options.count, GradientOptions())
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "step": seconds / ALL_STEPS, **judged(affinity, found.assignment), "loss": found.loss}


def gradient_by_step(layers: list[TokenActivations], options: argparse.Namespace) -> Row:
    """The same, but every step taken for another operator, as when each redraws its timesteps."""
    affinity = joint_affinity(layers, "where", options.normalization, device="cpu")
    steps = max(options.steps, GradientOptions.accumulate)  # whole updates, or the network's share is too large
    draws = Draws.at
    Draws.at = lambda self, step: (step, affinity)  # type: ignore[method-assign]
    started = time.perf_counter()
    optimise(affinity, options.count, GradientOptions(steps=steps))
    Draws.at = draws  # type: ignore[method-assign]
    return extrapolated((time.perf_counter() - started) / steps, steps)


def official(layers: list[TokenActivations], options: argparse.Namespace) -> Row:
    """The paper's loop, written plainly: every head's attention, |zᵀ A z − 1|, overlaps, autograd through it all."""
    started = time.perf_counter()
    scaled = [(layer.query * layer.query.shape[-1] ** -0.5, layer.key) for layer in layers]
    attention = [(query @ key.transpose(1, 2)).softmax(dim=-1) for query, key in scaled]
    made = time.perf_counter() - started
    count, chosen = options.count, GradientOptions()
    net = SoftmaxNet(
        (SIDE, SIDE), count, width=chosen.width, layers=chosen.layers, generator=torch.Generator().manual_seed(0)
    )
    adam = torch.optim.Adam(net.parameters(), lr=chosen.learning_rate)
    apart = ~torch.eye(count, dtype=torch.bool)
    first = time.perf_counter()
    for step in range(-1 if options.steps < ALL_STEPS else 0, options.steps):
        if step == 0:
            first = time.perf_counter()
        soft, quadratic, overlap = net().T.reshape(1, count, SIDE, SIDE), [], []
        for matrix in attention:
            side = round(matrix.shape[-1] ** 0.5)
            z = normalize(adaptive_avg_pool2d(soft, side)[0].flatten(1), dim=1)  # (count, tokens)
            quadratic.append(((matrix @ z.T) * z.T).sum(dim=1).flatten())
            overlap.append((z @ z.T)[apart])
        loss = 2 * (torch.cat(quadratic) - 1).abs().mean() + 2 * torch.cat(overlap).square().mean()
        loss.backward()
        if (step + 1) % chosen.accumulate == 0:
            adam.step()
            adam.zero_grad()
    row = extrapolated((time.perf_counter() - first) / options.steps, options.steps) | {"attention": made}
    if options.steps < ALL_STEPS:
        return row
    affinity = joint_affinity(layers, "where", "none", device="cpu")
    return row | judged(affinity, net().detach()) | {"loss": loss.item()}


def extrapolated(step: float, steps: int) -> Row:
    return {"step": step, "steps": steps, "seconds": ALL_STEPS * step}


def judged(affinity: JointAffinity, assignment: torch.Tensor) -> Row:
    """Rayleigh–Ritz of a soft assignment, and its segmentation."""
    basis = torch.linalg.qr(assignment.double())[0]
    solution = rayleigh_ritz(affinity, basis, spent=0, tolerance=1.0)
    return {
        "trace": float(solution.values.sum()),
        "vectors": solution.vectors.numpy(),
        "sharp": sharpen(affinity.finest, solution).vectors.numpy(),
        "labels": assignment.argmax(dim=1).numpy(),
    }


WORKERS: dict[str, tuple[Callable[..., Row], str]] = {
    "exact": (exact, "degree"),
    "gradient": (gradient, "degree"),
    "exact, not normalised": (exact, "none"),
    "gradient, not normalised": (gradient, "none"),
    "gradient, an operator a step": (gradient_by_step, "none"),
    "official formulation": (official, "none"),
}


def work(options: argparse.Namespace) -> None:
    """One row, in this process: figures to standard output, arrays to a file."""
    layers = activations(options.cases[0])
    torch.ones(64, 64) @ torch.ones(64, 64)  # what the libraries set up on first use
    run, options.normalization = WORKERS[options.worker]
    with peak_memory() as peak:
        row = run(layers, options)
        row["memory"] = peak()
    arrays = {name: row.pop(name) for name in ("vectors", "sharp", "labels") if name in row}
    np.savez(options.arrays, **arrays)
    print(json.dumps(row))


def measure(case: str, worker: str, options: argparse.Namespace, arrays: Path) -> Row:
    """One row, in a process of its own."""
    given = ["--worker", worker, "--cases", case, "--arrays", str(arrays)]
    given += ["--steps", str(options.steps), "--count", str(options.count)]
    done = subprocess.run([sys.executable, __file__, *given], capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def compare(rows: dict[str, Row], folder: Path, case: str) -> None:
    """Add to each row what needs another row, or the planted regions."""
    for name, row in rows.items():
        if "trace" not in row:
            continue
        found = np.load(folder / f"{name}.npz")
        plain = "not normalised" in name or name == "official formulation"
        reference = np.load(folder / ("exact, not normalised.npz" if plain else "exact.npz"))
        ours, theirs = (array["vectors"].astype(np.float64) for array in (found, reference))
        row["cosines"] = np.cos(subspace_angles(ours, theirs)).tolist()
        if case == "planted":
            row["ari"] = adjusted_rand_score(regions().ravel(), cluster_qr(found["sharp"]))
            if "labels" in found:
                row["softmax_ari"] = adjusted_rand_score(regions().ravel(), found["labels"])
    for name, row in rows.items():
        if "seconds" in row and "seconds" in rows["exact"] and not name.startswith("exact"):
            row["times_exact"] = row["seconds"] / rows["exact"]["seconds"]


def markdown(results: dict[str, dict[str, Row]]) -> str:
    """A table, one row a way of solving."""
    titles = "case|solver|2000 steps, or all|a step|× exact|memory|trace|cosines, least and median|ARI|of softmax"
    lines = ["| " + " | ".join(titles.split("|")) + " |", "|---" * 10 + "|"]
    for case, rows in results.items():
        for name, row in rows.items():
            if "failed" in row:
                lines.append(f"| {case} | {name} | failed: {row['failed']} |" + " |" * 7)
                continue
            cosines = row.get("cosines")
            cells = [
                f"{row['seconds']:.1f} s"
                + (f" (from {row['steps']})" if row.get("steps", ALL_STEPS) < ALL_STEPS else ""),
                f"{row['step']:.3f} s" if "step" in row else "",
                f"{row['times_exact']:.0f}" if "times_exact" in row else "",
                f"{row['memory'] / 2**30:.2f} GiB" if row["memory"] is not None else "",
                f"{row['trace']:.4f}" if "trace" in row else "",
                f"{min(cosines):.3f}, {np.median(cosines):.3f}" if cosines and not name.startswith("exact") else "",
                f"{row['ari']:.3f}" if "ari" in row else "",
                f"{row['softmax_ari']:.3f}" if "softmax_ari" in row else "",
            ]
            lines.append(f"| {case} | {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["planted", "random"], choices=["planted", "random"])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--rows", nargs="+", default=list(WORKERS), choices=list(WORKERS))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--arrays", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options)
        return
    results: dict[str, dict[str, Row]] = {}
    for case in options.cases:
        with tempfile.TemporaryDirectory() as folder:
            results[case] = {}
            for name in options.rows:
                results[case][name] = measure(case, name, options, Path(folder) / f"{name}.npz")
                print(f"{case}, {name}: {results[case][name]}", file=sys.stderr, flush=True)
            compare(results[case], Path(folder), case)
    print(markdown(results))
    record = {"environment": describe_environment(), "count": options.count, "cases": results}
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
