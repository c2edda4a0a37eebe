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
from tqdm import tqdm

COUNTS = np.unique(np.round(np.geomspace(2, 400, 50)).astype(int))
HEIGHTS = np.geomspace(1e-2, 5e-1, 60)
SCALES = np.geomspace(50, 3000, 16)
LEVELS = np.linspace(0.02, 0.98, 49)


class Truths(NamedTuple):
    """The annotators' segmentations of one image: flat columns of a contingency table."""

    columns: list[np.ndarray]
    sizes: list[int]


class Scores(NamedTuple):
    """Covering, PRI and VI of one segmentation, each averaged over annotators."""

    covering: float
    rand: float
    information: float


def read_truths(path: Path) -> Truths:
    """The annotators' label images, flattened, with the number of labels of each."""
    from scipy.io import loadmat

    cells = loadmat(path)["groundTruth"][0]
    columns = [np.unique(cell["Segmentation"][0, 0], return_inverse=True)[1].ravel() for cell in cells]
    return Truths(columns, [int(column.max()) + 1 for column in columns])


def contingency(labels: np.ndarray, truths: Truths) -> list[np.ndarray]:
    """Pixels shared by each label (from 0) and each region of each annotator: (labels, regions) float64 arrays."""
    count = int(labels.max()) + 1
    return [
        np.bincount(labels.ravel() * size + column, minlength=count * size).reshape(count, size).astype(np.float64)
        for column, size in zip(truths.columns, truths.sizes, strict=True)
    ]


def group(tables: list[np.ndarray], lookup: np.ndarray) -> list[np.ndarray]:
    """Contingency tables of the leaves → of the regions ``lookup`` (from 0) puts them in."""
    from scipy import sparse

    count = int(lookup.max()) + 1
    join = sparse.csr_array((np.ones(len(lookup)), (lookup, np.arange(len(lookup)))), shape=(count, len(lookup)))
    return [join @ table for table in tables]


def score(tables: list[np.ndarray]) -> Scores:
    """All measures from the contingency tables of one segmentation with each annotator."""
    return Scores(*np.mean([[covering(t), rand_index(t), variation(t)] for t in tables], axis=0))


def covering(table: np.ndarray) -> float:
    """Σ over true regions of area · best intersection over union, over the pixels (Arbelaez 2011, eq. 9)."""
    ours, theirs = table.sum(axis=1, keepdims=True), table.sum(axis=0)
    return float((theirs * (table / (ours + theirs - table)).max(axis=0)).sum() / theirs.sum())


def rand_index(table: np.ndarray) -> float:
    """Share of the pairs of pixels on which the two segmentations agree (Unnikrishnan, Pantofaru & Hebert 2007)."""
    total = table.sum()
    same = (table**2).sum()
    return float(1 - ((table.sum(axis=0) ** 2).sum() + (table.sum(axis=1) ** 2).sum() - 2 * same) / total**2)


def variation(table: np.ndarray) -> float:
    """H(ours | theirs) + H(theirs | ours) in bits (Meilă 2005)."""

    def entropy(counts: np.ndarray) -> float:
        share = counts[counts > 0] / table.sum()
        return float(-(share * np.log2(share)).sum())

    return 2 * entropy(table.ravel()) - entropy(table.sum(axis=0)) - entropy(table.sum(axis=1))


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


def sweep_tree(tree: Any, truths: Truths, by: str) -> Sweep:
    """A region tree cut by count or by height."""
    tables = contingency(tree.leaves, truths)
    counts = COUNTS if by == "count" else np.array([tree.count_at(height) for height in HEIGHTS])
    known = {n: score(group(tables, tree.leaf_labels(int(n)) - 1)) for n in np.unique(counts)}
    return Sweep(COUNTS if by == "count" else HEIGHTS, [known[n] for n in counts])


def sweep_labels(parameters: np.ndarray, segment: Callable[[float], np.ndarray], truths: Truths) -> Sweep:
    """A method that makes one label image (from 0) a parameter."""
    return Sweep(parameters, [score(contingency(segment(parameter), truths)) for parameter in parameters])


def felzenszwalb(prepared: Prepared, least: int) -> Sweep:
    """Felzenszwalb & Huttenlocher 2004 by scikit-image, over its scale."""
    from skimage.segmentation import felzenszwalb as segment

    return sweep_labels(
        SCALES, lambda scale: segment(prepared.image, scale=scale, sigma=0.8, min_size=least), prepared.truths
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


def gpb(prepared: Prepared) -> Sweep:
    """The published gPb-owt-ucm map, cut at its levels."""
    from scipy.io import loadmat
    from skimage.measure import label

    ucm = loadmat(prepared.levels)["ucm2"]

    def segment(level: float) -> np.ndarray:
        return label(ucm <= level, connectivity=1, background=0)[1::2, 1::2] - 1

    return sweep_labels(LEVELS, segment, prepared.truths)


def methods(prepared: Prepared) -> Iterator[tuple[str, Callable[[], Sweep]]]:
    """Every method by name, to be run one after the other; trees are built once and cut twice."""
    from napari_what_where.segments.features import Recipe
    from napari_what_where.segments.tree import region_tree

    built: dict[bool, Any] = {}

    def ours(spectral: bool, by: str) -> Sweep:
        recipe = Recipe() if spectral else Recipe(embedding=0, embedding_edge=0)
        if spectral not in built:
            built[spectral] = region_tree(prepared.embedding, prepared.image, recipe=recipe)
        return sweep_tree(built[spectral], prepared.truths, by)

    yield "region tree, cut by height", lambda: ours(True, "height")
    yield "region tree, cut by count", lambda: ours(True, "count")
    yield "region tree without the embedding, by height", lambda: ours(False, "height")
    yield "region tree without the embedding, by count", lambda: ours(False, "count")
    yield "Ward tree on the same features, by count", lambda: ward(prepared)
    yield "Felzenszwalb, least 50 pixels", lambda: felzenszwalb(prepared, 50)
    yield "Felzenszwalb, least 200 pixels", lambda: felzenszwalb(prepared, 200)
    if prepared.levels.exists():
        yield "gPb-owt-ucm, published", lambda: gpb(prepared)


def prepare(folder: Path, split: str, name: str) -> tuple[Prepared, float]:
    """Image, truths, activations and embedding; and the seconds the latter two took."""
    from skimage.io import imread

    import napari_what_where as ww

    image = imread(folder / "data" / "images" / split / f"{name}.jpg")
    truths = read_truths(folder / "data" / "groundTruth" / split / f"{name}.mat")
    started = time.perf_counter()
    activations = list(ww.load_backbone("filters").extract(image))
    embedding = ww.spectral_embedding(ww.joint_affinity(activations, pathway="what"), count=16)
    seconds = time.perf_counter() - started
    return Prepared(image, truths, activations, embedding, folder / "ucm2" / split / f"{name}.mat"), seconds


def summarise(sweeps: list[Sweep]) -> dict[str, float]:
    """ODS and OIS of each measure over the images."""
    table = np.array([sweep.scores for sweep in sweeps])  # (images, parameters, measures)
    best = int(table[..., 0].mean(axis=0).argmax())
    return {
        "covering_ods": float(table[..., 0].mean(axis=0).max()),
        "covering_ois": float(table[..., 0].max(axis=1).mean()),
        "rand_ods": float(table[..., 1].mean(axis=0).max()),
        "rand_ois": float(table[..., 1].max(axis=1).mean()),
        "information_ods": float(table[..., 2].mean(axis=0).min()),
        "information_ois": float(table[..., 2].min(axis=1).mean()),
        "ods_parameter": float(sweeps[0].parameters[best]),
    }


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
