"""What the parts of the region tree gain on BSDS500, and what was tried beside them.

    python benchmarks/tree_study.py path/to/BSDS500 [--half even] [--images 20] [--perturb 4] [--json result.json]

The graph of leaves is built once an image; each variant then only merges it, in 0.1–0.3 s. Covering of the ground
truth, ODS and OIS by height and ODS by count, as in ``regions_bsds.py``. Weights were chosen on the images at even
positions, so the shipped ones stand at a peak of theirs that other images do not have: ``--perturb`` also gives the
mean over so many recipes whose weights are multiplied by exp(0.12 · normal), the same ones for each variant, which
compares the variants and not the luck of their weights.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environment import describe_environment
from regions_bsds import Prepared, prepare
from tqdm import tqdm

from napari_what_where.evaluation.hierarchies import from_tree
from napari_what_where.evaluation.summary import optimum
from napari_what_where.segments import consensus
from napari_what_where.segments.features import BINS, Recipe, even_channels, feature_groups, leaf_strength
from napari_what_where.segments.graph import RegionGraph, region_graph
from napari_what_where.segments.merging import FLOOR, MergeCost
from napari_what_where.segments.superpixels import waterpixels
from napari_what_where.segments.tree import RegionTree

FORMER = Recipe(spectral_edge=0, edge_weights=(1.0,), calibration=0)


@dataclass(frozen=True)
class OtherCost(MergeCost):
    """Dissimilarities that were tried in the place of the weighted sum of squares."""

    form: str = "sum"

    def __call__(self, difference: np.ndarray, edge: np.ndarray, *rest: Any) -> np.ndarray:
        squared, edges = np.einsum("...i,...i->...", difference, difference), edge**2
        weighed = {
            "saturating": squared / (1 + squared / 0.3) / 2 + edges / 2,
            "product": (squared + FLOOR) ** 0.3 * (edges + FLOOR) ** 0.7,
            "larger": np.maximum(squared, edges),
            "roots": (np.sqrt(squared) + np.sqrt(edges)) ** 2 / 4,
        }[self.form]
        nothing = np.zeros((*np.shape(edge), 0))
        return super().__call__(nothing, np.sqrt(2 * weighed), *rest)


class Variant(NamedTuple):
    """A recipe, and the form of the dissimilarity it merges by."""

    recipe: Recipe
    form: str = "sum"


VARIANTS: dict[str, Variant] = {
    "before: one tree, local edges": Variant(FORMER),
    "heights relative to contrast": Variant(replace(FORMER, calibration=0.5)),
    "eigenvectors of the leaf graph": Variant(replace(FORMER, spectral_edge=0.4)),
    "consensus of three edge weights": Variant(replace(FORMER, edge_weights=(0.25, 1.0, 4.0))),
    "all three (shipped)": Variant(Recipe()),
    "shipped, heights as they are": Variant(Recipe(calibration=0)),
    "shipped, heights fully relative": Variant(Recipe(calibration=1)),
    "shipped, eigenvectors half": Variant(Recipe(spectral_edge=0.2)),
    "shipped, eigenvectors double": Variant(Recipe(spectral_edge=0.8)),
    "shipped, consensus of two": Variant(Recipe(edge_weights=(0.4, 2.5))),
    "shipped, consensus of five": Variant(Recipe(edge_weights=(0.25, 0.5, 1.0, 2.0, 4.0))),
    "before, saturating distances": Variant(FORMER, "saturating"),
    "before, product of distance and edge": Variant(FORMER, "product"),
    "before, larger of distance and edge": Variant(FORMER, "larger"),
    "before, sum of roots": Variant(FORMER, "roots"),
}


def leaf_graph(prepared: Prepared) -> tuple[np.ndarray, RegionGraph]:
    """Leaves and their graph, as the region tree makes them of a colour photograph."""
    from napari_what_where.image import PerceptualScale, working_channels

    scale = PerceptualScale.fit([prepared.image])
    even = even_channels(working_channels(prepared.image, scale), colour=scale.colour)
    strength = leaf_strength(even, prepared.embedding, follow_edges=True, recipe=Recipe())
    leaves = waterpixels(strength, Recipe().leaves, Recipe().regularity)
    groups = feature_groups(even, prepared.embedding, follow_edges=True, recipe=Recipe())
    return leaves, region_graph(leaves, groups)


def perturbed(graph: RegionGraph, recipe: Recipe, seed: int) -> tuple[RegionGraph, Recipe]:
    """Graph and recipe with weights multiplied by exp(0.12 · normal): all the same for every image; 0 leaves them."""
    if seed == 0:
        return graph, recipe
    factors = np.exp(0.12 * np.random.default_rng(seed).normal(size=8))
    histograms = 3 * BINS
    sizes = [graph.features.shape[1] - 3 - 2 * histograms, 3, histograms, histograms]
    changed = replace(graph, features=graph.features * np.repeat(factors[:4], sizes), edges=graph.edges * factors[4])
    return changed, replace(
        recipe,
        spectral_edge=recipe.spectral_edge * factors[5],
        area_power=recipe.area_power * factors[6],
        compactness=recipe.compactness * factors[7],
    )


def merge(graph: RegionGraph, variant: Variant) -> tuple[np.ndarray, np.ndarray]:
    """Children and heights of one variant."""
    if variant.form == "sum":
        return consensus.merge_leaves(graph, variant.recipe)
    recipe = variant.recipe
    grain = recipe.grain / len(graph.areas)
    return consensus.merge_by_consensus(
        graph, [OtherCost(recipe.area_power, recipe.compactness, grain, form=variant.form)]
    )


def coverings(leaves: np.ndarray, merged: tuple[np.ndarray, np.ndarray], prepared: Prepared) -> list[np.ndarray]:
    """Covering at every height and at every count."""
    from napari_what_where.segments.statistics import node_statistics

    statistics = node_statistics(leaves, leaves.shape, merged[0], np.zeros((0, 1, 1)))
    tree = RegionTree(leaves, leaves.shape, *merged, statistics)
    return [
        np.array([scores.covering for scores in from_tree(tree, by).scores(prepared.truths)])
        for by in ("height", "count")
    ]


def measure(folder: Path, names: list[str], perturb: int) -> dict[str, Any]:
    """Coverings by variant: (recipes, images) of (height, count) sweeps; and seconds of merging by variant."""
    sweeps: dict[str, list[list[Any]]] = {name: [[] for _ in range(perturb + 1)] for name in VARIANTS}
    seconds: dict[str, list[float]] = {name: [] for name in VARIANTS}
    for name in tqdm(names, unit="image"):
        prepared, _ = prepare(folder, "val", name)
        leaves, graph = leaf_graph(prepared)
        for title, variant in VARIANTS.items():
            for seed in range(perturb + 1):
                changed, recipe = perturbed(graph, variant.recipe, seed)
                started = time.perf_counter()
                merged = merge(changed, variant._replace(recipe=recipe))
                seconds[title].append(time.perf_counter() - started)
                sweeps[title][seed].append(coverings(leaves, merged, prepared))
    return {"sweeps": sweeps, "seconds": {title: float(np.mean(spent)) for title, spent in seconds.items()}}


def summarise(images: list[Any]) -> dict[str, float]:
    """ODS and OIS by height, ODS by count."""
    by_height, by_count = (optimum(np.array([sweep[index] for sweep in images])) for index in (0, 1))
    return {"ods": by_height.ods, "ois": by_height.ois, "count_ods": by_count.ods}


def table(results: dict[str, Any], seconds: dict[str, float]) -> str:
    """One variant a row."""
    lines = [
        "| variant | covering ODS | OIS | ODS by count | perturbed: ODS | OIS | by count | merging, s |",
        "|---" * 8 + "|",
    ]
    for name, entry in results.items():
        cells = [f"{value:.3f}" for part in ("shipped", "perturbed") for value in entry.get(part, {}).values()]
        cells += [""] * (6 - len(cells))
        lines.append(f"| {name} | {' | '.join(cells)} | {seconds[name]:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="BSDS500 in its own layout")
    parser.add_argument(
        "--half", choices=("even", "odd", "all"), default="even", help="even positions tune, odd confirm"
    )
    parser.add_argument("--images", type=int, help="only the first so many")
    parser.add_argument("--perturb", type=int, default=0, help="mean over so many perturbed recipes as well")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    names = sorted(path.stem for path in (options.folder / "data" / "images" / "val").glob("*.jpg"))
    part: dict[str, Callable[[list[str]], list[str]]] = {
        "even": lambda names: names[0::2], "odd": lambda names: names[1::2], "all": lambda names: names,
    }  # fmt: skip
    names = part[options.half](names)[: options.images]
    if not names:
        parser.error(f"no images in {options.folder / 'data' / 'images' / 'val'}")
    measured = measure(options.folder, names, options.perturb)
    results: dict[str, Any] = {}
    for title, recipes in measured["sweeps"].items():
        each = [summarise(images) for images in recipes]
        results[title] = {"shipped": each[0]}
        if options.perturb:
            results[title]["perturbed"] = {key: float(np.mean([one[key] for one in each[1:]])) for key in each[0]}
    print(f"\n### {options.half}: {len(names)} images\n{table(results, measured['seconds'])}")
    if options.json:
        record = {"images": names, "results": results, "seconds": measured["seconds"]}
        options.json.write_text(json.dumps(record | {"environment": describe_environment()}, indent=2) + "\n")


if __name__ == "__main__":
    main()
