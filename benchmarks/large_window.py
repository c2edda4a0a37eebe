"""A large image in the window: Run to the first result, window gaps, memory, slider to frame; beside napari's own cost.

Usage: ``python benchmarks/large_window.py [--run 12000] [--slider 4096] [--json FILE]``. Needs a display; without one,
under ``xvfb-run -a -s "-screen 0 1400x900x24"``. Each part runs in a process of its own, and prints a markdown table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import main_job  # sets napari's configuration aside before napari is imported
import napari
import numpy as np
from environment import describe_environment
from main_job import frame, settle


def scene(side: int) -> np.ndarray:
    """(side, side) uint8: blobs of many sizes on a shaded ground, with noise; built in strips."""
    rng = np.random.default_rng(0)
    coarse = rng.random((side // 40 + 2, side // 40 + 2)).astype(np.float32)
    from scipy.ndimage import gaussian_filter, zoom

    field = gaussian_filter(coarse, 1.5)
    field = (field - field.min()) / np.ptp(field)
    image = np.empty((side, side), np.uint8)
    large = zoom(field, 8, order=1)
    columns = np.minimum((np.arange(side) * large.shape[1]) // side, large.shape[1] - 1)
    for first in range(0, side, 512):
        rows = np.minimum((np.arange(first, min(first + 512, side)) * large.shape[0]) // side, large.shape[0] - 1)
        strip = np.where(large[rows][:, columns] > 0.55, 170, 60) + 40 * large[rows][:, columns]
        image[first : first + 512] = strip + rng.integers(-12, 13, strip.shape)
    return image


def window_with(image: np.ndarray) -> tuple[napari.Viewer, object]:
    """A viewer that shows the image, with the dock beside it, ready."""
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.add_image(image, name="large")
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    settle(8)  # the dock imports in the background what the first Run needs
    return viewer, dock


def measure_run(side: int) -> dict[str, float]:
    """Run to the first result, the longest gap on the way, and the most memory of the process."""
    viewer, dock = window_with(scene(side))
    said = dock.panel.estimate.text()
    run = main_job.one_run(dock)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    viewer.close()
    return {**run, "peak": peak, "said": said}


def measure_slider(side: int) -> dict[str, list[float]]:
    """Slider event to frame, and napari's own time for an array of the same kind, in turn."""
    viewer, dock = window_with(scene(side))
    main_job.one_run(dock)
    settle(1)
    layer = dock.session.labels_layer
    other = viewer.add_labels(layer.data.copy(), opacity=0.5)
    ours, theirs = [], []
    for count in main_job.SLIDER_COUNTS:
        other.visible, layer.visible = False, True
        # As the slider's handler, without the rest that it takes after a long change.
        settle(0.3)
        ours.append(frame(viewer, lambda n=count: dock._show_segments(n)))
        fresh = layer.data.copy()
        other.visible, layer.visible = True, False
        settle(0.3)
        theirs.append(frame(viewer, lambda a=fresh: setattr(other, "data", a)))
    viewer.close()
    return {"ours": ours, "theirs": theirs}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=int, default=12_000, metavar="SIDE")
    parser.add_argument("--slider", type=int, default=4096, metavar="SIDE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=("run", "slider"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        answer = measure_run(options.run) if options.part == "run" else measure_slider(options.slider)
        print("answer " + json.dumps(answer))
        return
    run, slider = (_in_process(part, options) for part in ("run", "slider"))
    extra = [1e3 * (mine - own) for mine, own in zip(slider["ours"], slider["theirs"], strict=True)]
    rows = [
        (f"{options.run:,}² uint8: Run to the first result, first time", run["run"] - run["layers"], "s", "≤ 15"),
        (f"{options.run:,}²: longest gap of a 20 ms timer until layers are made", 1e3 * run["gap"], "ms", "< 100"),
        (f"{options.run:,}²: making the layers, napari's drawing included", 1e3 * run["layers"], "ms", "apart"),
        (f"{options.run:,}²: most memory of the process, napari and image included", run["peak"] / 2**30, "GiB", "< 8"),
        (f"{options.slider:,}²: slider event to frame, median", 1e3 * statistics.median(slider["ours"]), "ms", ""),
        (f"{options.slider:,}²: napari showing a new array", 1e3 * statistics.median(slider["theirs"]), "ms", "peer"),
        (f"{options.slider:,}²: slider beyond napari, median", statistics.median(extra), "ms", "≤ 150"),
        (f"{options.slider:,}²: slider beyond napari, worst of {len(extra)}", max(extra), "ms", "≤ 150"),
    ]
    print("| large images in the window | measured | wanted |\n|---|---|---|")
    for name, value, unit, wanted in rows:
        print(f"| {name} | {value:.3g} {unit} | {wanted} |")
    keys = ("name", "value", "unit", "wanted")
    record = {
        "environment": describe_environment(),
        "said before": run["said"],
        "rows": [dict(zip(keys, row, strict=True)) for row in rows],
    }
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


def _in_process(part: str, options: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, "--part", part, "--run", str(options.run), "--slider", str(options.slider)]
    time.sleep(1)
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.seek(0)
        lines = [line for line in done.stdout.splitlines() if line.startswith("answer ")]
        if not lines:
            raise SystemExit(errors.read())
    return json.loads(lines[0].removeprefix("answer "))


if __name__ == "__main__":
    main()
