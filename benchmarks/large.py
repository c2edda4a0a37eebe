"""Large images: whether tiles agree with the whole, and what a smallest object costs in seconds and memory.

    python benchmarks/large.py [--size 12000] [--object 48] [--data FOLDER] [--json FILE]

Agreement: images of 2048² pixels that fit both ways are analysed untiled and in tiles, with a smallest object of 24
pixels; the adapted Rand error between both trees' labels at several counts (0: the same; scikit-image). A planted
scene, and the first images of ``--data``, enlarged to that size.

Cost: a planted scene of ``--size``² bytes with thousands of discs of about ``--object`` pixels, analysed as one view
and with that smallest object, each in a process of its own, so cold; seconds of ``analyze`` and of labels, peak memory
beyond the image, and the adapted Rand error of the labels to the discs, leaving the ground out, with as many segments
as there are discs and one for the ground.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from environment import describe_environment, peak_memory

COUNTS: tuple[int | str, ...] = (10, 30, 100, 300, "auto")
AGREEMENT_SIDE, AGREEMENT_OBJECT = 2048, 24.0
WHOLE, TILE_SIDES = 2 * AGREEMENT_SIDE, (1024, 512)
SUFFIXES = (".jpg", ".png", ".tif", ".tiff")


def discs(side: int, diameter: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A (side, side) uint8 scene of discs of 0.7 to 1.2 diameters on uneven, noisy ground, and their int32 labels."""
    rng = np.random.default_rng(seed)
    along = int(side / (2.2 * diameter))
    pitch = side / along
    centres = (np.stack(np.indices((along, along)), axis=-1).reshape(-1, 2) + 0.5) * pitch
    centres += rng.uniform(-0.25, 0.25, centres.shape) * pitch
    radii, levels = rng.uniform(0.35, 0.6, len(centres)) * diameter, rng.uniform(60, 120, len(centres))
    ramp = np.linspace(0, 1, side, dtype=np.float32)
    image = 50 + 15 * np.sin(3 * ramp)[:, None] * np.cos(5 * ramp)
    truth = np.zeros((side, side), np.int32)
    for number, (centre, radius, level) in enumerate(zip(centres, radii, levels, strict=True), 1):
        low = np.maximum(centre - radius - 1, 0).astype(int)
        high = np.minimum(centre + radius + 2, side).astype(int)
        box = slice(low[0], high[0]), slice(low[1], high[1])
        rows, columns = np.ogrid[box]
        inside = (rows - centre[0]) ** 2 + (columns - centre[1]) ** 2 < radius**2
        image[box][inside] += level
        truth[box][inside] = number
    noisy = np.empty(image.shape, np.uint8)
    for first in range(0, side, 500):
        strip = image[first : first + 500]
        noisy[first : first + 500] = np.clip(strip + rng.normal(0, 8, strip.shape), 0, 255)
    return noisy, truth


def enlarged(folder: Path, most: int) -> Iterator[tuple[str, np.ndarray]]:
    """Names and images of the first files of each folder below ``folder``, enlarged to the side of agreement."""
    from skimage.io import imread
    from skimage.transform import resize

    files = sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES and "mask" not in path.stem)
    chosen = [path for path in files if path in [each for each in files if each.parent == path.parent][:most]]
    for path in chosen:
        image = imread(path)
        if image.ndim not in (2, 3) or min(image.shape[:2]) < 200:
            continue
        factor = AGREEMENT_SIDE / max(image.shape[:2])
        shape = tuple(round(length * factor) for length in image.shape[:2])
        yield path.name, resize(image, shape, order=1, preserve_range=True).astype(image.dtype)


def trees_by_tile(image: np.ndarray) -> dict[int, Any]:
    """The region tree of each side of tiles, each from tokens to labels at that side."""
    from napari_what_where import joint_affinity, load_backbone, spectral_embedding
    from napari_what_where.segments.tree import region_tree
    from napari_what_where.working_plane.object_scale import plan_plane

    trees = {}
    for side in (WHOLE, *TILE_SIDES):
        plane = plan_plane((image.shape[0], image.shape[1]), AGREEMENT_OBJECT, tile_side=side)
        activations = load_backbone("filters").extract(image, plane=plane)
        embedding = spectral_embedding(joint_affinity(activations))
        trees[side] = len(plane.tiles), region_tree(embedding, image, plane=plane)
    return trees


def agreement(name: str, image: np.ndarray) -> list[dict[str, Any]]:
    """For each side of tiles the adapted Rand errors by count, and the share of pixels whose leaf differs."""
    from skimage.metrics import adapted_rand_error

    trees = trees_by_tile(image)
    whole = trees[WHOLE][1]
    rows = []
    for side in TILE_SIDES:
        tiles, tree = trees[side]
        errors = {
            str(count): round(float(adapted_rand_error(whole.labels(count), tree.labels(count))[0]), 5)
            for count in COUNTS
        }
        differ = float((whole.working_leaves != tree.working_leaves).mean())
        rows.append({"image": name, "shape": list(image.shape), "tile_side": side, "tiles": tiles,
                     "leaves": tree.leaf_count, "leaves_differ": round(differ, 6), "errors": errors})  # fmt: skip
        print(f"{name}, {tiles} tiles: {errors}; {differ:.2e} of the pixels in other leaves", flush=True)
    return rows


def one_run(side: int, diameter: float, smallest_object: float | None) -> dict[str, Any]:
    """What one run on the planted scene takes, and how well its labels fit the discs."""
    from skimage.metrics import adapted_rand_error

    image, truth = discs(side, diameter)
    count = int(truth.max()) + 1
    few = truth[::4, ::4].copy()
    del truth
    with peak_memory() as peak:
        started, processor = time.perf_counter(), time.process_time()
        import napari_what_where

        analysis = napari_what_where.analyze(image, smallest_object=smallest_object)
        seconds, processor = time.perf_counter() - started, time.process_time() - processor
        started = time.perf_counter()
        labels = analysis.tree.labels(count)
        first_labels = time.perf_counter() - started
        bytes_used = peak()
    started = time.perf_counter()
    analysis.tree.labels(count // 2)
    return {
        "smallest_object": smallest_object,
        "objects": count - 1,
        "plane": analysis.provenance["plane"],
        "token_grid": analysis.provenance["token_grid"],
        "seconds": round(seconds, 2),
        "processor_seconds": round(processor, 2),
        "stages": analysis.provenance["seconds"],
        "peak_bytes": bytes_used,
        "labels_seconds": [round(first_labels, 3), round(time.perf_counter() - started, 3)],
        "error": round(float(adapted_rand_error(few, labels[::4, ::4], ignore_labels=(0,))[0]), 4),
    }


def in_a_new_process(*arguments: Any) -> dict[str, Any]:
    """:func:`one_run` where nothing is loaded or allocated yet."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(one_run, arguments)


def markdown(record: dict[str, Any]) -> str:
    """Both tables."""
    lines = ["| image | tiles | leaves | pixels in other leaves | " + " | ".join(map(str, COUNTS)) + " |"]
    lines.append("|" + "---|" * (4 + len(COUNTS)))
    for row in record["agreement"]:
        errors = " | ".join(f"{row['errors'][str(count)]:.3f}" for count in COUNTS)
        lines.append(f"| {row['image']} | {row['tiles']} | {row['leaves']} | {row['leaves_differ']:.1e} | {errors} |")
    lines += [
        "",
        "| smallest object | plane | leaves | tiles | seconds | of the processors | GiB at its peak | error |",
    ]
    lines.append("|" + "---|" * 8)
    for run in record["runs"]:
        plane = run["plane"]
        size = "whole view" if run["smallest_object"] is None else f"{run['smallest_object']:g} px"
        peak = "" if run["peak_bytes"] is None else f"{run['peak_bytes'] / 2**30:.2f}"
        lines.append(
            f"| {size} | {plane['shape'][0]} × {plane['shape'][1]} | {plane['leaves']} | {plane['tiles']} | "
            f"{run['seconds']:.1f} | {run['processor_seconds']:.1f} | {peak} | {run['error']:.3f} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=12_000, help="side of the large scene in pixels; 0 for none")
    parser.add_argument("--object", type=float, default=48.0, help="smallest object in it, in pixels")
    parser.add_argument("--data", type=Path, help="a folder of images that are enlarged for agreement")
    parser.add_argument("--files", type=int, default=2, help="images of each folder below it")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    record: dict[str, Any] = {"environment": describe_environment(), "size": options.size, "runs": [], "agreement": []}
    for size in (None, options.object) if options.size else ():
        record["runs"].append(in_a_new_process(options.size, options.object, size))
        print(record["runs"][-1], flush=True)
    record["agreement"] += agreement("planted discs", discs(AGREEMENT_SIDE, AGREEMENT_OBJECT)[0])
    for name, image in enlarged(options.data, options.files) if options.data else ():
        record["agreement"] += agreement(name, image)
    print(markdown(record))
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
