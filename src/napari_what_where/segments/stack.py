"""Region trees of one plane or of many: what labels, features and clicks are taken from."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from napari_what_where.progress import Progress, Report, ignore_progress
from napari_what_where.segments.grouping import group_features
from napari_what_where.segments.linking import Overlap, link_images, link_labels, overlap
from napari_what_where.segments.lookup import look_up
from napari_what_where.segments.superpixels import enlarge
from napari_what_where.segments.tree import RegionTree

Masks = Sequence[np.ndarray] | None
"""For each plane which of its leaves are background, (L_p,) bool; or None."""


class TreeStack:
    """The region trees of the planes of a stack, cut alike; a single image is a stack of one.

    Parameters
    ----------
    trees : sequence of RegionTree
        One for each plane, at least one, all of one shape.
    linked : bool
        Whether numbers are carried from plane to plane by overlap (see
        :func:`~napari_what_where.segments.linking.link_labels`). If not, no two planes share a number.

    Raises
    ------
    ValueError
        For no trees, or trees of different shapes.

    Notes
    -----
    ``n`` means what it means to :meth:`RegionTree.labels`, and raises what it raises there: every plane is cut in
    ``n`` regions. ``background`` leaves out leaves, whose pixels get 0; all others keep their numbers.
    """

    def __init__(self, trees: Sequence[RegionTree], linked: bool = False) -> None:
        self.trees = tuple(trees)
        self.linked = bool(linked) and len(self.trees) > 1
        shapes = {(tree.shape, tree.working_leaves.shape) for tree in self.trees}
        if len(shapes) != 1:
            raise ValueError(
                f"Received trees of {len(shapes)} different shapes ({sorted(shapes)}); expected one for all planes. "
                "Make a stack of each shape."
            )
        self._overlaps: dict[tuple[int, int], Overlap] = {}
        self._last: tuple[int, list[np.ndarray]] | None = None

    def __len__(self) -> int:
        return len(self.trees)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(planes, rows, columns) of the images."""
        return (len(self), *self.trees[0].shape)

    @property
    def working_shape(self) -> tuple[int, int, int]:
        """(planes, rows, columns) of the planes on which regions were found."""
        rows, columns = self.trees[0].working_leaves.shape
        return (len(self), rows, columns)

    @property
    def leaf_count(self) -> int:
        """The most regions there can be in a plane."""
        return max(tree.leaf_count for tree in self.trees)

    @cached_property
    def auto_count(self) -> int:
        """A sensible number of regions a plane: the median of the trees' own."""
        return int(np.rint(np.median([tree.auto_count for tree in self.trees])))

    def prepare(self, report: Report = ignore_progress) -> None:
        """Count overlaps, the one thing that takes time (some 20 ms a million pixels), where a caller can wait."""
        if not self.linked:
            return
        for index in range(len(self)):
            report(Progress("linking", index, len(self)))
            for other in range(index + 1, min(index + 3, len(self))):
                self._overlap(index, other)

    def leaf_labels(self, n: int | str = "auto", background: Masks = None) -> list[np.ndarray]:
        """The label of every leaf of each plane: a list of (L_p,) int32.

        Cost: microseconds for one plane or without links; about a millisecond a plane with them.
        """
        tables = self._tables(n)
        if background is None:
            return [table.copy() for table in tables]
        return [np.where(mask, np.int32(0), table) for table, mask in zip(tables, background, strict=True)]

    def labels(self, n: int | str = "auto", background: Masks = None, out: np.ndarray | None = None) -> np.ndarray:
        """Regions of all planes, (planes, rows, columns) int32, or written into ``out``, int32 or uint16, if given.

        Cost: one lookup a pixel; no memory beside the result and one plane. ``out`` has to hold :meth:`highest`.
        """
        out = np.empty(self.shape, np.int32) if out is None else out
        for plane, tree, table in zip(out, self.trees, self.leaf_labels(n, background), strict=True):
            if tree.working_leaves.shape == tree.shape:
                look_up(table, tree.working_leaves, out=plane)
            else:
                small = np.empty(tree.working_leaves.shape, out.dtype)
                enlarge(look_up(table, tree.working_leaves, out=small), tree.shape, out=plane)
        return out

    def working_labels(
        self, n: int | str = "auto", background: Masks = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        """As :meth:`labels`, on the planes on which regions were found: of ``working_shape``."""
        out = np.empty(self.working_shape, np.int32) if out is None else out
        for plane, tree, table in zip(out, self.trees, self.leaf_labels(n, background), strict=True):
            look_up(table, tree.working_leaves, out=plane)
        return out

    def highest(self, n: int | str = "auto") -> int:
        """The largest label of any plane, with nothing called background. Cost: as :meth:`leaf_labels`."""
        return max(int(table.max()) for table in self._tables(n))

    def features(self, n: int | str = "auto", background: Masks = None) -> dict[str, np.ndarray]:
        """Measures of the regions, one row for each label that is there, ascending; columns by name.

        Those of :meth:`RegionTree.features`, of all planes' pixels together. For several planes also "planes", how
        many the label is in, and "plane_min" and "plane_max", the first and the last of them, from 0; "kind" is
        then that of most area. Cost: about a millisecond a plane of 1,500 leaves, 60 of 80,000; for one plane
        without background under a millisecond.
        """
        if len(self) == 1 and background is None:
            return self.trees[0].features(n)  # the same, looked up
        return group_features(self.trees, self.leaf_labels(n, background))

    def leaf_at(self, plane: int, row: int, column: int) -> int | None:
        """The leaf under a pixel of the image, None outside; ``plane`` from 0."""
        position = (plane, row, column)
        if not all(0 <= place < size for place, size in zip(position, self.shape, strict=True)):
            return None
        leaves = self.trees[plane].working_leaves
        # As nearest_index has it for a whole axis.
        place = [min(int((at + 0.5) * few / many), few - 1) for at, few, many in zip(
            (row, column), leaves.shape, self.shape[1:], strict=True
        )]  # fmt: skip
        return int(leaves[place[0], place[1]])

    def region_leaves(self, n: int | str, plane: int, leaf: int, background: Masks = None) -> list[np.ndarray]:
        """Background masks with the region that holds ``leaf`` of ``plane`` added to ``background``.

        All leaves of its label: in every plane where numbers are linked, else in that plane. Without ``background``
        the region alone. Inputs are not changed. Returns a list of (L_p,) bool.
        """
        tables = self._tables(n)
        label = tables[plane][leaf]
        masks = [table == label for table in tables]
        return masks if background is None else [
            mask | already for mask, already in zip(masks, background, strict=True)
        ]  # fmt: skip

    def link_images(self, labels: np.ndarray) -> np.ndarray:
        """Number label images of the planes, (planes, rows, columns) int with 0 for background, as regions are.

        Linked by overlap, or so that no two planes share a number. Returns int32 of the same shape.
        """
        if self.linked:
            return link_images(labels)
        offsets = np.cumsum([0, *(plane.max() for plane in labels[:-1])])
        return np.where(labels > 0, labels + offsets[:, None, None], 0).astype(np.int32)

    def _tables(self, n: int | str) -> list[np.ndarray]:
        """Labels of all leaves without background, not to be written to; those asked for last are kept."""
        count: Any = self.auto_count if isinstance(n, str) and n == "auto" else n
        tables = [tree.leaf_labels(count) for tree in self.trees]
        if len(self) == 1:
            return tables
        if self._last is None or self._last[0] != int(count):
            self._last = int(count), self._link(tables) if self.linked else _made_unique(tables)
        return self._last[1]

    def _link(self, tables: list[np.ndarray]) -> list[np.ndarray]:
        steps = [[self._overlap(index, index + step) for index in range(len(self) - step)] for step in (1, 2)]
        return link_labels(steps[0], tables, bridges=steps[1])

    def _overlap(self, first: int, second: int) -> Overlap:
        """Of the leaves of two planes, counted once."""
        if (first, second) not in self._overlaps:
            leaves = self.trees[first].working_leaves, self.trees[second].working_leaves
            self._overlaps[first, second] = overlap(*leaves)
        return self._overlaps[first, second]


def _made_unique(tables: list[np.ndarray]) -> list[np.ndarray]:
    """Each plane's labels go on where those of the one before ended."""
    offsets = np.cumsum([0, *(table.max() for table in tables[:-1])])
    return [(table + offset).astype(np.int32) for table, offset in zip(tables, offsets, strict=True)]
