"""Correcting labels: from the click to the drawn result, for each tool of the Refine dock, beside napari's own drawing.

Usage: ``python benchmarks/refining.py [--sides 1024 4096] [--samples 20] [--json FILE]``. Needs a display; without one,
under ``xvfb-run -a -s "-screen 0 1400x900x24"``. Prints a markdown table. Each size runs in a process of its own.

The labels are 150 regions of the image. Clicks, turns of the wheel and strokes are events of the canvas; a stroke
counts from where the button is let go. In turn with every edit, napari sets and draws as many pixels of a layer of its
own, where they are, to the same labels; every preview is beside napari drawing a layer of that size anew. Afterwards
each edit is undone, outside of the time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import main_job  # noqa: F401  sets napari's configuration aside before napari is imported
import napari
import numpy as np
from environment import answer, describe_environment, in_process
from large_window import scene
from main_job import Gaps, settle
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_what_where.widgets.picking import camera_of

REGIONS = 150
TIDY = ("holes", "small", "largest", "separate", "relabel", "snap", "delete")
PREVIEWS = ("similar", "similar: slider", "scribble")
Times = dict[str, dict[str, list[float]]]


class Bench:
    """A window with an image, its labels, the dock, and a layer in which napari does the same."""

    def __init__(self, side: int) -> None:
        from napari_what_where import analyze

        image = scene(side)
        labels = analyze(image, backbone="filters", count=16).tree.labels(REGIONS)
        self.viewer = viewer = napari.Viewer()
        viewer.window.resize(1280, 800)
        viewer.add_image(image, name="image")
        self.other = viewer.add_labels(labels.copy(), name="napari")
        self.layer = viewer.add_labels(labels.copy(), name="labels")
        self.other.visible = False
        _, self.dock = viewer.window.add_plugin_dock_widget("napari-what-where", "Refine")
        self.canvas = viewer.window._qt_viewer.canvas._scene_canvas.native
        self.rng = np.random.default_rng(0)
        self.times: Times = {}
        self.gaps: dict[str, float] = {}
        viewer.reset_view()
        settle(2)

    # Events

    def place(self, at: tuple[int, int]) -> QPoint:
        """Where a pixel of the labels is on the canvas."""
        camera = camera_of(self.viewer)
        middle = np.array(camera.center)[-2:]
        row, column = (np.array(at) - middle) * camera.zoom
        return QPoint(round(self.canvas.width() / 2 + column), round(self.canvas.height() / 2 + row))

    def click(self, at: tuple[int, int]) -> None:
        QTest.mouseClick(self.canvas, Qt.MouseButton.LeftButton, pos=self.place(at))

    def turn(self, at: tuple[int, int], notches: int) -> None:
        place = QPointF(self.place(at))
        event = QWheelEvent(
            place, QPointF(self.canvas.mapToGlobal(place.toPoint())), QPoint(), QPoint(0, 120 * notches),
            Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
        )  # fmt: skip
        QApplication.sendEvent(self.canvas, event)

    def draw(self, at: tuple[int, int], to: tuple[int, int]) -> None:
        """A stroke, up to where the button is let go: so far it is napari's own brush."""
        QTest.mousePress(self.canvas, Qt.MouseButton.LeftButton, pos=self.place(at))
        for share in (0.5, 1.0):
            between = tuple(np.rint(np.array(at) * (1 - share) + np.array(to) * share).astype(int))
            QTest.mouseMove(self.canvas, self.place(between))  # type: ignore[arg-type]
            QApplication.processEvents()

    def let_go(self, at: tuple[int, int]) -> None:
        QTest.mouseRelease(self.canvas, Qt.MouseButton.LeftButton, pos=self.place(at))

    def somewhere(self, *, inside: np.ndarray | None = None) -> tuple[int, int]:
        where = np.flatnonzero(self.layer.data if inside is None else inside)
        row, column = np.divmod(int(self.rng.choice(where)), self.layer.data.shape[1])
        return int(row), int(column)

    # Times

    def wait(self) -> None:
        while not self.dock.work.idle:
            QApplication.processEvents()
            time.sleep(0.0005)

    def settle(self) -> None:
        self.wait()
        while not self.dock.objects.idle:
            settle(0.02)

    def seconds(self, act: Callable[[], None], name: str) -> float:
        """From before ``act`` until its result is drawn; the longest gap on the way is kept."""
        gaps = Gaps()
        settle(0.06)
        start = time.perf_counter()
        act()
        self.wait()
        self.canvas.repaint()
        end = time.perf_counter()
        gaps.timer.stop()
        self.gaps[name] = max(self.gaps.get(name, 0.0), gaps.longest(start, end))
        return end - start

    def sample(self, name: str, act: Callable[[], None]) -> None:
        """Time an edit, and napari's own of the same pixels; then undo both."""
        before = len(self.layer._undo_history)
        ours = self.seconds(act, name)
        if len(self.layer._undo_history) == before:
            return
        old = self.other.data
        changed = np.nonzero(old != self.layer.data)
        values = self.layer.data[changed]
        self.layer.visible, self.other.visible = False, True
        settle(0.05)
        start = time.perf_counter()
        self.other.data_setitem(changed, values)
        self.canvas.repaint()
        theirs = time.perf_counter() - start
        self.other.undo()
        self.layer.visible, self.other.visible = True, False
        self.layer.undo()
        self.keep(name, ours, theirs)
        self.settle()

    def keep(self, name: str, ours: float, theirs: float) -> None:
        kept = self.times.setdefault(name, {"ours": [], "napari": []})
        kept["ours"].append(ours)
        kept["napari"].append(theirs)

    def drawn_anew(self) -> float:
        """Seconds that napari takes to draw a layer of this size anew."""
        self.other.visible = True
        settle(0.05)
        start = time.perf_counter()
        self.other.refresh()
        self.canvas.repaint()
        seconds = time.perf_counter() - start
        self.other.visible = False
        settle(0.05)
        return seconds


def measure_clicks(bench: Bench, samples: int) -> None:
    """Split, merge, grow; the first click makes the guide, which is not counted."""
    dock = bench.dock
    dock.actions.act("split")
    bench.click(bench.somewhere())
    bench.wait()
    bench.layer.undo()
    bench.settle()
    for name in ("split", "merge", "grow"):
        if dock.active != name:
            dock.actions.act(name)
        settle(0.2)
        for _ in range(10 * samples):
            if len(bench.times.get(name, {"ours": []})["ours"]) >= samples:
                break
            at = bench.somewhere()
            if name == "merge":
                dock.tool.chosen = None
                bench.click(at)
                bench.wait()
                settle(0.5)  # no double click
                at = bench.somewhere(inside=bench.layer.data != bench.layer.data[at])
            bench.sample(name, partial(bench.turn, at, 1) if name == "grow" else partial(bench.click, at))
            settle(0.4)


def measure_previews(bench: Bench, samples: int) -> None:
    """Similar, its slider, and strokes that are carried on."""
    dock = bench.dock
    dock.actions.act("similar")
    for number in range(samples):
        at = bench.somewhere()
        bench.keep("similar", bench.seconds(lambda at=at: bench.click(at), "similar"), bench.drawn_anew())
        value = 20 + 150 * number // samples
        slide = bench.seconds(lambda v=value: dock.panel.threshold.setValue(v), "similar: slider")
        bench.keep("similar: slider", slide, bench.drawn_anew())
        dock.actions.act("drop")
        settle(0.5)
    dock.leave_tool()
    try:
        from napari_what_where.refinement import propagation  # noqa: F401
    except ImportError:
        return
    dock.actions.act("scribble")
    for number in range(samples + 1):
        at = bench.somewhere()
        to = tuple(min(each + 30, size - 1) for each, size in zip(at, bench.layer.data.shape, strict=True))
        dock.tool.strokes.selected_label = 1 + number % 7
        bench.draw(at, to)
        seconds = bench.seconds(lambda to=to: bench.let_go(to), "scribble")
        if number:  # the first makes the propagator
            bench.keep("scribble", seconds, bench.drawn_anew())
        settle(0.2)
    dock.actions.act("drop")


def measure_tidying(bench: Bench, samples: int) -> None:
    """Tools without a click, on labels with some specks and holes."""
    rng, data = bench.rng, bench.layer.data
    side = data.shape[0]
    for layer in (bench.layer, bench.other):
        layer.visible = True
    for _ in range(300):
        row, column = rng.integers(4, side - 9, 2)
        value = int(rng.choice([0, int(rng.integers(1, REGIONS))]))
        for layer in (bench.layer, bench.other):
            layer.data[row : row + 3, column : column + 3] = value
    bench.other.visible = False
    for layer in (bench.layer, bench.other):
        layer.refresh()
        layer._reset_history()
    for name in TIDY:
        for _ in range(samples):
            bench.dock.choose(bench.layer, int(bench.layer.data[bench.somewhere()]))
            bench.sample(name, lambda each=name: bench.dock.actions.act(each))


def measure(side: int, samples: int) -> dict[str, Any]:
    bench = Bench(side)
    bench.settle()
    measure_clicks(bench, samples)
    measure_previews(bench, samples)
    bench.dock.leave_tool()
    measure_tidying(bench, max(3, samples // 4))
    bench.viewer.close()
    return {"times": bench.times, "gaps": bench.gaps}


def rows_of(side: int, found: dict[str, Any]) -> list[tuple[str, float, str, str]]:
    """Medians are compared with medians, the worst with the worst of as many."""
    rows = []
    for name, times in found["times"].items():
        count = len(times["ours"])
        if not count:
            continue
        for what, of, small, large in (("median", statistics.median, 100, 1000), (f"worst of {count}", max, 300, 1000)):
            ours, theirs = 1e3 * of(times["ours"]), 1e3 * of(times["napari"])
            wanted = f"< {small if side <= 1024 else large}" if name not in TIDY else ""
            rows += [
                (f"{side}²: {name}, to the drawn result, {what}", ours, "ms", ""),
                (f"{side}²: napari alone, {what}", theirs, "ms", "peer"),
                (f"{side}²: {name}, beyond napari, {what}", ours - theirs, "ms", wanted),
            ]
        rows.append((f"{side}²: {name}, longest gap of a 20 ms timer", 1e3 * found["gaps"][name], "ms", ""))
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 4096])
    parser.add_argument("--samples", type=int, default=20)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        answer(measure(options.one, options.samples))
        return
    found = {side: in_process(__file__, "--one", side, "--samples", options.samples) for side in options.sides}
    rows = [row for side, each in found.items() for row in rows_of(side, each)]
    print("| correcting labels | measured | wanted |\n|---|---|---|")
    for name, value, unit, wanted in rows:
        print(f"| {name} | {value:.1f} {unit} | {wanted} |")
    keys = ("name", "value", "unit", "wanted")
    record = {"environment": describe_environment(), "rows": [dict(zip(keys, row, strict=True)) for row in rows]}
    record["seconds"] = {side: each["times"] for side, each in found.items()}
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
