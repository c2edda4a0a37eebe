"""One batch of a collection: the paper's gradient method against the exact eigenvectors of the same graphs.

    python benchmarks/collection_batch.py [built-in filters] [--images 40] [--side 128] [--count 20] [--json FILE]

A batch of generated scenes in which classes recur (``training.scenes``), as large as the paper's; activations at the
model's own timestep, which stays. Of every network layer the paper's graph: 50 nearest tokens within the image and 50
in the others by cosine, similarities up to .1 dropped, symmetrised. On the same graphs:

- *gradient*: the published amount of optimisation, 200 epochs of five steps of AdamW, all of them on this batch;
- *exact*: the leading eigenvectors of J = Σ w PᵀNP on the table's cells.

Both are measured by one figure, the trace tr(XᵀJX) of X, the columns made orthonormal: of the gradient method's softmax
columns, of the moving average that it answers and of where its steps end. J has the normalisation that the loss has:
"rows", the published D⁻¹S (of which a quadratic form sees the symmetric part), or "symmetric", D^-½SD^-½. Making the
graphs takes both equally long, and is in neither's time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from environment import describe_environment  # noqa: E402

from napari_what_where import load_backbone  # noqa: E402
from napari_what_where.activations.types import TokenActivations  # noqa: E402
from napari_what_where.embedding.collection_gradient.exact import exact_batch, joint_trace  # noqa: E402
from napari_what_where.embedding.collection_gradient.graphs import (  # noqa: E402
    NORMALIZATIONS,
    BatchGraph,
    batch_graphs,
)
from napari_what_where.embedding.collection_gradient.objective import BatchJoint, layer_weights  # noqa: E402
from napari_what_where.embedding.collection_gradient.options import CollectionOptions  # noqa: E402
from napari_what_where.embedding.collection_gradient.run import CollectionRun  # noqa: E402
from napari_what_where.embedding.collection_gradient.solve import finish  # noqa: E402
from napari_what_where.progress import Progress  # noqa: E402
from training.pool import HELD_OUT, WORLD  # noqa: E402
from training.scenes import make_scene  # noqa: E402

CLASSES = 8
CPU = torch.device("cpu")
Row = dict[str, Any]


def scenes(images: int, side: int) -> list[np.ndarray]:
    """Pictures of eight classes that the built-in model knew; it was trained on none of the pictures."""
    only = np.random.default_rng(0).choice(WORLD.thing_classes, CLASSES, replace=False)
    world = replace(WORLD, only=tuple(sorted(int(each) for each in only)))
    return [make_scene([HELD_OUT, 0, n], size=(side, side), kind="leaves", world=world).image for n in range(images)]


def activations_of(name: str, pictures: list[np.ndarray], side: int) -> list[list[TokenActivations]]:
    """Network layers of each picture; a network sees it at its own size."""
    backbone = load_backbone(name) if name == "filters" else load_backbone(name, resolution=side)
    return [backbone.extract(picture) for picture in tqdm(pictures, desc=name)]


@contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Seconds, and seconds of the processor, which hardly depend on what else it does."""
    taken: dict[str, float] = {}
    started, spent = time.perf_counter(), time.process_time()
    yield taken
    taken |= {"seconds": time.perf_counter() - started, "processor": time.process_time() - spent}


def compare(graphs: list[BatchGraph], normalization: str, options: argparse.Namespace) -> Row:
    """Both solvers on the same graphs."""
    chosen = CollectionOptions(epochs=options.epochs, batch=options.images, normalization=normalization)
    weights = layer_weights(graphs, chosen.weighting)
    with stopwatch() as exact_time:
        exact = exact_batch(graphs, weights, options.count, side=chosen.side, normalization=normalization)
    run = CollectionRun(options.images, options.count, chosen, lambda *_: graphs, seed=options.seed, device=CPU)
    with (
        stopwatch() as gradient_time,
        tqdm(total=run.total * chosen.inner_steps, desc=f"gradient, {normalization}") as bar,
    ):

        def report(progress: Progress) -> None:
            bar.update(progress.done - bar.n)

        finish(run, report)
    joint = BatchJoint(graphs, weights, side=chosen.side, normalization=normalization, device=CPU)
    traces = {
        "trace, average": joint_trace(joint, run.answer().softmax(dim=1)),
        "trace, last step": joint_trace(joint, run.logits.softmax(dim=1)),
    }
    best = float(exact.values.sum())
    return {
        "normalization": normalization,
        "exact": {
            **exact_time,
            "trace": best,
            "values": exact.values.tolist(),
            "residual": float(exact.residuals.max()),
            "products": exact.products,
            **exact.details,
        },
        "gradient": {**gradient_time, "steps": run.total * chosen.inner_steps, **traces},
        "times faster": gradient_time["seconds"] / exact_time["seconds"],
        "times less of the processor": gradient_time["processor"] / exact_time["processor"],
        "gradient reaches": max(traces.values()) / best,
        "loss": [list(parts) for parts in run.history[:: max(1, len(run.history) // 20)]],
    }


def cases(options: argparse.Namespace) -> list[Row]:
    """Every backbone, the pathways that it has, both normalisations."""
    pictures, rows = scenes(options.images, options.side), []
    for name in options.backbones:
        activations = activations_of(name, pictures, options.side)
        for pathway in ("what", "where") if any(layer.query is not None for layer in activations[0]) else ("what",):
            with stopwatch() as made:
                graphs = batch_graphs(activations, pathway, CollectionOptions().graph, CPU)
            shared = {
                "backbone": name,
                "pathway": pathway,
                "graphs": made,
                "entries": sum(int(graph.similarity.values().numel()) for graph in graphs),
                "layers": [[graph.name, *graph.grids[0]] for graph in graphs],
            }
            for normalization in options.normalizations:
                rows.append(shared | compare(graphs, normalization, options))
                print(told(rows[-1]), file=sys.stderr, flush=True)
    return rows


def told(row: Row) -> str:
    """A row of the table."""
    gradient, exact = row["gradient"], row["exact"]
    cells = [
        row["backbone"],
        row["pathway"],
        row["normalization"],
        f"{row['graphs']['seconds']:.1f} s",
        f"{gradient['seconds']:.1f} s",
        f"{exact['seconds']:.2f} s",
        f"{row['times faster']:.0f}",
        f"{row['times less of the processor']:.0f}",
        f"{gradient['trace, average']:.4f}",
        f"{gradient['trace, last step']:.4f}",
        f"{exact['trace']:.4f}",
    ]
    return "| " + " | ".join(cells) + " |"


def markdown(record: Row) -> str:
    """A table, one row a backbone, pathway and normalisation."""
    titles = ["backbone", "pathway", "normalised", "graphs", "gradient", "exact", "times faster", "by processor"]
    titles += ["trace: gradient", "of its last step", "exact"]
    return "\n".join(["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|", *map(told, record["results"])])


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="*", default=["built-in", "filters"])
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--count", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=CollectionOptions.epochs)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--normalizations", nargs="+", default=list(NORMALIZATIONS), choices=NORMALIZATIONS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    settings = {name: getattr(options, name) for name in ("images", "side", "count", "epochs", "seed")}
    record = {"environment": describe_environment(), **settings, "results": cases(options)}
    print(markdown(record))
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
