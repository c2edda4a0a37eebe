"""What one run found, and what the user said about it: numbers only, no viewer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.pipeline import Analysis
from napari_what_where.segments.superpixels import resized
from napari_what_where.widgets.buffers import Buffers, label_type
from napari_what_where.widgets.source import FULL_SIZE, Source

if TYPE_CHECKING:
    from napari_what_where.segments.stack import TreeStack

Columns = dict[str, np.ndarray]


@dataclass(eq=False)
class Findings:
    """Analyses of the planes of one source, with the segments, objects and background that come of them.

    ``stacks``: trees of all planes, with (True) and without (False) the image's edges. ``background``: for each of
    these the leaves that the user called background, a boolean array a plane. ``from_file``, ``command``: whether a
    script, and the command, read from the source's file what was analysed. ``objects``: (planes, rows, columns)
    int32 once they were asked for; ``dropped``: those of their numbers that the user called background.
    """

    analyses: tuple[Analysis, ...]
    source: Source
    stacks: dict[bool, TreeStack]
    follow_edges: bool
    from_file: bool = False
    command: bool = False
    background: dict[bool, list[np.ndarray]] = field(default_factory=dict)
    objects: np.ndarray | None = None
    object_rows: Columns = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    _buffers: Buffers = field(default_factory=Buffers)
    _arrived: list[np.ndarray] | None = None
    """What was background in these trees when they were taken; what has changed since is carried to the others."""

    @property
    def stack(self) -> TreeStack:
        """The trees that segments are taken from."""
        return self.stacks[self.follow_edges]

    @property
    def coarse(self) -> bool:
        """Whether labels are shown at the working resolution instead of the image's own."""
        rows, columns = self.source.shape
        return rows * columns > FULL_SIZE and self.stack.working_shape != self.stack.shape

    def marked(self, objects: bool) -> bool:
        """Whether the user called anything background, among objects or segments."""
        return bool(self.dropped) if objects else any(each.any() for each in self.background.get(self.follow_edges, []))

    # Segments

    def segments(self, count: int) -> Callable[[], np.ndarray]:
        """What makes (planes, rows, columns) labels, 0 where the user said background or outside the chosen part.

        Of :func:`label_type`. Makes the same labels however often and late it is called, whatever is chosen in
        between.
        """
        stack, background, outline = self.stack, self.background.get(self.follow_edges), self.source.outline
        make, shape = (stack.working_labels, stack.working_shape) if self.coarse else (stack.labels, stack.shape)
        dtype = label_type(stack.highest(count))

        return lambda: _within(make(count, background, self._buffers.take(shape, dtype)), outline)

    def prepare(self) -> None:
        """Have ready what the slider needs; off the GUI thread."""
        self.stack.features(self.stack.auto_count)
        shape = self.stack.working_shape if self.coarse else self.stack.shape
        self._buffers.prepare(shape, label_type(self.stack.highest(self.stack.auto_count)))

    def segment_rows(self, count: int) -> Columns:
        """One row a segment that is there, column "index" the label, as a Labels layer wants it."""
        rows = self.stack.features(count, self.background.get(self.follow_edges))
        if self.source.outline is not None:
            rows = _measured_again(rows, self.segments(count)())
        return indexed(rows)

    def toggle_segment(self, count: int, plane: int, row: int, column: int) -> str:
        """Make the segment at a pixel background, or, where it is background, a segment again; says which."""
        stack, edges = self.stack, self.follow_edges
        leaf = stack.leaf_at(plane, row, column)
        if leaf is None:
            return "That is outside of the image."
        before = self.background.get(edges) or [np.zeros(tree.leaf_count, bool) for tree in stack.trees]
        if before[plane][leaf]:
            region = stack.region_leaves(count, plane, leaf, None)
            self.background[edges] = [old & ~new for old, new in zip(before, region, strict=True)]
            return "A segment again."
        region = stack.region_leaves(count, plane, leaf, before)
        self.background[edges] = [old | new for old, new in zip(before, region, strict=True)]
        return "Background."

    def take_tree(self, follow_edges: bool) -> None:
        """Take segments from the other trees; what was said to be background, or not to be, since the last time holds
        there, too.
        """
        here, there = self.stack.trees, self.stacks[follow_edges].trees
        nothing = [np.zeros(tree.leaf_count, bool) for tree in here]
        now, before = self.background.get(self.follow_edges, nothing), self._arrived or nothing
        kept = self.background.get(follow_edges) or [np.zeros(tree.leaf_count, bool) for tree in there]
        if any((new != old).any() for new, old in zip(now, before, strict=True)):
            self.background[follow_edges] = [
                marked & ~_majority(other.working_leaves, tree.working_leaves, old & ~new)
                | _majority(other.working_leaves, tree.working_leaves, new & ~old)
                for marked, other, tree, new, old in zip(kept, there, here, now, before, strict=True)
            ]
        self._arrived = self.background.get(follow_edges)
        self.follow_edges = follow_edges
        self.analyses = tuple(
            replace(
                analysis,
                tree=tree,
                provenance=analysis.provenance
                | {"options": analysis.provenance["options"] | {"follow_edges": follow_edges}},
            )
            for analysis, tree in zip(self.analyses, self.stack.trees, strict=True)
        )

    # Objects

    def object_labels(self) -> Callable[[], np.ndarray]:
        """What makes (planes, rows, columns) objects without those the user dropped, as :meth:`segments`."""
        assert self.objects is not None
        objects = self.objects
        highest = int(objects.max(initial=0))
        keep = np.arange(highest + 1, dtype=label_type(highest))
        keep[sorted(self.dropped)] = 0

        return lambda: keep[objects]

    def object_table(self) -> Columns:
        """One row an object that is there."""
        there = ~np.isin(self.object_rows["label"], sorted(self.dropped))
        return indexed({name: column[there] for name, column in self.object_rows.items()})

    def toggle_object(self, plane: int, row: int, column: int) -> str:
        """Make the object at a pixel background, or one that was dropped there an object again."""
        assert self.objects is not None
        rows, columns = self.source.shape
        number = int(
            self.objects[plane, row * self.objects.shape[1] // rows, column * self.objects.shape[2] // columns]
        )
        if number == 0:
            return "There is no object here."
        self.dropped = self.dropped ^ {number}
        return "Background." if number in self.dropped else "An object again."


def find_all_objects(findings: Findings, report: Any) -> tuple[np.ndarray, Columns]:
    """Objects of every plane, (planes, rows, columns) int32, and their table; takes seconds a plane.

    Numbers are linked from plane to plane if the source's are, else they go on from plane to plane.
    """
    from napari_what_where.planes import find_stack_objects
    from napari_what_where.segments.objects.table import object_table

    source = findings.source
    objects = find_stack_objects(
        findings.analyses, linked=source.linked, outline=source.outline, working=findings.coarse, report=report
    )
    tables = [object_table(labels, analysis) for labels, analysis in zip(objects, findings.analyses, strict=True)]
    return objects, _merged(tables)


def other_trees(findings: Findings, follow_edges: bool, report: Any) -> TreeStack:
    """Trees of all planes with, or without, the image's edges; takes seconds a plane."""
    from napari_what_where.segments.stack import TreeStack
    from napari_what_where.segments.tree import region_tree

    trees = [
        region_tree(
            analysis.embedding,
            findings.source.pixels(number),
            follow_edges=follow_edges,
            report=report,
            what=analysis.what,
            channels=analysis.channels,
            plane=analysis.plane,
        )
        for number, analysis in enumerate(findings.analyses)
    ]
    stack = TreeStack(trees, linked=findings.source.linked)
    stack.features(stack.auto_count)
    return stack


def _within(labels: np.ndarray, outline: np.ndarray | None) -> np.ndarray:
    """Labels (planes, rows, columns), changed in place to 0 outside of the outline."""
    if outline is not None:
        labels[:, ~resized(outline, labels.shape[1:])] = 0
    return labels


def indexed(rows: Columns) -> Columns:
    """The table in the form that a Labels layer wants: column "index" is the label."""
    columns = dict(rows)
    return {"index": columns.pop("label"), **columns}


def _merged(tables: Sequence[Columns]) -> Columns:
    """Tables of several planes as one; of a label on several planes the areas are summed, and the rest is that of
    the plane on which it is largest.
    """
    if len(tables) == 1:
        return tables[0]
    rows = {name: np.concatenate([table[name] for table in tables]) for name in tables[0]}
    plane = np.repeat(np.arange(len(tables)), [len(table["label"]) for table in tables])
    order = np.lexsort((-rows["area"], rows["label"]))
    labels, first, index = np.unique(rows["label"][order], return_index=True, return_inverse=True)
    merged = {name: column[order][first] for name, column in rows.items()}
    merged["label"] = labels
    merged["area"] = np.bincount(index, rows["area"][order]).astype(rows["area"].dtype)
    low, high = np.full(len(labels), len(tables)), np.zeros(len(labels), np.int64)
    np.minimum.at(low, index, plane[order])
    np.maximum.at(high, index, plane[order])
    return merged | {"planes": np.bincount(index), "plane_min": low, "plane_max": high}


def _measured_again(rows: Columns, labels: np.ndarray) -> Columns:
    """The rows of labels that an outline left something of, with the areas and places of what is left."""
    from skimage.measure import regionprops_table

    flat = labels[0] if len(labels) == 1 else labels
    found = regionprops_table(flat, properties=("label", "area", "bbox", "centroid"))
    there = np.isin(rows["label"], found["label"])
    kept = {name: column[there] for name, column in rows.items()}
    order = np.argsort(found["label"])
    first, axes = flat.ndim - 2, flat.ndim
    kept["area"] = found["area"][order].astype(np.int64)
    for offset, name in enumerate(("row", "column")):
        kept[f"bbox_{name}_min"] = found[f"bbox-{first + offset}"][order]
        kept[f"bbox_{name}_max"] = found[f"bbox-{axes + first + offset}"][order]
        kept[f"centroid_{name}"] = found[f"centroid-{first + offset}"][order]
    return kept


def _majority(there: np.ndarray, here: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """Which leaves of one plane of leaves lie mostly on ``marked`` ones of another."""
    inside = marked[here].ravel()
    areas = np.bincount(there.ravel())
    return np.bincount(there.ravel(), inside, minlength=len(areas)) > areas / 2
