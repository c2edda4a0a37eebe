"""What is captured of each class of models, beside what the model itself computes.

Usage: ``python benchmarks/capture.py [--json FILE]``. Of every class one small model with random weights, the very ones
of the tests, at two sizes and aspects: softmax(q kᵀ/√d) v of the captured queries, keys and values by its definition in
float64, projected by the module's own weights, beside what the module gave back. Of every model that is offered by
name, without memory for its weights: how many network layers are captured. Takes ten seconds.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import torch
from environment import describe_environment

from napari_what_where.activations.networks.families import FAMILIES, REFUSED
from tests.activations import test_diffusion_capture, test_vision
from tests.activations.capture_conformance import CaptureCase, projected_and_own, relative_difference, tensors
from tests.activations.tiny_diffusion import PIPELINES, warm
from tests.activations.tiny_models import CONFIGURATIONS, saved


def small_models(folder: Path) -> Iterator[tuple[str, str, CaptureCase]]:
    """Class, which model of it, and how it is run."""
    for name in CONFIGURATIONS:
        backbone = test_vision.adapter(saved(name, folder / name), name, resolution=48)
        yield name, "", test_vision.case_of(backbone)
    for name in PIPELINES:
        case = test_diffusion_capture.case_of(warm(name))
        yield type(case.model).__name__, name, case


def row_of(class_name: str, model: str, case: CaptureCase) -> dict[str, Any]:
    """The figures of one model."""
    errors, unchanged, batch = [], 0.0, 0.0
    layers: set[int] = set()
    for pictures in case.pictures:
        compared = list(projected_and_own(case, pictures[:1]))
        layers.add(len(compared))
        errors += [relative_difference(mine, own) for _, pairs in compared for mine, own in pairs]
        calls, given = case.captured(pictures)
        own = list(tensors(case.plain(pictures)))
        pairs = list(zip(tensors(given), own, strict=True))
        unchanged = max(unchanged, *(0.0 if torch.equal(*pair) else relative_difference(*pair) for pair in pairs))
        for number in range(len(pictures)):
            alone, _ = case.captured(pictures[number : number + 1])
            for one, both in zip(alone, calls, strict=True):
                for role in ("query", "key", "value"):
                    together = getattr(both, role)[number : number + 1]
                    batch = max(batch, relative_difference(together, getattr(one, role)))
    return {
        "class": class_name,
        "model": model,
        "layers": layers.pop() if len(layers) == 1 else sorted(layers),
        "sizes": [list(pictures.shape[2:]) for pictures in case.pictures],
        "product": max(errors),
        "output": unchanged,
        "batch": batch,
    }


def published() -> Iterator[dict[str, Any]]:
    """Network layers of every model that is offered by name, its weights on torch's meta device."""
    from napari_what_where.activations.catalogue import CATALOGUE
    from tests.activations.true_models import backbone_of

    for name, row in CATALOGUE.items():
        with tempfile.TemporaryDirectory() as folder:
            backbone = backbone_of(name, 512, Path(folder), empty=True)
            wanted = set(backbone.network_layers)
            yield {"name": name, "class": row.class_name, "layers": len(wanted), "token": row.token}


def markdown(record: dict[str, Any]) -> str:
    """The table of classes, and that of models."""
    lines = [
        "| class | small model | network layers | products, projected, against the module's output | output with and "
        "without capture | batch against singles |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        output = "same bits" if row["output"] == 0 else f"{row['output']:.1e}"
        lines.append(
            f"| `{row['class']}` | {row['model']} | {row['layers']} | {row['product']:.1e} | {output} "
            f"| {row['batch']:.1e} |"
        )
    lines += [f"| `{name}` | | | refused: {reason} | | |" for name, reason in record["refused"].items()]
    lines += ["", "| model | class | self-attention layers | finest token, pixels |", "|---|---|---|---|"]
    lines += [f"| {row['name']} | `{row['class']}` | {row['layers']} | {row['token']} |" for row in record["published"]]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [row_of(*each) for each in small_models(Path(folder))]
    missing = set(FAMILIES) - {row["class"] for row in rows}
    if missing:
        parser.exit(1, f"no small model of {', '.join(sorted(missing))}\n")
    record = {
        "rows": rows,
        "refused": REFUSED,
        "published": list(published()),
        "environment": describe_environment(),
    }
    print(markdown(record))
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
