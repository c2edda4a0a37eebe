"""What is on disk after SIGKILL at random moments of autosaving and exporting; and what autosaving costs the window.

Usage: ``python benchmarks/kills.py [--kills 200] [--json FILE]``. Not on Windows, which has no fork. Needs a display;
without one, under ``xvfb-run -a -s "-screen 0 1400x900x24"``. Prints a markdown table.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import signal
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")
os.environ["WHAT_WHERE_RECOVERY"] = str(Path(os.environ["NAPARI_CONFIG"]).with_name("kept"))
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import tifffile
from environment import describe_environment

import napari_what_where as ww
from napari_what_where.files import recovery
from napari_what_where.files.export import output_paths, save_analysis

SCRATCH = recovery.recovery_folder().parent
SIDE = 1024
WINDOW_SIDE = 4096


def patches(side: int) -> np.ndarray:
    """Some 1,500 regions with ragged borders, (side, side) int32."""
    rng = np.random.default_rng(0)
    rows, columns = (axis + rng.integers(0, 6, (side, side)) for axis in np.mgrid[:side, :side])
    return (rows * 39 // side * 40 + columns * 39 // side + 1).astype(np.int32)


def killed_after(work: Callable[[int], None], wait: Callable[[], float]) -> int:
    """Fork a process that does ``work(1)``, ``work(2)``, …; kill it ``wait()`` seconds after the first.

    Returns the last that it finished.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        for number in itertools.count(1):
            work(number)
            os.write(writing, number.to_bytes(4, "little"))
    os.close(writing)
    last = int.from_bytes(os.read(reading, 4), "little")
    time.sleep(wait())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while done := os.read(reading, 4):
        last = int.from_bytes(done, "little")
    os.close(reading)
    return last


def kill_autosaves(kills: int) -> Counter[str]:
    """Entries after kills, by what is found."""
    base, found, rng = patches(SIDE), Counter[str](), np.random.default_rng(0)
    sessions: list[Path] = []

    def work(number: int) -> None:
        if not sessions:  # in the process that is going to be killed, which owns it
            sessions.append(recovery.open_session())
        recovery.save(sessions[0], "edited", base + number, name="cells", layer={})

    for _ in range(kills):
        last = killed_after(work, lambda: rng.uniform(0, 0.15))
        found["killed while writing"] += any(recovery.recovery_folder().rglob(".*.npz"))
        entries = recovery.abandoned()
        found["not one entry"] += len(entries) != 1
        for entry in entries:
            found[_judge(lambda entry=entry: recovery.load(entry), base, last)] += 1
            recovery.discard(entry)
    found["files left over"] = len(list(recovery.recovery_folder().rglob("*")))
    return found


def _judge(read: Callable[[], np.ndarray], base: np.ndarray, last: int) -> str:
    try:
        labels = read()
    except Exception:
        return "unreadable"
    number = int(labels[0, 0]) - int(base[0, 0])
    if not np.array_equal(labels, base + number):
        return "of no state"
    return "whole" if number in (last, last + 1) else "older than the last"


def kill_exports(kills: int) -> Counter[str]:
    """Files of exports after kills, by what is found."""
    image = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE)).astype(np.uint8)
    analysis, base, rng = ww.analyze(image), patches(SIDE), np.random.default_rng(2)
    folder, found = SCRATCH / "exports", Counter[str]()
    paths = output_paths(folder, "cells", "tiff")
    labels_file, vectors_file, record_file = paths
    vectors = np.asarray(analysis.embedding.vectors, np.float32)

    def work(number: int) -> None:
        analysis.provenance["number"] = number
        save_analysis(analysis, folder, "cells", labels=base + number)

    for _ in range(kills):
        last = killed_after(work, lambda: rng.uniform(0, 0.3))
        found["killed while writing"] += any(file.name.startswith(".") for file in folder.iterdir())
        found[_judge(lambda: tifffile.imread(labels_file).astype(np.int32), base, last)] += 1
        try:
            found["whole" if np.array_equal(tifffile.imread(vectors_file), vectors) else "of no state"] += 1
            number = json.loads(record_file.read_text(encoding="utf-8"))["number"]
            found["whole" if number in (last, last + 1) else "older than the last"] += 1
            found["files of two writes"] += int(tifffile.imread(labels_file)[0, 0]) - int(base[0, 0]) != number
        except Exception:
            found["unreadable"] += 1
        for file in folder.iterdir():
            file.unlink()
    return found


def window_costs() -> dict[str, float]:
    """Seconds of one save, and the longest gap of a 20 ms timer while saves run, beside the same without any."""
    import napari
    from main_job import Gaps, settle

    from napari_what_where.widgets.autosaving import Autosaver

    labels = patches(WINDOW_SIDE)
    seconds = []
    for number in range(5):
        start = time.perf_counter()
        recovery.save(recovery.open_session(), "large", labels + number, name="large", layer={})
        seconds.append(time.perf_counter() - start)
    viewer = napari.Viewer()
    viewer.window.resize(1280, 800)
    layer = viewer.add_labels(labels)
    settle(3)
    saver, saves, costs = Autosaver(viewer), [], {"save": statistics.median(seconds)}
    saver.saved.connect(saves.append)
    for name in ("idle", "gap"):
        gaps = Gaps()
        start = time.perf_counter()
        for _ in range(5):
            if name == "gap":  # as a stroke, without napari's own time for drawing it
                saver._on_edit(saver._find(layer))
            settle(2.5)
        costs[name] = gaps.longest(start, time.perf_counter())
        gaps.timer.stop()
        saver.watch(layer)
        settle(1)
    costs["saves"] = len(saves)
    saver.close()
    viewer.close()
    return costs


def main() -> None:
    """Kill, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows: list[tuple[str, Any, str, str]] = []
    for what, kill in (("autosave", kill_autosaves), ("export", kill_exports)):
        found = kill(options.kills)
        rows.append((f"{what}: kills", options.kills, "", ""))
        rows.append((f"{what}: kills while a file was being written", found.pop("killed while writing"), "", ""))
        rows.append((f"{what}: files that are whole and of the last state", found.pop("whole"), "", ""))
        for trouble in ("unreadable", "of no state", "older than the last"):
            rows.append((f"{what}: files {trouble}", found.pop(trouble, 0), "", "0"))
        mixed = found.pop("files of two writes", None)
        rows += [(f"{what}: {name}", count, "", "0") for name, count in found.items()]
        if mixed is not None:
            rows.append((f"{what}: sets of whole files, some of the write before", mixed, "", ""))
    costs = window_costs()
    side = f"{WINDOW_SIDE} × {WINDOW_SIDE} labels"
    rows += [
        (f"one save of {side}, median of 5", 1e3 * costs["save"], "ms", ""),
        (f"longest gap of a 20 ms timer during {costs['saves']} saves of {side}", 1e3 * costs["gap"], "ms", "< 50"),
        ("longest gap of a 20 ms timer, without any", 1e3 * costs["idle"], "ms", "peer"),
    ]
    print("| | measured | wanted |\n|---|---|---|")
    for name, value, unit, wanted in rows:
        print(f"| {name} | {value if isinstance(value, int) else f'{value:.1f}'} {unit} | {wanted} |")
    keys = ("name", "value", "unit", "wanted")
    record = {"environment": describe_environment(), "rows": [dict(zip(keys, row, strict=True)) for row in rows]}
    if options.json:
        options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
