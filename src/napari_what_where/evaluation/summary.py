"""Figures of a data set from the records of its images, and their table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from napari_what_where.evaluation.boundaries import Counts

REGION_MEASURES = {"covering": max, "PRI": max, "VI": min}
"""In the order of ``Scores``; and which of two is better."""
CHOSEN, ODS, OIS, SCALE = "chosen", "ODS", "OIS", "ODS scale"


class Optimum(NamedTuple):
    """``ods``: the best mean over images at one scale, ``place``: that scale's; ``ois``: mean of each image's best.

    Arbelaez et al., TPAMI 2011, section 3: optimal data set scale, optimal image scale.
    """

    ods: float
    place: int
    ois: float


def optimum(table: np.ndarray, better: Any = max) -> Optimum:
    """ODS and OIS of an (images, scales) table; ``better``: max or min."""
    means = table.mean(axis=0)
    index = int(means.argmax() if better is max else means.argmin())
    each = table.max(axis=1) if better is max else table.min(axis=1)
    return Optimum(float(means[index]), index, float(each.mean()))


def summarise(records: Sequence[Mapping[str, Any]], measures: Sequence[str]) -> dict[str, dict[str, float]]:
    """Every measure of the groups ``measures`` by name, with its ``chosen``, ``ODS``, ``ODS scale`` and ``OIS``.

    ``records``: at least one, as :func:`~napari_what_where.evaluation.scoring.measure_sample` gives them. What a
    source of segmentations does not have is absent; NaN where the truth has nothing to measure.
    """
    summary: dict[str, dict[str, float]] = {}
    for group in measures:
        summary |= _GROUPS[group](records)
    return summary


def figures(record: Mapping[str, Any], measures: Sequence[str]) -> dict[str, float]:
    """One image's own figures: of the chosen segmentation, else of the best scale."""
    return {name: entry.get(CHOSEN, entry.get(OIS, np.nan)) for name, entry in summarise([record], measures).items()}


def _regions(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    summary: dict[str, dict[str, float]] = {name: {} for name in REGION_MEASURES}
    chosen = [record["regions"]["chosen"] for record in records]
    sweeps = [record["regions"]["sweep"] for record in records]
    for column, (name, better) in enumerate(REGION_MEASURES.items()):
        if None not in chosen:
            summary[name][CHOSEN] = float(np.mean([scores[column] for scores in chosen]))
        if None not in sweeps:
            best = optimum(np.array(sweeps)[..., column], better)
            scale = records[0]["scales"][best.place]
            summary[name] |= {ODS: best.ods, SCALE: scale, OIS: best.ois}
    return summary


def _boundaries(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Counts are pooled over images before precision, recall and F are taken, as the Berkeley benchmark does."""
    names = {"boundary F": "f_measure", "boundary precision": "precision", "boundary recall": "recall"}
    summary: dict[str, dict[str, float]] = {name: {} for name in names}
    chosen = [record["boundaries"]["chosen"] for record in records]
    sweeps = [record["boundaries"]["sweep"] for record in records]
    pooled: dict[str, Counts] = {}
    scale: dict[str, float] = {}
    if None not in chosen:
        pooled[CHOSEN] = _pool(chosen)
    if None not in sweeps:
        table = np.array(sweeps)  # (images, scales, 4)
        at_scale = [_pool(counts) for counts in table.swapaxes(0, 1)]
        index = int(np.argmax([counts.f_measure for counts in at_scale]))
        best = [max(image.tolist(), key=lambda counts: Counts(*counts).f_measure) for image in table]
        pooled |= {ODS: at_scale[index], OIS: _pool(best)}
        scale = {SCALE: records[0]["scales"][index]}
    for name, attribute in names.items():
        summary[name] = {column: getattr(counts, attribute) for column, counts in pooled.items()} | scale
    return summary


def _pool(counts: Any) -> Counts:
    return Counts(*(int(total) for total in np.sum(np.asarray(counts), axis=0)))


def _classes(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    from napari_what_where.evaluation.decoding import mean_iou

    names = {"mIoU, oracle-decoded": "oracle", "mIoU, Hungarian-matched per image": "hungarian"}
    return {
        name: {CHOSEN: mean_iou(record["classes"][decoder] for record in records)} for name, decoder in names.items()
    }


def _instances(records: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    from napari_what_where.evaluation.instances import coco_scores, dsb_scores

    entries = [record["instances"] for record in records]
    return {name: {CHOSEN: value} for name, value in (coco_scores(entries) | dsb_scores(entries)).items()}


_GROUPS = {"regions": _regions, "boundaries": _boundaries, "classes": _classes, "instances": _instances}


def table(summary: Mapping[str, Mapping[str, float]], chosen: str) -> str:
    """A Markdown table of a summary, one measure a row; ``chosen`` heads the column of the chosen segmentations."""
    present = {column for entry in summary.values() for column in entry}
    heads = {ODS: "ODS", SCALE: "at scale", OIS: "OIS", CHOSEN: chosen}
    columns = {column: head for column, head in heads.items() if column in present}
    rows = [["measure", *columns.values()], ["---", *("---:" for _ in columns)]]
    for name, entry in summary.items():
        title = f"{name} (bits, lower is better)" if name == "VI" else name
        rows.append([title, *(_cell(entry.get(column)) for column in columns)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *others = row
        cells = [first.ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(value: float | None) -> str:
    return "–" if value is None or not np.isfinite(value) else f"{value:.3f}"
