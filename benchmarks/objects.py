"""Objects in micrographs, ours beside peers on the same images in one run.

    python benchmarks/objects.py path/to/micrographs [--images nuclei maize] [--overlays FOLDER] [--json result.json]

For each NAME, NAME.tif is segmented and compared with the instances in NAME_masks.tif (0 = background). Average
precision is matched / (matched + false + missed) at IoU 0.5; the other figure is the mean IoU of the matches.

Ours runs with one set of parameters for all images, without being told whether objects are bright or dark. The peers
appear twice: with default parameters, and with those that the truth says are best *for this image*. Otsu + watershed is
told the polarity in both: smoothing, Otsu's threshold, peaks of the distance transform, watershed, growth over walls.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environment import describe_environment

LEAST_PIXELS = 20
"""Smaller parts of the peers' foreground are dropped."""


class Match(NamedTuple):
    """Average precision, mean IoU of the matches, and how many there are of ours, of the truth, and matched."""

    precision: float
    iou: float
    found: int
    true: int
    matched: int


def match(labels: np.ndarray, truth: np.ndarray, threshold: float = 0.5) -> Match:
    """Objects matched above an IoU of ``threshold`` ≥ 0.5, where matches are unique."""
    counts = int(labels.max()) + 1, int(truth.max()) + 1
    table = np.bincount(labels.ravel().astype(np.int64) * counts[1] + truth.ravel(), minlength=counts[0] * counts[1])
    table = table.reshape(counts).astype(np.float64)
    ours, theirs = table.sum(axis=1, keepdims=True), table.sum(axis=0)
    iou = (table / np.maximum(ours + theirs - table, 1))[1:, 1:]
    found, true = int((ours[1:] > 0).sum()), int((theirs[1:] > 0).sum())
    hits = iou[iou > threshold]
    return Match(
        len(hits) / max(found + true - len(hits), 1), float(hits.mean()) if len(hits) else 0.0, found, true, len(hits)
    )


def ours(image: np.ndarray) -> np.ndarray:
    """``find_objects`` with its defaults; the analysis is timed with it."""
    import napari_what_where as ww

    return ww.find_objects(ww.analyze(image))


def otsu_watershed(
    image: np.ndarray, *, bright: bool = True, sigma: float = 1.0, distance: int = 10, grow: bool = False
) -> np.ndarray:
    """Otsu's threshold, then a watershed of the distance transform from its peaks ``distance`` pixels apart.

    With ``grow``, objects then grow over the background until they meet, by a watershed of the smoothed image.
    """
    from scipy.ndimage import distance_transform_edt, label
    from skimage.feature import peak_local_max
    from skimage.filters import gaussian, threshold_otsu
    from skimage.segmentation import watershed

    smooth = gaussian(image.astype(np.float64), sigma) if sigma else image.astype(np.float64)
    foreground = (smooth > threshold_otsu(smooth)) == bright
    parts = label(foreground)[0]
    foreground &= np.bincount(parts.ravel())[parts] >= LEAST_PIXELS
    away = distance_transform_edt(foreground)
    peaks = peak_local_max(away, min_distance=distance, labels=label(foreground)[0], exclude_border=False)
    markers = np.zeros(image.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-away, markers, mask=foreground)
    return watershed(-smooth if bright else smooth, labels) if grow else labels


def felzenszwalb(image: np.ndarray, *, scale: float = 100.0) -> np.ndarray:
    """All segments of Felzenszwalb & Huttenlocher 2004, background included: the method has none."""
    from skimage.segmentation import felzenszwalb as segment

    return segment(stretched(image), scale=scale, sigma=0.8, min_size=LEAST_PIXELS) + 1


def slic(image: np.ndarray, *, count: int = 200, compactness: float = 0.1) -> np.ndarray:
    """SLIC superpixels, as many as would fit; likewise without background."""
    from skimage.segmentation import slic as segment

    return segment(stretched(image), n_segments=count, compactness=compactness, channel_axis=None)


def stretched(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, [0.1, 99.9])
    return np.clip((image - low) / max(high - low, 1e-9), 0, 1)


Peer = Callable[..., np.ndarray]
PEERS: dict[str, tuple[Peer, dict[str, list[Any]]]] = {
    "Otsu + watershed": (
        otsu_watershed,
        {
            "bright": [True, False],
            "sigma": [0, 1, 2, 3],
            "distance": [1, 2, 3, 4, 5, 7, 8, 10, 12, 15],
            "grow": [False, True],
        },
    ),
    "Felzenszwalb": (felzenszwalb, {"scale": [10, 20, 30, 50, 100, 200, 300, 500]}),
    "SLIC": (slic, {"count": [100, 200, 400, 800], "compactness": [0.01, 0.1]}),
}
"""Each peer with the settings that are tried for it."""
POLARITIES = {"Otsu + watershed": [{"bright": True}, {"bright": False}]}
"""Defaults of which the peer gets the better, by truth."""


def settings(choices: dict[str, list[Any]]) -> Iterator[dict[str, Any]]:
    for values in itertools.product(*choices.values()):
        yield dict(zip(choices, values, strict=True))


def timed(method: Peer, image: np.ndarray, truth: np.ndarray, **options: Any) -> dict[str, Any]:
    started = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        labels = method(image, **options)
    seconds = time.perf_counter() - started
    return {**match(labels, truth)._asdict(), "seconds": seconds, "options": options}


def run_image(name: str, image: np.ndarray, truth: np.ndarray) -> list[dict[str, Any]]:
    """One row a method."""
    rows = [{"method": "ours", **timed(ours, image, truth)}]
    for peer, (method, choices) in PEERS.items():
        defaults = [timed(method, image, truth, **options) for options in POLARITIES.get(peer, [{}])]
        rows.append({"method": f"{peer}, default", **max(defaults, key=lambda row: row["precision"])})
        tried = [timed(method, image, truth, **options) for options in settings(choices)]
        rows.append({"method": f"{peer}, best by truth", **max(tried, key=lambda row: row["precision"])})
    return [{"image": name, **row} for row in rows]


def overlay(image: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Outlines over the image, (rows, columns, 3) uint8."""
    from skimage.segmentation import mark_boundaries

    shown = np.sqrt(stretched(image if image.ndim == 2 else image.mean(axis=2)))
    return (mark_boundaries(shown, labels, color=(1, 0.8, 0)) * 255).astype(np.uint8)


def markdown(rows: list[dict[str, Any]]) -> str:
    """A table, one row a method."""
    lines = ["| image | method | AP@0.5 | mean IoU | found | true | matched | seconds | options |", "|---" * 9 + "|"]
    for row in rows:
        options = ", ".join(f"{name} {value}" for name, value in row["options"].items())
        lines.append(
            f"| {row['image']} | {row['method']} | {row['precision']:.3f} | {row['iou']:.3f} | {row['found']} "
            f"| {row['true']} | {row['matched']} | {row['seconds']:.2f} | {options} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", nargs="+", default=["nuclei", "maize"])
    parser.add_argument("--overlays", type=Path, help="folder for pictures of our objects in every .tif below FOLDER")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    from tifffile import imread

    rows = []
    for name in options.images:
        image, truth = imread(options.folder / f"{name}.tif"), imread(options.folder / f"{name}_masks.tif")
        rows += run_image(name, image, truth.astype(np.int64))
    print(markdown(rows))
    if options.json:
        record = {"environment": describe_environment(), "rows": rows}
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    if options.overlays:
        from skimage.io import imsave

        options.overlays.mkdir(parents=True, exist_ok=True)
        for path in sorted(options.folder.rglob("*.tif")):
            image = imread(path)
            if not path.stem.endswith("_masks") and (image.ndim == 2 or image.shape[-1] <= 4):
                imsave(options.overlays / f"{path.stem}.png", overlay(image, ours(image)), check_contrast=False)


if __name__ == "__main__":
    main()
