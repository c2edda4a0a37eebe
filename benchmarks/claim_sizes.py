"""Does a larger model bring the paper's split about? The claim of claim.py, for networks that differ in size.

    python benchmarks/claim_sizes.py small=FOLDER base=FOLDER large=FOLDER [--collections 6] [--json result.json]

The folders are what ``training.export --any-size`` wrote, smallest first, each trained alike: same scenes, noise, seed
and number of steps. All network layers jointly, at the timestep at which the built-in model is run; worlds, graphs and
measures are those of claim.py. The split is *what* less *where*: the paper's is above 0 for class and below 0 for
position. Intervals: bootstrap over collections, paired, of what the one network does more than the other. They say
nothing of how much another seed of the training would change.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from claim import (
    MEASURES,
    RECOLOURED,
    TIMESTEPS,
    Collection,
    activations_of,
    eigenvectors,
    graph,
    interval,
    less,
    make_collection,
    on_finest,
    scores,
    table,
)
from environment import describe_environment
from tqdm import tqdm

WORLDS = ("leaves", RECOLOURED, "landscape")
KINDS = ("neighbours", "full")


def cases(folders: dict[str, Path], truth: Collection) -> Iterator[tuple[str, dict[str, float]]]:
    """Every network, kind of graph and pathway."""
    for label, folder in folders.items():
        layers = activations_of(label, folder, truth.scenes, TIMESTEPS[0])
        for kind in KINDS:
            for pathway in ("what", "where"):
                total = torch.zeros(())
                for layer in layers.values():
                    total = total + on_finest(graph(layer, pathway, kind), layer[0].grid, len(truth.scenes))
                yield f"{label} {kind} {pathway}", scores(eigenvectors(total / len(layers)), truth)


def larger_less_smaller(gathered: dict[str, Any], labels: list[str]) -> dict[str, Any]:
    """By pair of networks, world and graph: what the larger does more, in either pathway and in the split."""
    found: dict[str, Any] = {}
    for small, large in combinations(labels, 2):
        for case, values in gathered.items():
            world, _, rest = case.partition(": ")
            if not rest.startswith(f"{large} ") or not rest.endswith(" what"):
                continue
            kind = rest.split()[-2]
            ours, theirs = ([f"{world}: {each} {kind} {way}" for way in ("what", "where")] for each in (large, small))
            found[f"{world}: {large} less {small}, {kind}"] = {
                measure: _compared([gathered[each][measure] for each in (*ours, *theirs)]) for measure in values
            }
    return found


def _compared(values: list[list[float]]) -> dict[str, dict[str, float]]:
    what, where, other_what, other_where = map(np.array, values)
    more_what, more_where = what - other_what, where - other_where
    return {
        name: interval(list(each))
        for name, each in (("what", more_what), ("where", more_where), ("split", more_what - more_where))
    }


def described(folder: Path) -> dict[str, float]:
    """Of a network: its parameters, steps of training and loss on held-out scenes."""
    from safetensors import safe_open

    (file,) = (folder / "unet").glob("*.safetensors")
    with safe_open(file, "np") as opened:
        parameters = sum(int(np.prod(opened.get_slice(name).get_shape())) for name in opened.keys())  # noqa: SIM118 — no mapping
    last = list(csv.DictReader((folder / "training.csv").open()))[-1]
    return {"parameters": parameters, "steps": int(last["step"]), "held_out": float(last["held_out"])}


def markdown(record: dict[str, Any]) -> str:
    """The networks; what they tell; and what the larger ones tell more."""
    lines = ["| network | parameters | steps | loss on held-out scenes |", "|---|---|---|---|"]
    lines += [
        f"| {label} | {each['parameters'] / 1e6:.1f} million | {each['steps']:,} | {each['held_out']:.3f} |"
        for label, each in record["models"].items()
    ]
    measures = [measure for measure in MEASURES if measure != "class ARI"]
    compared = [
        "| split, world: networks | " + " | ".join(f"{measure} | 95 % interval" for measure in measures) + " |",
        "|---|" + "---|" * (2 * len(measures)),
    ]
    for case, each in record["larger less smaller"].items():
        if not case.endswith(KINDS[0]):  # the rest is in the record
            continue
        cells = [each[measure]["split"] for measure in measures]
        told = (f"{cell['mean']:+.2f} | {cell['low']:+.2f} … {cell['high']:+.2f}" for cell in cells)
        compared.append(f"| {case} | " + " | ".join(told) + " |")
    return "\n\n".join(("\n".join(lines), table(record, list(record["results"])), "\n".join(compared)))


def recorded(gathered: dict[str, Any], folders: dict[str, Path], collections: int) -> dict[str, Any]:
    """All that is written."""
    return {
        "models": {label: described(folder) for label, folder in folders.items()},
        "collections": collections,
        "results": {case: {name: interval(values) for name, values in each.items()} for case, each in gathered.items()},
        "what less where": less(gathered),
        "larger less smaller": larger_less_smaller(gathered, list(folders)),
        "environment": describe_environment(),
    }


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="LABEL=FOLDER")
    parser.add_argument("--collections", type=int, default=6)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--worlds", nargs="+", choices=WORLDS, default=WORLDS)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    folders = {label: Path(folder) for label, _, folder in (each.partition("=") for each in options.models)}
    gathered: dict[str, Any] = defaultdict(lambda: defaultdict(list))
    with torch.no_grad():
        for number in tqdm(range(options.collections), desc="collections"):
            for world in options.worlds:
                for case, measured in cases(folders, make_collection(number, options.images, world)):
                    for measure, value in measured.items():
                        gathered[f"{world}: {case}"][measure].append(value)
            record = recorded(gathered, folders, number + 1)  # whole after every collection
            if options.json:
                options.json.write_text(json.dumps(record, indent=2) + "\n")
    print(markdown(record))


if __name__ == "__main__":
    main()
