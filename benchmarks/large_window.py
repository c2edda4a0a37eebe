"""A large image in the window: Run to the first result, window gaps, memory, slider to frame; beside napari's own cost.

Usage: ``python benchmarks/large_window.py [--run 12000] [--slider 4096] [--json FILE]``. Needs a display; without one,
under ``xvfb-run -a -s "-screen 0 1400x900x24"``. Each part runs in a process of its own, and prints a markdown table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
from collections.abc import Callable
from pathlib import Path

import main_job  # sets napari's configuration aside before napari is imported
import napari
import numpy as np
from environment import answer, describe_environment, in_process
from main_job import frame, settle

SAMPLES = 30


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
    """Slider event to frame; and napari alone, in turn with it, given arrays that were there before.

    ``napari``: of the layer's own type and shape; ``int32``: the same labels in 32 bits.
    """
    viewer, dock = window_with(scene(side))
    main_job.one_run(dock)
    settle(1)
    layer = dock.session.labels_layer
    ready = [dock.session.stack.labels(count)[0] for count in main_job.SLIDER_COUNTS[:3]]
    arrays = {"napari": [labels.astype(layer.data.dtype) for labels in ready], "int32": ready}
    others = {name: viewer.add_labels(there[0], opacity=0.5) for name, there in arrays.items()}
    every = [layer, *others.values()]
    times: dict[str, list[float]] = {name: [] for name in ("ours", *others)}

    def measure(name: str, shown: object, change: Callable[[], None]) -> None:
        for each in every:
            each.visible = each is shown
        settle(0.3)  # the slider's own rest after a long change is left out
        times[name].append(frame(viewer, change))

    for sample in range(SAMPLES):
        count = main_job.SLIDER_COUNTS[sample % len(main_job.SLIDER_COUNTS)]
        measure("ours", layer, lambda n=count: dock._show_segments(n))
        for name, other in others.items():
            array = arrays[name][(sample + 1) % len(ready)]
            measure(name, other, lambda o=other, a=array: setattr(o, "data", a))
    viewer.close()
    return times


def slider_rows(side: int, times: dict[str, list[float]]) -> list[tuple[str, float, str, str]]:
    """Medians are compared with medians, the worst with the worst of as many."""
    rows = []
    for what, of in (("median", statistics.median), (f"worst of {SAMPLES}", max)):
        cost = {name: 1e3 * of(each) for name, each in times.items()}
        rows += [
            (f"{side:,}²: slider event to frame, {what}", cost["ours"], "ms", ""),
            (f"{side:,}²: napari alone, {what}", cost["napari"], "ms", "peer"),
            (f"{side:,}²: napari alone with int32 labels, {what}", cost["int32"], "ms", "peer"),
            (f"{side:,}²: slider beyond napari, {what}", cost["ours"] - cost["napari"], "ms", "≤ 150"),
        ]
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=int, default=12_000, metavar="SIDE")
    parser.add_argument("--slider", type=int, default=4096, metavar="SIDE")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--part", choices=("run", "slider"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        answer(measure_run(options.run) if options.part == "run" else measure_slider(options.slider))
        return
    run, slider = (
        in_process(__file__, "--part", part, "--run", options.run, "--slider", options.slider)
        for part in ("run", "slider")
    )
    rows = [
        (f"{options.run:,}² uint8: Run to the first result, first time", run["run"] - run["layers"], "s", "≤ 15"),
        (f"{options.run:,}²: longest gap of a 20 ms timer until layers are made", 1e3 * run["gap"], "ms", "< 100"),
        (f"{options.run:,}²: making the layers, napari's drawing included", 1e3 * run["layers"], "ms", "apart"),
        (f"{options.run:,}²: most memory of the process, napari and image included", run["peak"] / 2**30, "GiB", "< 8"),
        *slider_rows(options.slider, slider),
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


if __name__ == "__main__":
    main()
