"""The outlines of labels along the edges of their pixels: exact, with holes, valid for every reader of polygons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from napari_what_where.progress import OFTEN, checkpoint


class Part(NamedTuple):
    """One connected part of a label; pixels that touch in a corner only are not connected.

    ``shell``: (corners, 2) integers, x before y: corners of pixels, so that pixel (row, column) covers
    [column, column + 1] × [row, row + 1]; not closed, and with the part on the right as seen on the screen. ``holes``:
    likewise, the other way round. No ring meets a corner twice; two of them may touch in one. ``pixel``: (row, column)
    of one of its pixels, in the plane that was traced.
    """

    label: int
    shell: np.ndarray
    holes: tuple[np.ndarray, ...]
    pixel: tuple[int, int]


def trace_parts(plane: np.ndarray, *, offset: tuple[int, int] = (0, 0)) -> list[Part]:
    """The connected parts of all labels of a (rows, columns) plane, by label; 0 is background.

    ``offset``: (row, column) of its first pixel. Every edge of a pixel that lies between two parts is walked along once
    for each, with the part on the right; where two pixels of a part meet in a corner only, the walk stays with its own,
    so that rings never cross. Cost: a pass over the plane, then some microseconds a corner.
    """
    from skimage.measure import label as label_parts

    parts = np.pad(label_parts(plane.astype(np.int64), background=0, connectivity=1), 1)
    edges = _edges(parts)
    if not len(edges):
        return []
    width = parts.shape[1]
    after = np.searchsorted(edges, _followers(parts.ravel(), edges, width))
    corners = np.flatnonzero(edges % 4 != edges[after] % 4)
    follower = _next_corner(after, corners)
    rows, columns, sides = edges[corners] // 4 // width - 1, edges[corners] // 4 % width - 1, edges[corners] % 4
    # Where an edge ends: top ones on the right, right ones at the bottom, and so on.
    x, y = columns + (sides < 2), rows + ((sides == 1) | (sides == 2))
    owner = parts.ravel()[edges[corners] // 4].tolist()
    vertices = np.stack([x + offset[1], y + offset[0]], axis=1)
    keys = (x + y * width).tolist()
    rings: dict[int, list[list[int]]] = {}
    for walk in _walks(follower):
        rings.setdefault(owner[walk[0]], []).extend(_simple_rings(walk, keys))
    firsts = [walks[0][0] for walks in rings.values()]
    pixels = zip(rows[firsts].tolist(), columns[firsts].tolist(), strict=True)
    labels = plane[rows[firsts], columns[firsts]].tolist()
    made = [
        _assemble(label, pixel, [vertices[ring] for ring in walks])
        for label, pixel, walks in zip(labels, pixels, rings.values(), strict=True)
    ]
    return sorted(made, key=lambda part: part.label)


def cut_open(part: Part, plane: np.ndarray, *, offset: tuple[int, int] = (0, 0)) -> list[np.ndarray]:
    """The part as (corners, 2) rings without holes that together cover it exactly, and each other nowhere.

    ``plane`` and ``offset`` are those that it was traced with. A part without holes is its shell; another is cut along
    columns, as few as meet every hole.
    """
    if not part.holes:
        return [part.shell]
    from skimage.measure import label as label_parts

    shift = np.array([offset[1], offset[0]])
    left, top = part.shell.min(axis=0) - shift
    right, bottom = part.shell.max(axis=0) - shift
    window = plane[top:bottom, left:right] == part.label
    own = label_parts(window, connectivity=1)
    own = own == own[part.pixel[0] - top, part.pixel[1] - left]
    cuts = _stabs([(ring[:, 0].min(), ring[:, 0].max()) for ring in part.holes])
    strips = 1 + np.searchsorted(np.array(cuts) - shift[0] - left, np.arange(own.shape[1]), side="right")
    pieces = trace_parts(np.where(own, strips, 0), offset=(int(top + offset[0]), int(left + offset[1])))
    return [piece.shell for piece in pieces]


def _stabs(spans: Sequence[tuple[int, int]]) -> list[int]:
    """As few numbers as meet every half-open span [low, high), ascending."""
    chosen: list[int] = []
    for low, high in sorted(spans, key=lambda span: span[1]):
        if not chosen or chosen[-1] < low:
            chosen.append(int(high) - 1)
    return chosen


def _edges(parts: np.ndarray) -> np.ndarray:
    """4 · pixel + side (top, right, bottom, left) of all edges of parts, ascending; padded pixels count from 0."""
    width = parts.shape[1]
    beyond = (np.s_[:-2, 1:-1], np.s_[1:-1, 2:], np.s_[2:, 1:-1], np.s_[1:-1, :-2])
    inner = parts[1:-1, 1:-1]
    found = []
    for side, neighbours in enumerate(beyond):
        rows, columns = np.nonzero((inner != parts[neighbours]) & (inner > 0))
        found.append(4 * ((rows + 1) * width + columns + 1) + side)
    return np.sort(np.concatenate(found))


def _followers(parts: np.ndarray, edges: np.ndarray, width: int) -> np.ndarray:
    """The edge after each, on the walk with the part on the right: right where it ends, left where it blocks."""
    pixel, side = edges // 4, edges % 4
    ahead = pixel + np.array([1, width, -1, -width])[side]
    beside = ahead + np.array([-width, 1, width, -1])[side]
    ends = parts[ahead] != parts[pixel]
    blocks = ~ends & (parts[beside] == parts[pixel])
    goal = np.where(ends, pixel, np.where(blocks, beside, ahead))
    turn = np.where(ends, 1, np.where(blocks, 3, 0))
    return 4 * goal + (side + turn) % 4


def _next_corner(after: np.ndarray, corners: np.ndarray) -> list[int]:
    """For each corner the index of the next one, by doubling steps along straight lines."""
    goal = after.copy()
    goal[corners] = corners
    while True:
        further = goal[goal]
        if np.array_equal(further, goal):
            break
        goal = further
    index: list[int] = np.searchsorted(corners, goal[after[corners]]).tolist()
    return index


def _walks(follower: list[int]) -> Iterator[list[int]]:
    """The cycles of a permutation."""
    walked = bytearray(len(follower))
    for start in range(len(follower)):
        if start % OFTEN == 0:
            checkpoint()
        if walked[start]:
            continue
        walk, corner = [], start
        while not walked[corner]:
            walked[corner] = 1
            walk.append(corner)
            corner = follower[corner]
        yield walk


def _simple_rings(walk: list[int], keys: list[int]) -> list[list[int]]:
    """A walk that meets some corners twice as several that do not: a hole that touches the outline is split off.

    ``keys``: where each corner lies, as a number.
    """
    if len({keys[corner] for corner in walk}) == len(walk):
        return [walk]
    place: dict[int, int] = {}
    path: list[int] = []
    rings = []
    for corner in walk:
        start = place.setdefault(keys[corner], len(path))
        if start < len(path):
            rings.append(path[start:])
            for passed in path[start + 1 :]:
                del place[keys[passed]]
            del path[start + 1 :]
        else:
            path.append(corner)
    return [*rings, path]


def _assemble(label: int, pixel: tuple[int, int], rings: Sequence[np.ndarray]) -> Part:
    if len(rings) == 1:
        return Part(label, rings[0], (), pixel)
    (shell,) = [ring for ring in rings if doubled_area(ring) > 0]
    return Part(label, shell, tuple(ring for ring in rings if ring is not shell), pixel)


def doubled_area(ring: np.ndarray) -> int:
    """Twice the area of an open (corners, 2) ring, negative for holes."""
    x, y = ring[:, 0].astype(np.int64), ring[:, 1].astype(np.int64)
    return int(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
