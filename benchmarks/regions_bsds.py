"""Region quality on BSDS500, ours beside its peers on the same images in one run.

    python benchmarks/regions_bsds.py path/to/BSDS500 [--images 20] [--only TEXT] [--json result.json]

Measures, from Arbelaez, Maire, Fowlkes & Malik, "Contour Detection and Hierarchical Image Segmentation", TPAMI 2011,
section 3: covering of the ground truth, probabilistic Rand index (PRI), variation of information (VI, bits, lower is
better), each averaged over annotators. ODS: the best parameter for the whole set; OIS: the best for each image.

The folder is laid out as published: ``data/images/SPLIT/ID.jpg``, ``data/groundTruth/SPLIT/ID.mat``, and, where the
published gPb-owt-ucm maps are at hand, ``ucm2/SPLIT/ID.mat``.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environment import describe_environment
from objects import otsu_watershed
from tqdm import tqdm

from napari_what_where.evaluation.datasets.bsds import read_annotators
from napari_what_where.evaluation.hierarchies import COUNTS, Hierarchy, from_tree, read_ucm
from napari_what_where.evaluation.measures import Scores, Truths, contingency, group, score, truths
from napari_what_where.evaluation.summary import optimum

SUPERPIXELS = np.unique(np.round(np.geomspace(3, 300, 8)).astype(int))
DISTANCES = np.array([5, 10, 20, 40, 80, 160])
SCALES = np.geomspace(50, 3000, 9)


class Sweep(NamedTuple):
    """All segmentations of one image by one method: their scores, and the parameter that made each."""

    parameters: np.ndarray
    scores: list[Scores]


class Prepared(NamedTuple):
    """What the methods share for one image."""

    image: np.ndarray
    truths: Truths
    activations: list[Any]
    embedding: Any
    levels: Path


def sweep_hierarchy(hierarchy: Hierarchy, truth: Truths) -> Sweep:
    """All cuts of a region tree or of a contour map."""
    return Sweep(hierarchy.parameters, hierarchy.scores(truth))


def sweep_labels(parameters: np.ndarray, segment: Callable[[float], np.ndarray], truth: Truths) -> Sweep:
    """A method that makes one label image (from 0) a parameter."""
    return Sweep(parameters, [score(contingency(segment(parameter), truth)) for parameter in parameters])


def felzenszwalb(prepared: Prepared, least: int) -> Sweep:
    """Felzenszwalb & Huttenlocher 2004 by scikit-image, over its scale."""
    from skimage.segmentation import felzenszwalb as segment

    return sweep_labels(
        SCALES, lambda scale: segment(prepared.image, scale=scale, sigma=0.8, min_size=least), prepared.truths
    )


def slic(prepared: Prepared) -> Sweep:
    """SLIC superpixels (Achanta et al. 2012) by scikit-image, over their number."""
    from skimage.segmentation import slic as segment

    return sweep_labels(
        SUPERPIXELS, lambda count: segment(prepared.image, n_segments=int(count), start_label=0), prepared.truths
    )


def otsu(prepared: Prepared) -> Sweep:
    """Otsu's threshold of the lightness and a distance watershed, over its peaks' distance; background counts, too."""
    from skimage.color import rgb2gray
    from skimage.measure import label

    grey = rgb2gray(prepared.image)
    return sweep_labels(
        DISTANCES,
        lambda distance: label(otsu_watershed(grey, sigma=2, distance=int(distance)) + 1, connectivity=1) - 1,
        prepared.truths,
    )


def ward(prepared: Prepared) -> Sweep:
    """Ward's tree with grid connectivity on the backbone's features as they are, tokens repeated to pixels."""
    from sklearn.cluster import ward_tree
    from sklearn.feature_extraction.image import grid_to_graph

    from napari_what_where.segments.superpixels import enlarge

    grid = max((entry.grid for entry in prepared.activations), key=lambda grid: grid[0] * grid[1])
    features = np.concatenate([resample_tokens(entry, grid) for entry in prepared.activations], axis=1)
    children, _, leaves, _ = ward_tree(features, connectivity=grid_to_graph(*grid))[:4]
    tables = contingency(enlarge(np.arange(leaves).reshape(grid), prepared.image.shape[:2]), prepared.truths)
    return Sweep(COUNTS, [score(group(tables, cut_by_count(children, leaves, n))) for n in COUNTS])


def resample_tokens(entry: Any, grid: tuple[int, int]) -> np.ndarray:
    """Values of one network layer on another grid, (tokens, features), centred and of unit mean square length."""
    from napari_what_where.segments.gradients import interpolate

    values = np.asarray(entry.value)
    planes = np.moveaxis(values, 0, 1).reshape(*entry.grid, -1)
    flat = interpolate(planes.astype(np.float32), grid).reshape(grid[0] * grid[1], -1)
    flat = flat - flat.mean(axis=0)
    return flat / np.sqrt((flat**2).sum(axis=1).mean() or 1.0)


def cut_by_count(children: np.ndarray, leaves: int, count: int) -> np.ndarray:
    """The region (from 0) of each leaf when all but the last ``count − 1`` merges are done."""
    nodes = np.arange(2 * leaves - 1)
    for i in range(leaves - count - 1, -1, -1):
        nodes[children[i]] = nodes[leaves + i]
    return np.unique(nodes[:leaves], return_inverse=True)[1]


def methods(prepared: Prepared) -> Iterator[tuple[str, Callable[[], Sweep]]]:
    """Every method by name, to be run one after the other; trees are built once and cut twice."""
    from napari_what_where.segments.features import Recipe
    from napari_what_where.segments.tree import region_tree

    built: dict[bool, Any] = {}

    def ours(spectral: bool, by: str) -> Sweep:
        recipe = Recipe() if spectral else Recipe(embedding=0, embedding_edge=0)
        if spectral not in built:
            built[spectral] = region_tree(prepared.embedding, prepared.image, recipe=recipe)
        return sweep_hierarchy(from_tree(built[spectral], by), prepared.truths)

    yield "region tree, cut by height", lambda: ours(True, "height")
    yield "region tree, cut by count", lambda: ours(True, "count")
    yield "region tree without the embedding, by height", lambda: ours(False, "height")
    yield "region tree without the embedding, by count", lambda: ours(False, "count")
    yield "Ward tree on the same features, by count", lambda: ward(prepared)
    yield "Felzenszwalb, least 50 pixels", lambda: felzenszwalb(prepared, 50)
    yield "Felzenszwalb, least 200 pixels", lambda: felzenszwalb(prepared, 200)
    yield "SLIC, by number", lambda: slic(prepared)
    yield "Otsu + distance watershed", lambda: otsu(prepared)
    if prepared.levels.exists():
        yield "gPb-owt-ucm, published", lambda: sweep_hierarchy(read_ucm(prepared.levels), prepared.truths)


def prepare(folder: Path, split: str, name: str) -> tuple[Prepared, float]:
    """Image, truths, activations and embedding; and the seconds the latter two took."""
    from skimage.io import imread

    import napari_what_where as ww

    image = imread(folder / "data" / "images" / split / f"{name}.jpg")
    truth = truths(read_annotators(folder / "data" / "groundTruth" / split / f"{name}.mat").segmentations)
    started = time.perf_counter()
    activations = list(ww.load_backbone("filters").extract(image))
    embedding = ww.spectral_embedding(ww.joint_affinity(activations, pathway="what"), count=16)
    seconds = time.perf_counter() - started
    return Prepared(image, truth, activations, embedding, folder / "ucm2" / split / f"{name}.mat"), seconds


def summarise(sweeps: list[Sweep]) -> dict[str, float]:
    """ODS and OIS of each measure over the images."""
    table = np.array([sweep.scores for sweep in sweeps])  # (images, parameters, measures)
    names = ("covering", "rand", "information")
    best = {name: optimum(table[..., i], min if name == "information" else max) for i, name in enumerate(names)}
    figures = {f"{name}_{key}": getattr(best[name], key) for name in names for key in ("ods", "ois")}
    return figures | {"ods_parameter": float(sweeps[0].parameters[best["covering"].place])}


def markdown(title: str, results: dict[str, dict[str, float]]) -> str:
    """A table of the summaries, one method a row."""
    keys = ("covering_ods", "covering_ois", "rand_ods", "rand_ois", "information_ods", "information_ois")
    lines = [f"\n### {title}", "| method | covering ODS | OIS | PRI ODS | OIS | VI ODS | OIS | at |", "|---" * 8 + "|"]
    for name, result in results.items():
        figures = " | ".join(f"{result[key]:.3f}" for key in keys)
        lines.append(f"| {name} | {figures} | {result['ods_parameter']:.3g} |")
    return "\n".join(lines)


def measure(folder: Path, split: str, names: list[str], only: str) -> tuple[dict[str, list[Sweep]], dict[str, float]]:
    """Run every method on every image; sweeps by method, and mean seconds an image by method and stage."""
    sweeps, seconds = defaultdict(list), defaultdict(list)
    for name in tqdm(names, unit="image"):
        prepared, spent = prepare(folder, split, name)
        seconds["activations and embedding"].append(spent)
        for method, run in methods(prepared):
            if only not in method:
                continue
            started = time.perf_counter()
            sweeps[method].append(run())
            seconds[f"{method}, with its sweep"].append(time.perf_counter() - started)
    return dict(sweeps), {name: float(np.mean(values)) for name, values in seconds.items()}


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="BSDS500 in its own layout")
    parser.add_argument("--images", type=int, help="only the first so many")
    parser.add_argument("--split", default="val")
    parser.add_argument("--only", default="", help="only the methods with this in their name")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    names = sorted(path.stem for path in (options.folder / "data" / "images" / options.split).glob("*.jpg"))
    names = names[: options.images]
    if not names:
        parser.error(f"no images in {options.folder / 'data' / 'images' / options.split}")
    sweeps, seconds = measure(options.folder, options.split, names, options.only)
    # Weights were chosen on the images at even positions; the others confirm them.
    parts = {"all": slice(None), "tuned on (even)": slice(0, None, 2), "held out (odd)": slice(1, None, 2)}
    results = {}
    for title, part in parts.items():
        if names[part]:
            results[title] = {method: summarise(runs[part]) for method, runs in sweeps.items()}
            print(markdown(f"{title}: {len(names[part])} images", results[title]))
    print("\nMean seconds an image: " + ", ".join(f"{name} {value:.2f}" for name, value in seconds.items()))
    if options.json:
        record = {"images": names, "results": results, "seconds": seconds, "environment": describe_environment()}
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
