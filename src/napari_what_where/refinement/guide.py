"""What is prepared once for an image, so that every click takes milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress
from napari_what_where.refinement.nodes import leaf_order, node_areas, node_boxes, node_colours, node_parents
from napari_what_where.segments.leaves import node_means
from napari_what_where.segments.superpixels import nearest_index
from napari_what_where.segments.tree import RegionTree
from napari_what_where.working_plane.lazy_channels import PlaneChannels

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

Box = tuple[slice, slice]

COLOUR_WEIGHT = 0.5
"""Of colours beside *what* coordinates, both in units of their spread over the image."""
LEAST_WHAT, LEAST_COLOUR = 0.1, 0.02
"""Less spread than this is rounding and noise, and not made more of."""


@dataclass(frozen=True, eq=False)
class Guide:
    """A region tree brought to the grid of a plane of labels, of the image's extent and any resolution.

    With L leaves there are 2 L − 1 nodes: the leaves 0 … L − 1, then the merges. Leaves are put in an order in which
    those of any node follow each other, so that sums over nodes are differences of cumulated sums.

    Attributes
    ----------
    shape : (rows, columns)
        Of the plane of labels.
    tree : RegionTree
    means : (2 L − 1, coordinates) float32
        Mean *what* coordinates of each node, see :func:`~napari_what_where.segments.leaves.node_means`.
    colours : (2 L − 1, channels) float32
        Mean channels of each node; (2 L − 1, 0) where the analysis has none.
    areas : (2 L − 1,) int64
        Pixels of each node in the plane of labels: 0 for some where that is coarse.
    order, first, last : (L,), (2 L − 1,), (2 L − 1,) int64
        The leaves of node n are ``order[first[n]:last[n]]``.
    parents : (2 L − 1,) int64
        The node that each is merged into; −1 for the root, the last.
    boxes : (2 L − 1, 4) int64
        First row, first column, one past the last row and column of a window that holds each node: the smallest, where
        labels are no coarser than the plane that was worked on.
    channels : (rows, columns, channels) float32 of the plane that was worked on, whole or lazily, or None.
    """

    shape: tuple[int, int]
    tree: RegionTree
    means: np.ndarray
    colours: np.ndarray
    areas: np.ndarray
    order: np.ndarray
    first: np.ndarray
    last: np.ndarray
    parents: np.ndarray
    boxes: np.ndarray
    channels: PlaneChannels | None = None

    @property
    def leaf_count(self) -> int:
        """L."""
        return self.tree.leaf_count

    @property
    def root(self) -> int:
        """The node that is everything."""
        return 2 * self.leaf_count - 2

    def check(self, labels: np.ndarray) -> None:
        """``ValueError`` where labels have another shape than the guide was made for."""
        if labels.shape != self.shape:
            raise ValueError(
                f"The labels have shape {labels.shape}; the guide was made for {self.shape}. "
                f"Make one for them: make_guide(analysis, {labels.shape})."
            )

    @property
    def leaves(self) -> np.ndarray:
        """The leaf of each pixel of the plane of labels, (rows, columns) int32. Made anew: prefer windows."""
        return self.leaves_in((slice(0, self.shape[0]), slice(0, self.shape[1])))

    def leaves_in(self, box: Box) -> np.ndarray:
        """The leaf of each pixel in a window with ``start`` and ``stop``, int32; may be a view: do not write to it."""
        return self._window(self.tree.working_leaves, box)

    def positions_in(self, box: Box) -> np.ndarray:
        """As :meth:`leaves_in`, the place 0 … L − 1 of each pixel's leaf in ``order``."""
        return self._window(self._positions, box)

    def holds(self, node: int, positions: np.ndarray) -> np.ndarray:
        """Whether a node holds leaves at ``positions``, an array of any shape; bool."""
        return (positions >= self.first[node]) & (positions < self.last[node])

    def counted(self, flat: np.ndarray) -> np.ndarray:
        """Pixels at flat indices of the plane of labels, counted by the place of their leaf in ``order``, (L,)."""
        (rows, columns), (row, column) = self._nearest, np.divmod(flat, self.shape[1])
        return np.bincount(self._positions[rows[row], columns[column]], minlength=self.leaf_count)

    def leaf_at(self, at: tuple[int, int]) -> int:
        """The leaf under a pixel (row, column)."""
        rows, columns = self._nearest
        return int(self.tree.working_leaves[rows[at[0]], columns[at[1]]])

    def path(self, at: tuple[int, int]) -> list[int]:
        """The nodes that hold a pixel (row, column), from its leaf to the root."""
        path = [self.leaf_at(at)]
        while (parent := int(self.parents[path[-1]])) >= 0:
            path.append(parent)
        return path

    def children(self, node: int) -> tuple[int, int]:
        """The two that were merged into ``node``, which is no leaf."""
        first, second = self.tree.children[node - self.leaf_count].tolist()
        return first, second

    def box(self, node: int, margin: int = 0) -> Box:
        """The window around a node, wider by ``margin`` pixels where there is image."""
        top, left, bottom, right = self.boxes[node].tolist()
        return (
            slice(max(top - margin, 0), min(bottom + margin, self.shape[0])),
            slice(max(left - margin, 0), min(right + margin, self.shape[1])),
        )

    def summed(self, by_position: np.ndarray) -> np.ndarray:
        """Sums over each node of what leaves hold, (L,) in ``order`` → (2 L − 1,)."""
        total = np.concatenate([np.zeros(1, by_position.dtype), np.cumsum(by_position)])
        return total[self.last] - total[self.first]

    @cached_property
    def features(self) -> np.ndarray:
        """Dimensionless coordinates in which regions are alike or not, (2 L − 1, coordinates + channels) float32.

        *What* coordinates and colours, each in units of their own spread over the image, colours at
        ``COLOUR_WEIGHT``.
        """
        groups = ((self.means, 1.0, LEAST_WHAT), (self.colours, COLOUR_WEIGHT, LEAST_COLOUR))
        spreads = [max(self._spread(values), least) for values, _, least in groups]
        scales = [np.float32(weight / spread) for (_, weight, _), spread in zip(groups, spreads, strict=True)]
        parts = [values * scale for (values, _, _), scale in zip(groups, scales, strict=True)]
        return np.concatenate(parts, axis=1)

    def _spread(self, values: np.ndarray) -> float:
        """Root mean square distance of leaves, by area, from their mean."""
        areas, leaves = self.areas[: self.leaf_count], values[: self.leaf_count].astype(np.float64)
        total = max(float(areas.sum()), 1.0)
        return float(np.sqrt(areas @ ((leaves - areas @ leaves / total) ** 2).sum(axis=1) / total))

    @cached_property
    def _positions(self) -> np.ndarray:
        position = np.empty(self.leaf_count, np.int32)
        position[self.order] = np.arange(self.leaf_count)
        return position[self.tree.working_leaves]

    @cached_property
    def _nearest(self) -> tuple[np.ndarray, np.ndarray]:
        """The working row of each row of labels, and the working column of each column."""
        rows, columns = (
            nearest_index(own, working) for own, working in zip(self.shape, self.tree.working_leaves.shape, strict=True)
        )
        return rows, columns

    def _window(self, plane: np.ndarray, box: Box) -> np.ndarray:
        if plane.shape == self.shape:
            return plane[box]
        rows, columns = (nearest[side] for nearest, side in zip(self._nearest, box, strict=True))
        if not (len(rows) and len(columns)):
            return np.zeros((len(rows), len(columns)), plane.dtype)
        # Few rows are made wide, and whole rows then repeated. Indices are within bounds; "clip" spares a buffer.
        block = plane[rows[0] : rows[-1] + 1]
        return np.take(np.take(block, columns, axis=1, mode="clip"), rows - rows[0], axis=0, mode="clip")


def make_guide(analysis: Analysis, shape: tuple[int, int] | None = None, report: Report = ignore_progress) -> Guide:
    """Prepare an analysed image for refining labels of it.

    Parameters
    ----------
    analysis : Analysis
    shape : (rows, columns), optional
        Of the plane of labels; by default that of the image.
    report : function of a Progress
        Called often; may raise ``Cancelled``.

    Notes
    -----
    Cost: half a second for a plane of 1024² working pixels with 16 eigenvectors; no more for a larger ``shape``.
    Memory: two int32 planes of the working size.
    """
    tree, embedding = analysis.tree, analysis.what or analysis.embedding
    rows, columns = tree.shape if shape is None else shape
    report(Progress("guide", 0, 100))
    with checkpoints(report, Progress("guide", 5, 100)):
        first, last, order = leaf_order(tree.children)
        areas = node_areas(tree, (rows, columns))
    means = node_means(
        tree.working_leaves, tree.children, embedding, analysis.plane, lambda _: report(Progress("guide", 20, 100))
    )
    colours = node_colours(analysis, lambda share: report(Progress("guide", 60 + int(30 * share), 100)))
    guide = Guide(
        (int(rows), int(columns)), tree, means, colours, areas, order, first, last, node_parents(tree.children),
        node_boxes(tree, (rows, columns)), analysis.channels,
    )  # fmt: skip
    with checkpoints(report, Progress("guide", 90, 100)):
        guide.positions_in((slice(0, 1), slice(0, 1)))
        _ = guide.features
    report(Progress("guide", 100, 100))
    return guide
