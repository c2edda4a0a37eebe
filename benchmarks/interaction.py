"""How many strokes until a segmentation is right: ours beside peers that see the same image and follow the same rule.

    python benchmarks/interaction.py path/to/BSDS500 path/to/micrographs [--json result.json] [--work folder]

One simulated annotator for all: each next stroke goes on the largest remaining error, that is the largest connected
part of one true label that has another label now. It runs straight through the part's innermost pixel, along the
direction of eight in which the part goes on for longest, as far as it stays a third as deep inside; it never leaves
the part. The method then labels the whole image from all strokes so far. Counted are the strokes until the mean IoU
over the true labels is 0.85, at most 30; an image that is not done by then counts as 31.

Peers: random walker (Grady 2006), watershed from markers, and a pixel classifier (random forest on filtered images and
the embedding's coordinates, as convpaint and ilastik do). Of each peer the setting that needs the fewest strokes on the
images for tuning, for each kind of image its own; of ours the one that is shipped. An image is won where no other
method needs fewer strokes. Interrupted, a run with ``--work`` goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from environment import describe_environment
from interaction_methods import METHODS
from interaction_tasks import KINDS, Task, micrographs, photographs, scenes
from tqdm import tqdm

GOAL, CAP = 0.85, 30
DIRECTIONS = [(np.sin(angle), np.cos(angle)) for angle in np.pi * np.arange(8) / 8]
RESAMPLES = 10_000


class Course(NamedTuple):
    """``strokes`` until the goal, ``CAP`` + 1 if it was not reached; the mean IoU after each; seconds a stroke."""

    strokes: int
    curve: list[float]
    seconds: float


def mean_iou(labels: np.ndarray, truth: np.ndarray) -> float:
    """Mean over the true labels of the IoU of that label; pixels whose truth is 0 do not count."""
    counted = truth > 0
    labels, truth = labels[counted], truth[counted]
    top = int(max(labels.max(), truth.max())) + 1
    table = np.bincount(truth.astype(np.int64) * top + labels, minlength=top * top).reshape(top, top)
    union = table.sum(axis=0) + table.sum(axis=1) - np.diag(table)
    there = table.sum(axis=1) > 0
    return float(np.mean(np.diag(table)[there] / union[there]))


def next_stroke(labels: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """The pixels of the stroke on the largest error, (rows, columns) bool."""
    from skimage.measure import label

    parts = label(np.where(labels == truth, 0, truth), background=0, connectivity=1)
    return stroke_through(parts == 1 + np.bincount(parts.ravel())[1:].argmax())


def stroke_through(part: np.ndarray) -> np.ndarray:
    """The straight stroke through the innermost pixel of ``part``, (rows, columns) bool, and not empty."""
    from scipy.ndimage import distance_transform_edt

    depth = distance_transform_edt(np.pad(part, 1))[1:-1, 1:-1]
    middle = np.unravel_index(int(depth.argmax()), depth.shape)
    allowed = depth >= max(1.0, depth[middle] / 3)
    best = max((line_through(allowed, middle, step) for step in DIRECTIONS), key=len)
    stroke = np.zeros(part.shape, bool)
    stroke[tuple(np.array(best).T)] = True
    return stroke


def line_through(allowed: np.ndarray, middle: Any, step: tuple[float, float]) -> list[tuple[int, int]]:
    """Pixels from ``middle`` on in both directions of ``step``, as long as they are allowed."""
    line = [(int(middle[0]), int(middle[1]))]
    for sign in (1, -1):
        for away in range(1, max(allowed.shape)):
            row, column = (round(middle[axis] + sign * away * step[axis]) for axis in (0, 1))
            inside = 0 <= row < allowed.shape[0] and 0 <= column < allowed.shape[1]
            if not inside or not allowed[row, column]:
                break
            line.append((row, column))
    return line


def annotate(predict: Callable[[np.ndarray], np.ndarray], truth: np.ndarray, cap: int = CAP) -> Course:
    """Stroke after stroke until the goal or the cap."""
    scribbles, labels = np.zeros(truth.shape, np.int32), np.zeros(truth.shape, np.int32)
    curve: list[float] = []
    seconds = 0.0
    for _ in range(cap):
        stroke = next_stroke(labels, truth)
        scribbles[stroke] = truth[stroke]
        began = time.perf_counter()
        labels = predict(scribbles)
        seconds += time.perf_counter() - began
        curve.append(mean_iou(labels, truth))
        if curve[-1] >= GOAL:
            return Course(len(curve), curve, seconds / len(curve))
    return Course(cap + 1, curve, seconds / cap)


def measure(task: Task, method: str, options: dict[str, Any]) -> dict[str, Any]:
    """One image by one method with one setting."""
    course = annotate(METHODS[method](task.image, **options), task.truth)
    return {
        "kind": task.kind,
        "image": task.name,
        "labels": int(task.truth.max()),
        "tuning": task.tuning,
        "method": method,
        "options": options,
        "strokes": course.strokes,
        "curve": [round(value, 4) for value in course.curve],
        "seconds": round(course.seconds, 4),
    }


def measure_all(
    jobs: list[tuple[Task, str, dict[str, Any]]], processes: int, work: Path | None
) -> list[dict[str, Any]]:
    """Every job, those that are in the folder ``work`` read from there; answers in the order of the jobs."""

    def place(task: Task, method: str, options: dict[str, Any]) -> Path | None:
        words = [task.kind, task.name, method, *map(str, options.values())]
        return None if work is None else work / ("_".join(words).replace(" ", "-") + ".json")

    places = [place(*job) for job in jobs]
    answers: dict[int, dict[str, Any]] = {
        number: json.loads(file.read_text()) for number, file in enumerate(places) if file is not None and file.exists()
    }
    with ProcessPoolExecutor(processes) as pool:
        running = {pool.submit(measure, *job): number for number, job in enumerate(jobs) if number not in answers}
        for done in tqdm(as_completed(running), total=len(running)):
            number = running[done]
            answers[number] = done.result()
            file = places[number]
            if file is not None:
                file.write_text(json.dumps(answers[number]))
    return [answers[number] for number in range(len(jobs))]


def choose(answers: list[dict[str, Any]], method: str, kind: str) -> dict[str, Any]:
    """The setting with the fewest strokes on the images for tuning; of equal ones that with the better curves."""

    def cost(options: dict[str, Any]) -> tuple[float, float]:
        mine = [each for each in answers if (each["method"], each["kind"], each["options"]) == (method, kind, options)]
        means = [np.mean(each["curve"] + [GOAL] * (CAP - len(each["curve"]))) for each in mine]
        return float(np.mean([each["strokes"] for each in mine])), -float(np.mean(means))

    return min(METHODS[method].OPTIONS, key=cost)


def compare(answers: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """For each kind, and for all, a row for each method."""
    rows = []
    for kind in (*KINDS, "all"):
        names = list(dict.fromkeys(each["image"] for each in answers if kind in (each["kind"], "all")))
        if not names:
            continue
        strokes = {method: np.array([_one(answers, name, method)["strokes"] for name in names]) for method in METHODS}
        feasible = np.min(list(strokes.values()), axis=0) <= CAP
        for method, mine in strokes.items():
            others = np.min([theirs for other, theirs in strokes.items() if other != method], axis=0)
            seconds = [_one(answers, name, method)["seconds"] for name in names]
            rows.append(
                {
                    "kind": kind,
                    "method": method,
                    "images": len(names),
                    "strokes": float(mine.mean()),
                    "less than ours": _interval(strokes["ours"] - mine),
                    "done": float((mine <= CAP).mean()),
                    "fewest": float((mine <= others)[feasible].mean()),
                    "fewest alone": float((mine < others)[feasible].mean()),
                    "feasible": int(feasible.sum()),
                    "seconds": float(np.median(seconds)),
                }
            )
    return rows


def _one(answers: list[dict[str, Any]], image: str, method: str) -> dict[str, Any]:
    return next(each for each in answers if each["image"] == image and each["method"] == method)


def _interval(difference: np.ndarray) -> list[float]:
    """Mean of a paired difference and its 95 % bootstrap interval over images."""
    drawn = np.random.default_rng(0).integers(0, len(difference), (RESAMPLES, len(difference)))
    return [float(difference.mean()), *map(float, np.quantile(difference[drawn].mean(axis=1), [0.025, 0.975]))]


def markdown(record: dict[str, Any]) -> str:
    """The rows of :func:`compare` as a table, with the settings that were chosen."""
    lines = [
        "| images | method | setting | strokes | ours less it (95 %) | done in 30 | fewest | alone | s a stroke |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in record["rows"]:
        options = record["settings"].get(f"{row['kind']}, {row['method']}", {})
        setting = ", ".join(f"{name} {value:g}" for name, value in options.items()) or "–"
        mean, low, high = row["less than ours"]
        against = "–" if row["method"] == "ours" else f"{mean:+.1f} ({low:+.1f} … {high:+.1f})"
        lines.append(
            f"| {row['kind']} ({row['images']}, {row['feasible']} done by any) | {row['method']} | {setting} | "
            f"{row['strokes']:.1f} | {against} | {row['done']:.0%} | {row['fewest']:.0%} | {row['fewest alone']:.0%} | "
            f"{row['seconds']:.2f} |"
        )
    return "\n".join(lines)


def per_image(record: dict[str, Any]) -> str:
    """Strokes of every measured image by every method."""
    lines = ["| image | labels | " + " | ".join(METHODS) + " |", "|---" * (2 + len(METHODS)) + "|"]
    answers = record["answers"]
    for name in dict.fromkeys(each["image"] for each in answers):
        mine = [_one(answers, name, method) for method in METHODS]
        counts = [str(each["strokes"]) if each["strokes"] <= CAP else f"> {CAP}" for each in mine]
        lines.append(f"| {name} | {mine[0]['labels']} | " + " | ".join(counts) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bsds500", type=Path)
    parser.add_argument("micrographs", type=Path)
    parser.add_argument("--images", type=int, nargs=3, default=(80, 18, 18), help="measured of each kind, at most")
    parser.add_argument("--tuning", type=int, default=20, help="of each kind tuned on, at most")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--work", type=Path, help="folder for answers as they come; empty it after a change of code")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if given.work is not None:
        given.work.mkdir(parents=True, exist_ok=True)
    sources = {
        "photographs": lambda: photographs(given.bsds500),
        "micrographs": lambda: micrographs(given.micrographs),
        "scenes": scenes,
    }
    tasks: list[Task] = []
    for kind, most in zip(KINDS, given.images, strict=True):
        every = list(sources[kind]()) if kind in given.kinds else []
        tasks += [task for task in every if task.tuning][: given.tuning]
        tasks += [task for task in every if not task.tuning][:most]
    tuning = [
        (task, method, options)
        for method, kind in METHODS.items()
        if len(kind.OPTIONS) > 1
        for options in kind.OPTIONS
        for task in tasks
        if task.tuning
    ]
    tried = measure_all(tuning, given.processes, given.work)
    settings = {
        (kind, method): choose(tried, method, kind) if len(METHODS[method].OPTIONS) > 1 else {}
        for kind in given.kinds
        for method in METHODS
    }
    jobs = [(task, method, settings[task.kind, method]) for task in tasks if not task.tuning for method in METHODS]
    answers = measure_all(jobs, given.processes, given.work)
    record = {
        "environment": describe_environment(),
        "goal": GOAL,
        "cap": CAP,
        "settings": {f"{kind}, {method}": options for (kind, method), options in settings.items()},
        "rows": compare(answers),
        "answers": answers,
    }
    print(markdown(record))
    if given.json is not None:
        given.json.write_text(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
