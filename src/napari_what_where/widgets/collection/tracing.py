"""Regions of a stack, each with one number from plane to plane, and its kind; no Qt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.progress import Progress, Report, checkpoints
from napari_what_where.widgets.buffers import label_type

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.segments.stack import TreeStack

_KEPT = ("kind", "area", "planes", "plane_min", "plane_max")


@dataclass(frozen=True, eq=False)
class Traces:
    """The region trees of a stack's planes, linked. ``numbers``: of the planes that have one, of ``count`` in all."""

    stack: TreeStack
    numbers: np.ndarray
    count: int

    def cut(self, regions: int) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Every plane in so many regions: labels (planes, rows, columns), 0 on planes without a tree, and their table.

        Columns "index", the label, "kind", "area" of all planes together, "planes", in how many it is, and
        "plane_min" and "plane_max", the first and the last of them.
        """
        n = max(1, min(regions, self.stack.leaf_count))
        labels = np.zeros((self.count, *self.stack.shape[1:]), label_type(self.stack.highest(n)))
        labels[self.numbers] = self.stack.labels(n)
        rows = self.stack.features(n)
        table = {"index": rows["label"], **{name: rows[name] for name in _KEPT if name in rows}}
        for name in ("plane_min", "plane_max"):
            if name in table:
                table[name] = self.numbers[table[name]]
        return labels, table


def trace(analysis: CollectionAnalysis, report: Report) -> Traces:
    """The trees of all planes that did not fail, linked by overlap; about a second a plane of 512².

    ``report`` may raise ``Cancelled``.
    """
    from napari_what_where.segments.stack import TreeStack

    good = [number for number in range(len(analysis)) if number not in analysis.failures]
    trees = []
    for done, number in enumerate(good):
        report(progress := Progress("regions", done, len(good)))
        with checkpoints(report, progress):
            trees.append(analysis.trees[number])
    stack = TreeStack(trees, linked=True)
    stack.prepare(report)
    return Traces(stack, np.array(good), len(analysis))
