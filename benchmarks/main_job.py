"""How the main job feels: Run to layers, window gaps, slider to frame, cancel, import; beside napari's own costs.

Usage: ``python benchmarks/main_job.py [--sample coffee] [--json FILE]``. Needs a display; without one, under
``xvfb-run -a -s "-screen 0 1400x900x24"``. Prints a markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp()  # the edits of a benchmark are nobody's
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import napari
from environment import describe_environment
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

TIMER_MS = 20
SLIDER_COUNTS = (5, 8, 12, 20, 35, 60, 100, 200, 400, 800)
CANCEL_AFTER_S = (0.05, 0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)


def settle(seconds: float) -> None:
    """Let the event loop turn."""
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        QApplication.processEvents()
        time.sleep(0.002)


class Gaps:
    """Times between ticks of a timer in the GUI thread: how long the window did not answer."""

    def __init__(self) -> None:
        self.ticks: list[float] = []
        self.timer = QTimer()
        self.timer.setInterval(TIMER_MS)
        self.timer.timeout.connect(lambda: self.ticks.append(time.perf_counter()))
        self.timer.start()

    def longest(self, start: float, end: float) -> float:
        """The longest gap that overlaps the time from start to end."""
        inside = [start, *[tick for tick in self.ticks if start < tick < end], end]
        return max(later - earlier for earlier, later in itertools.pairwise(inside))


def one_run(dock: Any) -> dict[str, float]:
    """Seconds of one Run, its longest gap before layers are made, and the time that making them takes."""
    gaps, marks = Gaps(), {}
    show = dock._show_findings

    def timed_show(*arguments: Any) -> None:
        marks["computed"] = time.perf_counter()
        show(*arguments)
        marks["shown"] = time.perf_counter()

    dock._show_findings = timed_show
    start = time.perf_counter()
    dock.start()
    while dock.task is not None:
        QApplication.processEvents()
        time.sleep(0.001)
    dock._show_findings = show
    gaps.timer.stop()
    return {
        "run": marks["shown"] - start,
        "gap": gaps.longest(start, marks["computed"]),
        "layers": marks["shown"] - marks["computed"],
    }


def napari_layers(specs: list[tuple[Callable[..., Any], dict[str, Any]]]) -> float:
    """Seconds that napari takes to make the same layers."""
    start = time.perf_counter()
    for add, arguments in specs:
        add(**arguments)
    return time.perf_counter() - start


def frame(viewer: napari.Viewer, change: Callable[[], None]) -> float:
    """Seconds from before a change until its frame is drawn."""
    canvas = viewer.window._qt_viewer.canvas._scene_canvas.native
    start = time.perf_counter()
    change()
    canvas.repaint()
    return time.perf_counter() - start


def slider_costs(viewer: napari.Viewer, dock: Any) -> tuple[list[float], list[float]]:
    """Seconds of each slider event to frame, and of napari showing an array of the same kind, in turn."""
    ours, theirs = [], []
    other = viewer.add_labels(dock.session.labels_layer.data.copy(), opacity=0.5)
    for _ in range(3):
        for count in SLIDER_COUNTS:
            dock.panel.segments.set_most(dock.session.stack.leaf_count)
            other.visible, dock.session.labels_layer.visible = False, True
            settle(0.05)
            ours.append(frame(viewer, lambda n=count: dock.panel.segments.spin.setValue(n)))
            fresh = dock.session.labels_layer.data.copy()
            other.visible, dock.session.labels_layer.visible = True, False
            settle(0.05)
            theirs.append(frame(viewer, lambda a=fresh: setattr(other, "data", a)))
    viewer.layers.remove(other)
    dock.session.labels_layer.visible = True
    return ours, theirs


def cancel_times(dock: Any) -> list[float]:
    """Seconds from Cancel until the dock is ready again, for cancellations throughout a run."""
    times = []
    for delay in CANCEL_AFTER_S:
        dock.start()
        settle(delay)
        start = time.perf_counter()
        dock.cancel()
        while dock.task is not None:
            QApplication.processEvents()
            time.sleep(0.001)
        times.append(time.perf_counter() - start)
    return times


def import_time(module: str) -> float:
    """Median seconds that importing a module adds to starting Python, over five processes."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True) for _ in range(6)]
    return statistics.median(float(run.stdout) for run in runs[1:])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sample", default="coffee")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    viewer.open_sample("napari-what-where", options.sample)
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    settle(8)  # the dock imports in the background what the first Run needs
    first = one_run(dock)
    settle(1)
    made = [(layer, layer.as_layer_data_tuple()) for layer in viewer.layers[1:]]
    adders = {"image": viewer.add_image, "labels": viewer.add_labels}
    keep = ("name", "scale", "translate", "rgb", "visible", "opacity", "features")
    specs = [
        (adders[kind], {"data": data, **{name: meta[name] for name in keep if name in meta}})
        for _, (data, meta, kind) in made
    ]
    again = viewer.layers[:]
    theirs_layers = napari_layers(specs)
    for layer in [layer for layer in viewer.layers if layer not in again]:
        viewer.layers.remove(layer)
    settle(1)
    later = [one_run(dock) for _ in range(3)]
    ours, theirs = slider_costs(viewer, dock)
    cancels = cancel_times(dock)
    viewer.close()

    extra = [mine - own for mine, own in zip(ours, theirs, strict=True)]
    rows = [
        ("Run to layers, first time", first["run"], "s", "≤ 5"),
        ("Run to layers, again (median of 3)", statistics.median(run["run"] for run in later), "s", "≤ 5"),
        ("longest gap of a 20 ms timer, first Run", 1e3 * first["gap"], "ms", "< 100"),
        ("longest gap of a 20 ms timer, later Runs", 1e3 * max(run["gap"] for run in later), "ms", "< 100"),
        ("making the layers, first Run", 1e3 * first["layers"], "ms", "apart"),
        ("napari making the same layers", 1e3 * theirs_layers, "ms", "peer"),
        ("slider event to frame, median", 1e3 * statistics.median(ours), "ms", ""),
        ("napari showing a new array, median", 1e3 * statistics.median(theirs), "ms", "peer"),
        ("slider beyond napari, median", 1e3 * statistics.median(extra), "ms", "≤ 50"),
        ("slider beyond napari, worst of 30", 1e3 * max(extra), "ms", "≤ 50"),
        ("cancel, worst of 8", 1e3 * max(cancels), "ms", "≤ 1000"),
        ("import napari_what_where", 1e3 * import_time("napari_what_where"), "ms", "< 300"),
        ("import numpy", 1e3 * import_time("numpy"), "ms", "peer"),
    ]
    print(f"| {options.sample} | measured | wanted |\n|---|---|---|")
    for name, value, unit, wanted in rows:
        print(f"| {name} | {value:.2f} {unit} | {wanted} |")
    keys = ("name", "value", "unit", "wanted")
    record = {"environment": describe_environment(), "rows": [dict(zip(keys, row, strict=True)) for row in rows]}
    print("\n" + json.dumps(record["environment"]))
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
