"""Whether what is estimated before a run is what the run then takes: seconds, and memory at its peak.

Usage: ``python benchmarks/estimates.py [--json FILE] [--only TEXT]``. Each case runs in a process of its own, short
ones twice: memory is that of the first run, seconds of the faster. Exits with 1 where a figure is out of bounds. Linux
only, as others do not tell the peak. Takes some ten minutes, on a machine that has nothing else to do: the processor
time beside the seconds shows whether it had.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
from environment import describe_environment, peak_memory

MEMORY_BOUNDS = (0.9, 2.0)
"""Estimated bytes over used ones."""
TIME_BOUNDS = (0.5, 2.0)
SMALL_BYTES, SHORT_SECONDS = 20 * 2**20, 1.0
"""Where both figures are below, any estimate will do: nobody waits for it, and it fits everywhere."""
LONG_SECONDS = 10.0
"""Runs that took longer are not repeated."""

CASES: list[dict[str, Any]] = [
    *({"side": side, "channels": channels} for side in (256, 512, 1024, 2048, 4096) for channels in (1, 3)),
    *({"side": 1024, "channels": channels, "count": count} for count in (4, 64) for channels in (1, 3)),
    {"side": 512, "channels": 3, "count": 64},
    {"side": 1024, "channels": 3, "count": 128},
    {"side": 1024, "channels": 2, "dtype": "uint16"},
    {"side": 2048, "channels": 7},
    {"side": 4096, "channels": 1, "dtype": "float32"},
    {"side": 4096, "channels": 1, "dtype": "uint16"},
    {"side": 2048, "channels": 4},
    {"side": 1024, "channels": 3, "follow_edges": False},
    {"side": 512, "channels": 1, "objects": True},
    {"side": 1024, "channels": 3, "objects": True},
    {"side": 2048, "channels": 1, "smallest_object": 200},
    {"side": 2048, "channels": 1, "smallest_object": 24},
    {"side": 2048, "channels": 3, "smallest_object": 48},
    {"side": 4096, "channels": 1, "smallest_object": 40, "dtype": "uint16"},
    {"side": 4096, "channels": 3, "smallest_object": 24},
    {"side": 8192, "channels": 1, "smallest_object": 300},
    {"side": 2048, "channels": 1, "smallest_object": 24, "objects": True},
    {"side": 512, "channels": 3, "planes": 6},
    {"side": 1024, "channels": 1, "planes": 3},
]


def picture(side: int, channels: int, dtype: str) -> np.ndarray:
    """A photograph or, in grey, an image of coins, repeated to (side, side[, channels])."""
    from skimage import data

    photograph = data.coffee() if channels > 1 else data.coins()[..., None]
    times = -(-side // min(photograph.shape[:2]))
    tiled = np.tile(photograph, (times, times, 1))[:side, :side]
    planes = [np.roll(tiled[..., c % tiled.shape[2]], 5 * (c // 3), axis=1) for c in range(channels)]
    if channels == 4:
        planes[3] = np.full_like(planes[3], 255)
    image = np.stack(planes, axis=-1) if channels > 1 else planes[0]
    stretch = {"uint8": 1.0, "uint16": 257.0}.get(dtype, 1 / 255)
    return np.ascontiguousarray((image * stretch).astype(dtype) if dtype != "uint8" else image)


def measure(case: dict[str, Any]) -> dict[str, float]:
    """Run one case in this process."""
    from napari_what_where import analyze, find_objects
    from napari_what_where.planes import analyze_planes

    settings = {name: case[name] for name in ("count", "smallest_object", "follow_edges") if name in case}
    image = picture(case["side"], case["channels"], case.get("dtype", "uint8"))
    planes = [image] * case.get("planes", 1)

    def run() -> list[Any]:
        found = analyze_planes(planes, **settings) if len(planes) > 1 else [analyze(image, **settings)]
        labels = [each.tree.labels("auto") for each in found]
        return [found, labels, [find_objects(each) for each in found] if case.get("objects") else None]

    small = analyze(np.ascontiguousarray(image[:64, :64]), count=4)  # everything is imported, threads have their stacks
    if case.get("objects"):
        find_objects(small)
    with peak_memory() as peak:
        started = time.process_time()
        seconds = timed(run)
        processor = time.process_time() - started
        used = peak() or 0
    return {
        "bytes": used,
        "processor_seconds": processor,
        "seconds": min(seconds, timed(run)) if seconds < LONG_SECONDS else seconds,
    }


def timed(run: Callable[[], object]) -> float:
    """Seconds that it takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def estimate(case: dict[str, Any]) -> dict[str, float]:
    """What was said before."""
    from napari_what_where.estimates.resources import estimate_run

    options = {name: value for name, value in case.items() if name not in ("side", "dtype")}
    known = estimate_run((case["side"],) * 2, case.get("dtype", "uint8"), device="cpu", **options)
    # At the speed of 1, whatever was learned of this machine.
    return {"estimated_bytes": known.bytes, "estimated_seconds": known.seconds / known.speed}


def judge(row: dict[str, Any]) -> dict[str, Any]:
    """Ratios, and whether they are within bounds."""
    memory = row["estimated_bytes"] / max(row["bytes"], 1)
    speed = row["estimated_seconds"] / row["seconds"]
    small = max(row["bytes"], row["estimated_bytes"]) < SMALL_BYTES
    short = max(row["seconds"], row["estimated_seconds"]) < SHORT_SECONDS
    row |= {"memory_ratio": round(memory, 3), "time_ratio": round(speed, 3)}
    row["memory_within"] = small or MEMORY_BOUNDS[0] <= memory <= MEMORY_BOUNDS[1]
    row["time_within"] = short or TIME_BOUNDS[0] <= speed <= TIME_BOUNDS[1]
    return row


def name_of(case: dict[str, Any]) -> str:
    """One case in words."""
    channels = {1: "grey", 3: "colour"}.get(case["channels"], f"{case['channels']} channels")
    rest = [f"{key} {value}" for key, value in case.items() if key not in ("side", "channels")]
    return ", ".join([f"{case['side']}²", channels, *rest])


HEADING = "| case | MiB | estimated | ratio | seconds | of processor | estimated | ratio |\n" + 8 * "|---" + "|"


def line(row: dict[str, Any]) -> str:
    """One case as a row of the table; out of bounds is marked."""
    memory = f"{row['bytes'] / 2**20:.0f} | {row['estimated_bytes'] / 2**20:.0f} | {row['memory_ratio']:.2f}"
    wall, processor = row["seconds"], row["processor_seconds"]
    speed = f"{wall:.2f} | {processor:.2f} | {row['estimated_seconds']:.2f} | {row['time_ratio']:.2f}"
    marks = ["" if row[each] else " !" for each in ("memory_within", "time_within")]
    return f"| {row['name']} | {memory}{marks[0]} | {speed}{marks[1]} |"


def markdown(rows: list[dict[str, Any]]) -> str:
    """All cases."""
    return "\n".join([HEADING, *map(line, rows)])


def main() -> None:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--only", default="", help="cases whose name holds this text")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    rows = []
    print(HEADING)
    for case in CASES:
        if options.only not in name_of(case):
            continue
        command = [sys.executable, __file__, "--case", json.dumps(case)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row = judge({"name": name_of(case), **json.loads(done.stdout.splitlines()[-1]), **estimate(case)})
        rows.append(row)
        print(line(row), flush=True)
    bounds = {"memory": MEMORY_BOUNDS, "time": TIME_BOUNDS, "small_bytes": SMALL_BYTES, "short_seconds": SHORT_SECONDS}
    if options.json:
        record = {"environment": describe_environment(), "bounds": bounds, "rows": rows}
        options.json.write_text(json.dumps(record, indent=2) + "\n")
    sys.exit(0 if all(row["memory_within"] and row["time_within"] for row in rows) else 1)


if __name__ == "__main__":
    main()
