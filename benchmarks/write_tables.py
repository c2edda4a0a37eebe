"""Write docs/benchmarks.md from the JSON files that the benchmarks left in docs/benchmarks.

Usage: ``python benchmarks/write_tables.py``, after ``--json docs/benchmarks/NAME.json`` of each benchmark.
"""

from __future__ import annotations

import json
from pathlib import Path

import regions_bsds
import solvers

DOCS = Path(__file__).parents[1] / "docs"


def environment(record: dict) -> str:
    """Where the figures are from, in one line."""
    return "Measured with " + ", ".join(f"{name} {value}" for name, value in record["environment"].items()) + "."


def main_job(record: dict) -> str:
    """How the main job feels."""
    lines = ["| coffee sample, 400 × 600 | measured | wanted |", "|---|---|---|"]
    lines += [f"| {row['name']} | {row['value']:.3g} {row['unit']} | {row['wanted']} |" for row in record["rows"]]
    return "\n".join(lines)


def regions(record: dict) -> str:
    """Region quality, all images and each half."""
    return "\n".join(regions_bsds.markdown(title, results) for title, results in record["results"].items())


TEXT = """# Figures

Made by `benchmarks/write_tables.py` from the benchmarks' own output; nothing here is typed by hand.
GPU: not measured.

## Regions on BSDS500

`python benchmarks/regions_bsds.py FOLDER`: the 100 validation images, with the `filters` backbone; covering, PRI
(higher is better) and VI (lower is better), ODS: one parameter for all images, OIS: the best for each. The tree's
weights were chosen on the images at even positions, so read the held-out half; both halves were looked at while
developing. gPb-owt-ucm are the published maps, scored by the same code.
{regions}

Felzenszwalb is scikit-image's, over a sweep of its scale; the Ward tree has grid connectivity on the token features of
the same backbone. The rows of the region tree were run again after the last change of code; the peers', which it
changes by rounding at most, are of the full run before. The embedding of these hand-made features adds little to the
colours and textures that the tree weighs beside it; a Ward tree on the features alone is far behind.

{regions_environment}

## The exact solver

`python benchmarks/solvers.py`: {count} eigenvectors of planted operators, beside peers on the same operator. Angles are
to the reference, residuals relative to λ₁; "products" counts single columns, which blocks make cheap where products
stream from memory or have no matrix.

{solvers}

{solvers_environment}

## How the main job feels

`python benchmarks/main_job.py`, under a virtual display with software rendering, so that drawing is slow; napari's own
cost is measured beside ours in the same run. The dock starts to import torch when it opens; the benchmark waits for
that, while a Run pressed at once shares the window with the import, which takes 0.2–0.3 s of it in one piece.

{main_job}

{main_job_environment}
"""


def main() -> None:
    """Read, format, write."""
    records = {path.stem: json.loads(path.read_text()) for path in (DOCS / "benchmarks").glob("*.json")}
    text = TEXT.format(
        regions=regions(records["regions_bsds"]),
        regions_environment=environment(records["regions_bsds"]),
        count=records["solvers"]["count"],
        solvers=solvers.markdown(records["solvers"]["rows"]),
        solvers_environment=environment(records["solvers"]),
        main_job=main_job(records["main_job"]),
        main_job_environment=environment(records["main_job"]),
    )
    (DOCS / "benchmarks.md").write_text(text)


if __name__ == "__main__":
    main()
