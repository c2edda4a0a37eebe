"""The built-in model on BSDS500: which of its options segment best, and what the training is worth.

    python -m benchmarks.built_in BSDS500 MODEL [--study options] [--images 50] [--tree] [--json FILE]

MODEL is a folder that ``training.export`` wrote. Beside it runs the same network with random weights, in the same run.
Each variant is scored by its eigenvectors alone: Ward's tree with grid connectivity on their coordinates, tokens
repeated to pixels, cut by number (covering of the ground truth, Arbelaez et al., TPAMI 2011). ``--tree`` scores the
product's region tree, which weighs the image's own colours and edges, too. Intervals: paired bootstrap over images.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from environment import describe_environment  # noqa: E402
from regions_bsds import Sweep, cut_by_count  # noqa: E402

from napari_what_where.evaluation.datasets.bsds import read_annotators  # noqa: E402
from napari_what_where.evaluation.hierarchies import COUNTS, from_tree  # noqa: E402
from napari_what_where.evaluation.measures import Truths, contingency, group, score, truths  # noqa: E402
from napari_what_where.evaluation.summary import optimum  # noqa: E402

FINEST = ("down_blocks.1.*", "up_blocks.2.*")
"""Network layers with tokens of 8 pixels."""


@dataclass(frozen=True)
class Variant:
    """One way to use the model: "trained", "random" or "filters"; ``filters``: the weight of the filters' layers beside
    the network's, 0 without them.
    """

    model: str
    pathway: str
    resolution: int = 512
    timesteps: tuple[int, ...] = (5,)
    layers: tuple[str, ...] | None = None
    filters: float = 0.0
    options: dict[str, Any] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        more = "".join(f" {name}={value}" for name, value in self.options.items())
        if self.model == "filters":
            return f"filters{more}"
        times = "+".join(map(str, self.timesteps))
        layers = "" if self.layers is None else f" {','.join(self.layers)}"
        beside = f" + {self.filters:g} filters" if self.filters else ""
        return f"{self.model} {self.pathway} {self.resolution}px t={times}{layers}{more}{beside}"


def main_variants() -> Iterator[Variant]:
    """What the training is worth: the network alone and beside the filters, trained and not."""
    yield Variant("filters", "what")
    for filters in (0.0, 1.0):
        for model in ("trained", "random"):
            for pathway in ("what", "where", "both"):
                yield Variant(model, pathway, filters=filters)


def option_variants() -> Iterator[Variant]:
    """One option at a time, beside the filters as in the product."""
    for pathway in ("what", "where"):
        usual = Variant("trained", pathway, filters=1.0)
        yield usual
        for filters in (0.25, 0.5, 2.0, 4.0):
            yield replace(usual, filters=filters)
        for timesteps in ((0,), (20,), (50,), (100,), (200,), (5, 50)):
            yield replace(usual, timesteps=timesteps)
        for resolution in (384, 768, 1024):
            yield replace(usual, resolution=resolution)
        for layers in (FINEST, ("up_blocks.*",), ("down_blocks.*",), (*FINEST, "down_blocks.2.*", "up_blocks.1.*")):
            yield replace(usual, layers=layers)
        yield replace(usual, options={"normalization": "none"})
        yield replace(usual, options={"kernel": "exp"})


def finalist_variants() -> Iterator[Variant]:
    """What did best of the options, beside what is usual."""
    for options in ({}, {"kernel": "exp"}):
        yield Variant("filters", "what", options=options)
        for pathway in ("what", "where", "both"):
            yield Variant("trained", pathway, filters=1.0, options=options)
    yield Variant("trained", "where", resolution=1024, filters=1.0)


VARIANTS = {"main": main_variants, "options": option_variants, "finalists": finalist_variants}


def ward(embedding: Any, truth: Truths, shape: tuple[int, int]) -> Sweep:
    """Ward's tree on the coordinates of the sharp vectors."""
    from sklearn.cluster import ward_tree
    from sklearn.feature_extraction.image import grid_to_graph

    from napari_what_where.segments.coordinates import embedding_coordinates
    from napari_what_where.segments.superpixels import enlarge

    coordinates = embedding_coordinates(embedding)
    grid = coordinates.shape[:2]
    children, _, leaves, _ = ward_tree(
        coordinates.reshape(-1, coordinates.shape[2]), connectivity=grid_to_graph(*grid)
    )[:4]
    tables = contingency(enlarge(np.arange(leaves).reshape(grid), shape), truth)
    counts = COUNTS[leaves >= COUNTS]
    scores = [score(group(tables, cut_by_count(children, leaves, int(n)))) for n in counts]
    return Sweep(COUNTS, scores + scores[-1:] * (len(COUNTS) - len(counts)))


class Runner:
    """Runs variants on one image at a time; what several share is computed once."""

    def __init__(self, folders: dict[str, Path]) -> None:
        self.folders = folders
        self._shared: dict[Any, list[Any]] = {}

    def start(self, image: np.ndarray) -> None:
        self.image, self._shared = image, {}

    def embedding(self, variant: Variant) -> Any:
        import napari_what_where as ww

        activations = self._activations(variant)
        if variant.filters:
            beside = self._activations(Variant("filters", "what"))
            activations = activations + [replace(each, weight=variant.filters, stands_in=True) for each in beside]
        return ww.spectral_embedding(ww.joint_affinity(activations, variant.pathway, **variant.options), count=16)

    def _activations(self, variant: Variant) -> list[Any]:
        import napari_what_where as ww

        key = (variant.model, variant.resolution, variant.timesteps, variant.layers)
        if key not in self._shared:
            if variant.model == "filters":
                backbone = ww.load_backbone("filters")
            else:
                backbone = network_of(
                    self.folders[variant.model],
                    resolution=variant.resolution,
                    timesteps=variant.timesteps,
                    layers=variant.layers,
                )
            self._shared[key] = list(backbone.extract(self.image))
        return self._shared[key]


def measure(
    folder: Path, split: str, names: list[str], runner: Runner, chosen: list[Variant], tree: bool
) -> dict[str, list[Sweep]]:
    """Sweeps of every variant, an image each."""
    from skimage.io import imread

    from napari_what_where.segments.tree import region_tree

    sweeps = defaultdict(list)
    for name in tqdm(names, unit="image"):
        image = imread(folder / "data" / "images" / split / f"{name}.jpg")
        truth = truths(read_annotators(folder / "data" / "groundTruth" / split / f"{name}.mat").segmentations)
        runner.start(image)
        for variant in chosen:
            embedding = runner.embedding(variant)
            sweeps[str(variant)].append(ward(embedding, truth, image.shape[:2]))
            if tree:
                built = from_tree(region_tree(embedding, image), "height")
                sweeps[f"{variant}, region tree"].append(Sweep(built.parameters, built.scores(truth)))
    return dict(sweeps)


def covering(sweeps: list[Sweep]) -> np.ndarray:
    """(images, parameters)."""
    return np.array([sweep.scores for sweep in sweeps])[..., 0]


def compare(first: np.ndarray, second: np.ndarray, draws: int = 2000) -> dict[str, float]:
    """Difference of covering ODS, first less second, with its 95 % interval by paired bootstrap over images."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(first), size=(draws, len(first)))
    differences = [first[each].mean(axis=0).max() - second[each].mean(axis=0).max() for each in drawn]
    low, high = np.percentile(differences, [2.5, 97.5])
    return {"difference": optimum(first).ods - optimum(second).ods, "low": float(low), "high": float(high)}


def compared(names: list[str]) -> Iterator[tuple[str, str]]:
    """Pairs of names: trained and random, joined and either part, and the pathways of what is joined."""
    for first in names:
        rivals = [first.replace("trained", "random"), first.replace(" + 1 filters", "")]
        if " + 1 filters" in first and first.startswith("trained"):
            rivals += ["filters, region tree" if first.endswith("region tree") else "filters"]
            rivals += [first.replace(" both ", f" {pathway} ") for pathway in ("what", "where")]
        for second in rivals:
            if second != first and second in names:
                yield first, second


def network_of(folder: Path, **options: Any) -> Any:
    """The network in a folder as the built-in model is run, without the filters."""
    from napari_what_where.activations.networks.built_in import BuiltIn
    from napari_what_where.activations.registry import backbone_info

    return BuiltIn(backbone_info("built-in"), folder, "UNet2DModel", filters=False, **options)


def write_random(folder: Path) -> Path:
    """The same network before training."""
    from training.export import write_model
    from training.model import new_model

    write_model(new_model(), folder)
    return folder


def markdown(record: dict[str, Any]) -> str:
    """Every variant by its eigenvectors alone, and in the region tree where that was measured."""
    results, tree = record["results"], ", region tree"
    trees = any(name.endswith(tree) for name in results)
    names = [name for name in results if not name.endswith(tree)]
    best = max(results[name]["covering_ods"] for name in names)
    lines = [
        "| variant | ODS | OIS |" + (" region tree ODS | OIS |" if trees else ""),
        "|---|" + "---|" * (4 if trees else 2),
    ]
    for name in names:
        each = [results[name], *([results[name + tree]] if trees else [])]
        cells = [f"{one['covering_ods']:.3f} | {one['covering_ois']:.3f}" for one in each]
        bold = "**" if results[name]["covering_ods"] == best else ""
        lines.append(f"| {bold}{name}{bold} | " + " | ".join(cells) + " |")
    if record["differences"]:
        lines += ["", "| difference of covering ODS | mean | 95 % interval |", "|---|---|---|"]
        lines += [
            f"| {name} | {each['difference']:+.3f} | {each['low']:+.3f} … {each['high']:+.3f} |"
            for name, each in record["differences"].items()
        ]
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="BSDS500 in its own layout")
    parser.add_argument("model", type=Path)
    parser.add_argument("--images", type=int)
    parser.add_argument("--split", default="val")
    parser.add_argument("--study", choices=VARIANTS, default="main")
    parser.add_argument("--only", nargs="+", default=[""], help="only the variants with one of these in their name")
    parser.add_argument("--tree", action="store_true", help="score the product's region tree as well")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    names = sorted(path.stem for path in (options.folder / "data" / "images" / options.split).glob("*.jpg"))
    names = names[: options.images]
    chosen = [variant for variant in VARIANTS[options.study]() if any(each in str(variant) for each in options.only)]
    with tempfile.TemporaryDirectory() as temporary:
        runner = Runner({"trained": options.model, "random": write_random(Path(temporary) / "random")})
        sweeps = measure(options.folder, options.split, names, runner, chosen, options.tree)
    results = {}
    for name, each in sweeps.items():
        best = optimum(covering(each))
        results[name] = {"covering_ods": best.ods, "covering_ois": best.ois}
        print(f"{name:60} {best.ods:.3f} {best.ois:.3f}")
    differences = {
        f"{first} against {second}": compare(covering(sweeps[first]), covering(sweeps[second]))
        for first, second in compared(list(sweeps))
    }
    for name, each in differences.items():
        print(f"{name}: {each['difference']:+.3f} [{each['low']:+.3f}, {each['high']:+.3f}]")
    if options.json:
        record = {
            "images": names,
            "results": results,
            "differences": differences,
            "environment": describe_environment(),
        }
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
