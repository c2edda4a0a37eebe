"""Leaves that were found tile by tile, made whole at the seams."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from napari_what_where.working_plane.object_scale import Tile
from napari_what_where.working_plane.tiling import map_tiles


class _Pieces(NamedTuple):
    """The 4-connected pieces of leaves within one tile: their leaves and areas, (pieces,), and which of them, from 0,
    are along its sides: top, bottom, left, right.
    """

    leaves: np.ndarray
    areas: np.ndarray
    sides: tuple[np.ndarray, ...]


def join_seams(leaves: np.ndarray, tiles: Sequence[Tile], report: Callable[[float], None]) -> int:
    """Make every leaf of a (rows, columns) int plane 4-connected again, in place.

    Neighbouring tiles may disagree on where a leaf ends. Of each leaf the largest part stays; pixels that it has
    elsewhere go to the leaf beside them.

    Parameters
    ----------
    leaves : (rows, columns) int32, ids ≥ 0
        Each tile's pieces of a leaf may be any.
    tiles : sequence of Tile
        That cover the plane once, such that seams run through all of it, as
        :attr:`~napari_what_where.working_plane.object_scale.WorkingPlane.tiles` do.
    report : function of the share that is done
        May raise.

    Returns
    -------
    int
        How many pixels changed.

    Notes
    -----
    Cost: one labelling of connected components, some 40 ns a pixel; nothing for one tile.
    """
    if len(tiles) < 2:
        return 0
    pieces = list(map_tiles(lambda tile: _pieces(leaves, tile), tiles, report))
    first = np.cumsum([0, *(len(each.leaves) for each in pieces)])
    owner = np.concatenate([each.leaves for each in pieces])
    areas = np.concatenate([each.areas for each in pieces])
    stray = _strays(owner, areas, _links(leaves.shape, tiles, pieces, first, owner))
    changed = []
    for index, tile in enumerate(tiles):
        loose = stray[first[index] : first[index + 1]]
        if loose.any():
            rows, columns = np.nonzero(loose[_label(leaves, tile)])
            changed.append(np.stack([rows + tile.top, columns + tile.left]))
    if not changed:
        return 0
    places = np.concatenate(changed, axis=1)
    _give_away(leaves, places)
    return places.shape[1]


def _label(leaves: np.ndarray, tile: Tile) -> np.ndarray:
    """The piece, from 0 on, of each pixel of a tile."""
    from skimage.measure import label

    return label(leaves[tile.rows, tile.columns] + 1, connectivity=1, background=0) - 1


def _pieces(leaves: np.ndarray, tile: Tile) -> _Pieces:
    piece = _label(leaves, tile)
    areas = np.bincount(piece.ravel())
    owner = np.empty(len(areas), np.int64)
    owner[piece.ravel()] = leaves[tile.rows, tile.columns].ravel()
    return _Pieces(owner, areas, (piece[0].copy(), piece[-1].copy(), piece[:, 0].copy(), piece[:, -1].copy()))


def _links(
    shape: tuple[int, ...], tiles: Sequence[Tile], pieces: list[_Pieces], first: np.ndarray, owner: np.ndarray
) -> np.ndarray:
    """Pairs of pieces of one leaf that meet across a seam, (2, links)."""
    lines: dict[tuple[int, int], np.ndarray] = {}
    for tile, each, start in zip(tiles, pieces, first[:-1], strict=True):
        keys = (0, tile.top), (0, tile.bottom - 1), (1, tile.left), (1, tile.right - 1)
        for (axis, at), side in zip(keys, each.sides, strict=True):
            line = lines.setdefault((axis, at), np.zeros(shape[1 - axis], np.int64))
            line[tile.rows if axis else tile.columns] = side + start
    across = [
        np.stack([before, line])
        for (axis, at), line in lines.items()
        if (before := lines.get((axis, at - 1))) is not None and _is_seam(tiles, axis, at)
    ]
    pairs = np.concatenate(across, axis=1)
    return np.unique(pairs[:, owner[pairs[0]] == owner[pairs[1]]], axis=1)


def _is_seam(tiles: Sequence[Tile], axis: int, at: int) -> bool:
    """Whether tiles begin here; a tile that is one pixel thin has its first and last line next to each other."""
    return any((tile.left if axis else tile.top) == at for tile in tiles)


def _strays(owner: np.ndarray, areas: np.ndarray, links: np.ndarray) -> np.ndarray:
    """Which pieces are not part of the largest connected part of their leaf, (pieces,) bool."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(owner)
    graph = coo_array((np.ones(links.shape[1], np.int8), (links[0], links[1])), shape=(count, count))
    parts, part = connected_components(graph, directed=False)
    sizes = np.bincount(part, areas, minlength=parts)
    leaf = np.empty(parts, np.int64)
    leaf[part] = owner
    # The largest part of each leaf comes first.
    order = np.lexsort((-sizes, leaf))
    stays = np.zeros(parts, bool)
    stays[order[np.diff(leaf[order], prepend=-1) != 0]] = True
    return ~stays[part]


def _give_away(leaves: np.ndarray, places: np.ndarray) -> None:
    """Give each of the (2, pixels) ``places`` to a leaf beside it, those at the outside first."""
    leaves[places[0], places[1]] = -1
    last = np.array(leaves.shape)[:, None] - 1
    while places.shape[1]:
        gained = np.full(places.shape[1], -1, leaves.dtype)
        for step in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            row, column = np.clip(places + np.array(step)[:, None], 0, last)
            gained = np.where(gained < 0, leaves[row, column], gained)
        leaves[places[0], places[1]] = gained
        places = places[:, gained < 0]
