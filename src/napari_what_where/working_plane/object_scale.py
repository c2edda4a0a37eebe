"""From the smallest object of interest to the plane that is worked on: its size, its leaves, its tiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from napari_what_where.grids import fit_within, lattice

WORKING_SIZE = 1024
"""Longest side in pixels of the plane on which an image is analysed as one view; larger ones are averaged to it."""
VIEW_LEAVES = 1500
"""Leaves of one view."""
HALO = 7.0
"""Sides of a leaf beyond which nothing changes what is measured, and next to nothing where a leaf ends. The widest
chain of Gaussians is that of coarse textures, 1.9 + 1.8 + 2.4 sides, and a cell or two of the coarse plane on which
gradients are taken."""
OBJECT_SPAN = 24.0
"""Working pixels across the smallest object: finer detail than that does not tell objects apart."""
LEAVES_ACROSS = 2.0
"""Sides of a leaf across the smallest object."""
FEWEST_LEAVES, MOST_LEAVES = 100, 80_000
"""Fewer leaves cannot follow outlines; more take longer to merge than anyone waits, 0.2 s a thousand."""
MOST_PIXELS = MOST_LEAVES * WORKING_SIZE**2 // VIEW_LEAVES
"""Working pixels: no more to a leaf than a square view has."""
LEAST_LEAF = 9.0
"""Working pixels of the smallest leaves that are asked for."""
TILE_SIDE = 1536
"""Longest side, about, of a tile in working pixels; planes of no more than a tile's area are worked on as a whole."""


@dataclass(frozen=True)
class Tile:
    """A block of pixels of a plane: rows ``top`` … ``bottom`` − 1 and columns ``left`` … ``right`` − 1."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def rows(self) -> slice:
        """Its rows in the plane."""
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        """Its columns in the plane."""
        return slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.bottom - self.top, self.right - self.left

    def grown(self, halo: int, shape: tuple[int, int]) -> Tile:
        """With ``halo`` more pixels on each side, as far as a plane of ``shape`` has them."""
        return Tile(
            max(self.top - halo, 0),
            min(self.bottom + halo, shape[0]),
            max(self.left - halo, 0),
            min(self.right + halo, shape[1]),
        )

    def within(self, window: Tile) -> tuple[slice, slice]:
        """Where the tile lies in an array that holds the pixels of ``window``."""
        return (
            slice(self.top - window.top, self.bottom - window.top),
            slice(self.left - window.left, self.right - window.left),
        )


class Part(NamedTuple):
    """Which pixels of a plane of ``shape`` an array holds: those of ``tile``."""

    tile: Tile
    shape: tuple[int, int]

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Part:
        """All pixels of a (rows, columns, …) array."""
        return cls(Tile(0, shape[0], 0, shape[1]), (shape[0], shape[1]))


@dataclass(frozen=True)
class WorkingPlane:
    """The plane on which an image is analysed.

    Attributes
    ----------
    shape : (rows, columns)
        In working pixels; never larger than the image.
    leaves : int
        Most leaves of the region tree.
    tile_side : int
        About the longest side of a tile, in working pixels.
    view : bool
        Whether the image is analysed as one view, without regard to the size of its objects.
    """

    shape: tuple[int, int]
    leaves: int = VIEW_LEAVES
    tile_side: int = TILE_SIDE
    view: bool = True

    @property
    def pixels(self) -> int:
        """Working pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def leaf_side(self) -> float:
        """Side of a leaf in working pixels, at least 1."""
        return max(1.0, math.sqrt(self.pixels / self.leaves))

    @cached_property
    def tiles(self) -> tuple[Tile, ...]:
        """Tiles that cover the plane exactly once, in raster order; each holds whole cells of the leaves' lattice."""
        if self.pixels <= self.tile_side**2:
            return (Tile(0, self.shape[0], 0, self.shape[1]),)
        rows, columns = (
            _cuts(length, cells, self.tile_side)
            for length, cells in zip(self.shape, lattice(self.shape, self.leaves), strict=True)
        )
        return tuple(
            Tile(top, bottom, left, right) for top, bottom in pairwise(rows) for left, right in pairwise(columns)
        )

    @property
    def halo(self) -> int:
        """Pixels around a tile that are worked on with it, ``HALO`` leaves' sides and some for differences."""
        return math.ceil(HALO * self.leaf_side) + 4

    def describe(self) -> dict[str, Any]:
        """For a provenance: JSON-ready."""
        return {"shape": list(self.shape), "leaves": self.leaves, "tiles": len(self.tiles)}


def plan_plane(
    shape: tuple[int, int], smallest_object: float | None = None, *, tile_side: int = TILE_SIDE
) -> WorkingPlane:
    """The plane on which an image of ``shape`` (rows, columns) is analysed, instantly.

    An object of ``smallest_object`` pixels of the image across spans ``OBJECT_SPAN`` working pixels and
    ``LEAVES_ACROSS`` leaves, as far as the image has the pixels and ``MOST_LEAVES`` and ``MOST_PIXELS`` allow.
    A plane is never smaller than one view (``WORKING_SIZE``), so that large objects keep fine outlines: they get
    fewer leaves instead. ``None`` is one view of the whole image.

    Raises as :func:`check_smallest_object`.
    """
    size = check_smallest_object(smallest_object)
    longest, area = max(shape), shape[0] * shape[1]
    if size is None:
        return WorkingPlane(fit_within(shape, WORKING_SIZE), tile_side=tile_side)
    size = min(size, float(longest))
    wanted = max(WORKING_SIZE, longest * min(1.0, OBJECT_SPAN / size))
    affordable = longest * math.sqrt(MOST_PIXELS / area)
    plane = fit_within(shape, math.floor(min(wanted, max(affordable, WORKING_SIZE))))
    most = min(MOST_LEAVES, max(FEWEST_LEAVES, plane[0] * plane[1] / LEAST_LEAF))
    leaves = round(min(max(area * (LEAVES_ACROSS / size) ** 2, FEWEST_LEAVES), most))
    return WorkingPlane(plane, leaves, tile_side, view=False)


def check_smallest_object(smallest_object: Any) -> float | None:
    """A diameter in pixels as a float, or None; else ``TypeError`` or ``ValueError`` in words."""
    if smallest_object is None:
        return None
    wanted = "expected a diameter in pixels of the image, for example 24, or None for the whole view"
    if isinstance(smallest_object, (bool, np.bool_, str)):
        raise TypeError(f"smallest_object is {smallest_object!r}; {wanted}.")
    try:
        size = float(smallest_object)
    except (TypeError, ValueError):
        raise TypeError(f"smallest_object is {type(smallest_object).__name__}; {wanted}.") from None
    if not math.isfinite(size) or size <= 0:
        raise ValueError(f"smallest_object is {smallest_object!r}; {wanted}.")
    return size


def _cuts(length: int, cells: int, side: int) -> list[int]:
    """Where tiles of up to about ``side`` pixels begin and end along an axis: at the borders of whole cells."""
    pieces = min(math.ceil(length / side), cells)
    # The first pixel of cell c is the first whose centre lies in it.
    borders = [math.ceil(round(cells * piece / pieces) * length / cells - 0.5) for piece in range(pieces + 1)]
    return [*borders[:-1], length]
