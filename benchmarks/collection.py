"""Whole collections: do labels mean the same in every image, how long does it take, and how much memory?

    python benchmarks/collection.py quality --work FOLDER [--images 200] [--gradient] [--json result.json]
    python benchmarks/collection.py growth [--counts 100 300 1000] [--json result.json]

Quality: generated scenes of 128² in which classes recur (``training/scenes.py``), none of which a model was trained on;
the built-in one knew their classes. As many clusters as there are classes; clusters and classes are matched once for
the whole collection (Hungarian), mIoU over classes, on cells of 4 pixels: the mean of eight starts of k-means, as the
optimum that a start finds moves it by up to 5 points, and that of lowest inertia is not the best. Beside the streaming
method, with the same k-means and tokens:

- gradient: the paper's, 200 epochs, timesteps frozen; by k-means as all others, and by its largest softmax column;
- image by image: every image clustered on its own, its clusters numbered by size; and the same with every image's
  clusters matched by itself with the truth, which nobody could do: what identity across images costs;
- raw features: k-means on the very features whose affinity is solved, without eigenvectors;
- streaming, pixels: the labels that the product gives, whole regions of each image, by the best of its starts.

Held out: a quarter of the images, embedded by the projection of the others, against being included; the clusters are
those of the others in both. Intervals: paired bootstrap over images. Cases that are in the file of
``--json`` are not run again. Growth: a child process for each number of images; its peak memory and time.
"""

from __future__ import annotations

import argparse
import json
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from environment import describe_environment  # noqa: E402

import napari_what_where as ww  # noqa: E402
from napari_what_where.collection.answer import CollectionAnalysis  # noqa: E402
from napari_what_where.embedding.collection.projection import solve  # noqa: E402
from napari_what_where.embedding.collection.statistics import (  # noqa: E402
    Gram,
    UnitMoments,
    ValueMeans,
    image_features,
    parts_of,
)
from napari_what_where.segments.clusters import kmeans  # noqa: E402
from napari_what_where.segments.shared import SAMPLE, shared_coordinates  # noqa: E402

CELL, SIDE, COUNT, SEEDS = 4, 128, 24, 8
GRID = SIDE // CELL
SLOW = "built-in, network alone"
"""The gradient method is run on this: its cost grows with the square of the tokens, of which filters have most."""
BACKBONES: dict[str, dict[str, Any]] = {
    "filters": {"backbone": "filters"},
    "built-in": {"backbone": "built-in", "backbone_options": {"resolution": SIDE}},
    SLOW: {"backbone": "built-in", "backbone_options": {"resolution": SIDE, "filters": False}},
}
HELD_OUT = ("same clusters", "own clusters")
Points = list[np.ndarray]
"""Of each image (cells, coordinates)."""


def truth_of(scenes: Sequence[Any]) -> np.ndarray:
    """The commonest class in each cell, numbered from 0: (images, cells)."""
    cells = [
        scene.class_map.reshape(GRID, CELL, GRID, CELL).swapaxes(1, 2).reshape(GRID**2, CELL**2) for scene in scenes
    ]
    commonest = np.array([[np.bincount(cell).argmax() for cell in image] for image in cells])
    return np.unique(commonest, return_inverse=True)[1].reshape(commonest.shape)


def on_cells(points: np.ndarray, grid: tuple[int, int]) -> np.ndarray:
    """(tokens, coordinates) of a grid that divides the cells evenly, or that they do, as (cells, coordinates)."""
    planes = points.reshape(*grid, -1)
    if grid[0] <= GRID:
        planes = planes.repeat(GRID // grid[0], axis=0).repeat(GRID // grid[1], axis=1)
    return planes.reshape(GRID**2, -1)


def clusterings(points: Points, count: int, seeds: int = 1) -> list[np.ndarray]:
    """Every cell's cluster, (images, cells), by k-means from each of several starts."""
    return [nearest(points, centres_of(points, count, seed)) for seed in range(seeds)]


def centres_of(points: Points, count: int, seed: int = 0) -> np.ndarray:
    """Of k-means on evenly spaced cells of every image: (clusters, coordinates)."""
    each = max(1, SAMPLE // len(points))
    chosen = np.unique(np.linspace(0, GRID**2 - 1, min(each, GRID**2)).round().astype(int))
    sample = np.concatenate([image[chosen] for image in points])
    return means_of(sample, kmeans(sample, count, seed=seed, starts=1))


def means_of(points: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(clusters, coordinates)."""
    return np.stack([points[labels == number].mean(axis=0) for number in range(labels.max() + 1)])


def nearest(points: Points, centres: np.ndarray) -> np.ndarray:
    """Of each cell the number of the nearest centre, (images, cells)."""
    norms = (centres**2).sum(axis=1)
    return np.stack([(norms - 2 * image @ centres.T).argmin(axis=1) for image in points])


def confusion(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """(images, clusters, classes) cells."""
    shape = labels.max() + 1, truth.max() + 1
    flat = labels * shape[1] + truth
    return np.stack([np.bincount(image, minlength=shape[0] * shape[1]).reshape(shape) for image in flat])


def matched(table: np.ndarray) -> np.ndarray:
    """Of each class the cluster that it is matched with over all images, -1 for none."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(-_iou(table.sum(axis=0)))
    answer = np.full(table.shape[2], -1)
    answer[columns] = rows
    return answer


def _iou(table: np.ndarray) -> np.ndarray:
    union = table.sum(axis=1, keepdims=True) + table.sum(axis=0) - table
    return table / np.maximum(union, 1)


def miou(table: np.ndarray, partner: np.ndarray) -> float:
    """Mean IoU over the classes that occur, of a (images, clusters, classes) table."""
    total = table.sum(axis=0)
    occurs, iou = total.sum(axis=0) > 0, _iou(total)
    values = np.where(partner >= 0, iou[partner, np.arange(len(partner))], 0.0)
    return float(values[occurs].mean())


def sampled(tables: dict[str, list[np.ndarray]], draws: int = 1000) -> dict[str, np.ndarray]:
    """The mIoU of every method, the mean of its clusterings, for the same bootstrap samples of images: (draws,) each,
    the first of all images.
    """
    rng = np.random.default_rng(0)
    count = len(next(iter(tables.values()))[0])
    picks = [np.arange(count), *(rng.integers(count, size=count) for _ in range(draws))]
    return {
        name: np.array([np.mean([miou(each[pick], matched(each[pick])) for each in several]) for pick in picks])
        for name, several in tables.items()
    }


def interval(values: np.ndarray) -> dict[str, float]:
    """Of all images, and the 95 % interval of the samples."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return {"mean": float(values[0]), "low": float(low), "high": float(high)}


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and the CPU seconds of all threads: on a machine that others use, too, that is what counts."""
    before = time.process_time()
    return work(), time.process_time() - before


def coordinates(found: CollectionAnalysis) -> Points:
    """Of every image, where its cells lie in the embedding."""
    return [on_cells(shared_coordinates(each), each.grid) for each in found.embeddings]


def features(found: CollectionAnalysis, images: Sequence[np.ndarray]) -> Points:
    """The features whose affinity was solved."""
    projector = found.projector
    points = []
    for image in images:
        columns, _, grid = image_features(
            projector.backbone.extract(image, scale=projector.scale), projector.projection.maps
        )
        points.append(on_cells(columns.numpy() * len(columns) ** 0.5, grid))
    return points


def quality(
    record: dict[str, Any],
    work: Path,
    *,
    gradient: bool,
    worlds: Sequence[str],
    backbones: Sequence[str],
    keep: Callable[[dict[str, Any]], None],
) -> None:
    """Every world, backbone and pathway that the record does not have; ``keep`` gets it after each, as they take
    minutes.
    """
    from claim import make_collection

    for world in worlds:
        scenes = make_collection(7, record["images"], world).scenes
        pictures, truth = [scene.image for scene in scenes], truth_of(scenes)
        for name in backbones:
            for pathway in ("what",) if name == "filters" else ("what", "where"):
                case, options = f"{world}: {name}, {pathway}", {**BACKBONES[name], "pathway": pathway}
                slow = gradient and name == SLOW
                if "gradient" in record["results"].get(case, {}) or (not slow and case in record["results"]):
                    continue
                print(case, flush=True)
                one_case(case, pictures, truth, options, work, record, gradient=slow)
                keep(record)


def one_case(
    case: str,
    pictures: list[np.ndarray],
    truth: np.ndarray,
    options: dict[str, Any],
    work: Path,
    record: dict[str, Any],
    *,
    gradient: bool,
) -> None:
    """All methods on one collection with one backbone and pathway; into the record."""
    classes = int(truth.max()) + 1
    shared = {**options, "count": COUNT, "clusters": classes, "device": "cpu"}
    found, seconds = timed(lambda: ww.analyze_collection(pictures, **shared))
    record["seconds"][f"{case}, streaming"] = seconds
    points = coordinates(found)
    labels = {
        "streaming": clusterings(points, classes, SEEDS),
        "raw features": clusterings(features(found, pictures), classes, SEEDS),
        "streaming, pixels": [np.stack([pixels_to_cells(each) for each in found.labels]) - 1],
    }
    alone = np.stack([by_size(image_alone(image, found, options["pathway"], classes)) for image in pictures])
    labels["image by image"] = [alone]
    if gradient:
        slow, record["seconds"][f"{case}, gradient"] = by_gradient(pictures, shared, work / re.sub(r"\W+", "-", case))
        labels["gradient"] = clusterings(coordinates(slow), classes, SEEDS)
        labels["gradient, largest column"] = [cluster_of_column(slow)]
    tables = {name: [confusion(each, truth) for each in several] for name, several in labels.items()}
    draws = sampled(tables)
    record["results"][case] = {name: interval(values) for name, values in draws.items()}
    record["results"][case]["image by image, each matched"] = {"mean": matched_alone(tables["image by image"][0])}
    record["less"][case] = {
        name: interval(draws["streaming"] - values) for name, values in draws.items() if name != "streaming"
    }
    record["held out"][case] = held_out(pictures, truth, shared, points)
    for name, values in record["results"][case].items():
        print(f"    {name:<32}{values['mean']:.3f}", flush=True)
    print("    held out less included", record["held out"][case], flush=True)


def by_gradient(pictures: list[np.ndarray], shared: dict[str, Any], place: Path) -> tuple[CollectionAnalysis, float]:
    """The paper's method, gone on from where it was stopped; CPU seconds of all runs together."""
    place.mkdir(parents=True, exist_ok=True)
    clock, before = place / "seconds.json", time.process_time()
    earlier = json.loads(clock.read_text()) if clock.exists() else 0.0
    frozen = {"redraw": False, "save_every": 20}
    try:
        found = ww.analyze_collection(pictures, **shared, method="gradient", method_options=frozen, folder=place)
    finally:
        clock.write_text(json.dumps(earlier + time.process_time() - before))
    return found, json.loads(clock.read_text())


def cluster_of_column(found: CollectionAnalysis) -> np.ndarray:
    """Of each cell the largest softmax column, as the paper assigns it: (images, cells).

    Vectors are kept, which are the columns turned. Softmax rows lie in a simplex, whose corners are rows that are all
    one column: found by successive projections (Araújo et al. 2001), they give the columns back.
    """
    rows = np.stack([each.vectors.reshape(found.count, -1).T for each in found.embeddings]).astype(float)
    left, corners = rows.reshape(-1, found.count).copy(), []
    for _ in range(found.count):
        corners.append(int((left**2).sum(axis=1).argmax()))
        direction = left[corners[-1]] / np.linalg.norm(left[corners[-1]])
        left -= np.outer(left @ direction, direction)
    columns = rows @ np.linalg.inv(rows.reshape(-1, found.count)[corners])
    return np.stack([on_cells(each, found.embeddings[0].grid).argmax(axis=1) for each in columns])


def pixels_to_cells(labels: np.ndarray) -> np.ndarray:
    cells = labels.reshape(GRID, CELL, GRID, CELL).swapaxes(1, 2).reshape(GRID**2, CELL**2)
    return np.array([np.bincount(cell).argmax() for cell in cells])


def image_alone(image: np.ndarray, found: CollectionAnalysis, pathway: str, classes: int) -> np.ndarray:
    """The clusters of one image, analysed as a collection of its own."""
    projector = found.projector
    layers = projector.backbone.extract(image, scale=projector.scale)
    parts = parts_of(layers, pathway)
    means = ValueMeans.of(layers, parts)
    # Few directions, as the eigenproblem is solved for every image: what they leave out changes no cluster to speak of.
    maps = UnitMoments.of(layers, parts, means).maps(means, 16)
    embedding = solve(Gram.of(layers, maps), maps, COUNT).embed(layers)
    return clusterings([on_cells(shared_coordinates(embedding), embedding.grid)], classes)[0][0]


def by_size(labels: np.ndarray) -> np.ndarray:
    """Numbered by falling size."""
    rank = np.argsort(np.argsort(-np.bincount(labels), kind="stable"), kind="stable")
    return rank[labels]


def matched_alone(table: np.ndarray) -> float:
    """The mIoU when every image's clusters are matched with the truth by themselves."""
    again = np.zeros((1, table.shape[2] + 1, table.shape[2]))
    for image in table:
        partner = matched(image[None])
        for number, cells in enumerate(image):
            mine = np.flatnonzero(partner == number)
            again[0, mine[0] if len(mine) else -1] += cells
    return miou(again, np.arange(table.shape[2]))


def held_out(
    pictures: list[np.ndarray], truth: np.ndarray, shared: dict[str, Any], included: Points
) -> dict[str, dict[str, float]]:
    """The mIoU on a quarter of the images by the projection of the others, less that of being included.

    In both, clusters are found among the others alone. "same clusters": those of the projection's embedding, carried to
    the other by the cells that belong to each, so that nothing but the embedding differs. "own clusters": those of
    k-means in each, by the mean of several seeds, as its optimum differs from run to run.
    """
    out = np.arange(len(pictures)) % 4 == 3
    order = np.concatenate([np.flatnonzero(~out), np.flatnonzero(out)])
    known = int((~out).sum())
    found = ww.analyze_collection([pictures[number] for number in order[:known]], **shared)
    projected = (found.projector.embedding(pictures[number]) for number in order[known:])
    apart = coordinates(found) + [on_cells(shared_coordinates(each), each.grid) for each in projected]
    together, right = [included[number] for number in order], truth[order]
    count = int(truth.max()) + 1
    own, same = [], []
    for seed in range(SEEDS):
        here = centres_of(apart[:known], count, seed)
        labels = nearest(apart, here)
        score = resampled(labels, right, known)
        carried = means_of(np.concatenate(together[:known]), labels[:known].ravel())
        same.append(score - resampled(nearest(together, carried), right, known))
        there = centres_of(together[:known], count, seed)
        own.append(score - resampled(nearest(together, there), right, known))
    return {
        "same clusters": interval(np.mean(same, axis=0)),
        "own clusters": {**interval(np.mean(own, axis=0)), "seeds": [float(each[0]) for each in own]},
    }


def resampled(labels: np.ndarray, truth: np.ndarray, known: int) -> np.ndarray:
    """The mIoU of images from the ``known``-th on, matched on those before; for all and for bootstrap samples."""
    table = confusion(labels, truth)
    partner, rest = matched(table[:known]), table[known:]
    rng = np.random.default_rng(0)
    picks = [np.arange(len(rest)), *(rng.integers(len(rest), size=len(rest)) for _ in range(1000))]
    return np.array([miou(rest[pick], partner) for pick in picks])


def growth(counts: Sequence[int], backbones: Sequence[str]) -> dict[str, Any]:
    """Peak memory and time by number of images, each in a process of its own."""
    rows = []
    for name in backbones:
        for count in counts:
            answer = subprocess.run(
                [sys.executable, __file__, "one", name, str(count)], check=True, capture_output=True, text=True
            )
            rows.append({"backbone": name, "images": count, **json.loads(answer.stdout.splitlines()[-1])})
            print(rows[-1], flush=True)
    return {"rows": rows}


class Noisy:
    """Any number of images, made when they are asked for."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> np.ndarray:
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 255, (8, 8, 3)).repeat(16, axis=0).repeat(16, axis=1)
        return np.clip(coarse + rng.normal(0, 10, coarse.shape), 0, 255).astype(np.uint8)


def one(name: str, count: int) -> None:
    """A run to be measured from outside: after one of few images, so that what is loaded once is there."""
    options = {**BACKBONES[name], "device": "cpu"}
    ww.analyze_collection(Noisy(8), **options)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started, cpu = time.perf_counter(), time.process_time()
    ww.analyze_collection(Noisy(count), **options)
    spent, used = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": spent, "cpu_seconds": used, "peak_mb": peak / 1024, "before_mb": before / 1024}))


def markdown(record: dict[str, Any]) -> str:
    """The mIoU of every case and method, in points, what streaming has more, held out less included; CPU seconds."""
    methods = list(dict.fromkeys(name for case in record["results"].values() for name in case))
    lines = ["| mIoU | " + " | ".join([*methods, *(f"held out, {which}" for which in HELD_OUT)]) + " |"]
    lines.append("|---|" + "---|" * (len(methods) + len(HELD_OUT)))
    for case, values in record["results"].items():
        cells = [_told(values.get(name), record["less"][case].get(name)) for name in methods]
        for held in (record["held out"][case][which] for which in HELD_OUT):
            cells.append(f"{100 * held['mean']:+.1f} ({100 * held['low']:+.1f} … {100 * held['high']:+.1f})")
        lines.append(f"| {case} | " + " | ".join(cells) + " |")
    seconds = ["| case, method | CPU seconds |", "|---|---|"]
    seconds += [f"| {case} | {spent:,.0f} |" for case, spent in record["seconds"].items()]
    return "\n".join(lines) + "\n\n" + "\n".join(seconds)


def _told(value: dict[str, float] | None, less: dict[str, float] | None) -> str:
    if value is None:
        return ""
    interval_told = f" ({100 * less['low']:+.1f} … {100 * less['high']:+.1f})" if less else ""
    return f"{100 * value['mean']:.1f}{interval_told}"


def growth_markdown(record: dict[str, Any]) -> str:
    """Memory and time by number of images."""
    lines = [
        "| backbone | images | peak memory, MB | before, MB | seconds | CPU seconds an image |",
        "|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        numbers = f"{row['images']:,} | {row['peak_mb']:,.0f} | {row['before_mb']:,.0f} | {row['seconds']:,.0f}"
        lines.append(f"| {row['backbone']} | {numbers} | {row['cpu_seconds'] / row['images']:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Parse the command line, run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    first = what.add_parser("quality")
    first.add_argument("--images", type=int, default=200)
    first.add_argument("--worlds", nargs="+", default=["leaves", "landscape"])
    first.add_argument("--work", type=Path, required=True, help="where a gradient run is kept, to be gone on from")
    first.add_argument("--gradient", action="store_true")
    first.add_argument("--backbones", nargs="+", default=list(BACKBONES), choices=BACKBONES)
    second = what.add_parser("growth")
    second.add_argument("--counts", type=int, nargs="+", default=[100, 300, 1000])
    second.add_argument("--backbones", nargs="+", default=["filters", SLOW], choices=BACKBONES)
    for each in (first, second):
        each.add_argument("--json", type=Path)
    third = what.add_parser("one")
    third.add_argument("name")
    third.add_argument("count", type=int)
    options = parser.parse_args()
    if options.what == "one":
        one(options.name, options.count)
        return

    def keep(record: dict[str, Any]) -> None:
        if options.json:
            options.json.write_text(json.dumps({**record, "environment": describe_environment()}, indent=2) + "\n")

    if options.what == "quality":
        record = {"images": options.images, **{part: {} for part in ("results", "less", "held out", "seconds")}}
        if options.json and options.json.exists():
            record = json.loads(options.json.read_text())
            if record["images"] != options.images:
                raise SystemExit(f"{options.json} is of {record['images']} images; choose another file.")
        quality(
            record,
            options.work,
            gradient=options.gradient,
            worlds=options.worlds,
            backbones=options.backbones,
            keep=keep,
        )
    else:
        keep(growth(options.counts, options.backbones))


if __name__ == "__main__":
    main()
