"""A crowd of small objects in a plane that is too large to be looked at as a whole."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from napari_what_where.grids import area_mean
from napari_what_where.progress import Progress, Report, checkpoint
from napari_what_where.segments.objects.basins import MOST_BASINS, noise_level
from napari_what_where.segments.objects.crowds import DEPTH, basin_candidates
from napari_what_where.segments.objects.meeting import meet_by_tiles
from napari_what_where.segments.objects.shapes import Bounds, Candidate, box_of
from napari_what_where.segments.objects.whole import CROWD, DOUBT, half_shape, mean_standing
from napari_what_where.working_plane.lazy_channels import PlaneChannels
from napari_what_where.working_plane.object_scale import Tile
from napari_what_where.working_plane.tiling import map_tiles

LARGE = 2**21
"""Planes of more pixels are worked on tile by tile."""
SAMPLES, SAMPLE_SIDE = 4, 384
"""What is decided once is decided on so many windows along each side of the plane, of so many pixels: 2.4 million."""
CORE = 512
"""Side of the part of a tile whose objects are its own. Smaller ones repeat more work, larger ones answer late."""
LEAST_MARGIN, MOST_MARGIN = 48, 384
"""Pixels around it, …"""
REACH, LARGE_QUANTILE = 1.5, 0.98
"""… so many times the length of the large objects of the sample, those of this quantile."""
OVERLAP, SPARE_OVERLAP = 0.5, 0.1
"""What is covered to this share by objects of the tiles before it has been found; a spare one, to that share."""


class Choice(NamedTuple):
    """What is decided once for all tiles: the ``channel``, whether it is turned over (``dark`` objects), its ``noise``
    and the ``margin`` of tiles.
    """

    channel: int
    dark: bool
    noise: float
    margin: int

    def plane(self, channels: PlaneChannels, window: Tile) -> np.ndarray:
        """The plane in which objects are bright, (rows, columns) float32 of a window."""
        values = channels[window.rows, window.columns][..., self.channel]
        return 1 - values if self.dark else values


class Found(NamedTuple):
    """What one tile offers, boxes in the whole plane: its ``own`` objects, and ``spare`` ones, centred in a neighbour,
    which may have missed them.
    """

    own: list[Candidate]
    spare: list[Candidate]


def tiled_crowd(channels: PlaneChannels, bounds: Bounds, quality: float, report: Report) -> np.ndarray | None:
    """As :func:`~napari_what_where.segments.objects.whole.whole_crowd`, from overlapping tiles: (rows, columns) int32.

    Whether there is a crowd, in which channel, how bright, how noisy and how large, is decided once, from windows all
    over the plane. An object belongs to the tile whose core holds its centroid. Where two tiles disagree the first one
    has it; what no tile holds to be its own is taken from the one that saw it. Two tiles are worked on at a time.

    Cost: about 1 ms a basin, 0.5 µs a pixel; memory: two int32 planes and some tens of megabytes.
    """
    choice = choose(channels, bounds, quality, _share(report, 0.0, 0.1))
    if choice is None:
        return None
    shape = channels.shape[:2]
    labels, count, spare = np.zeros(shape, np.int32), 0, list[Candidate]()

    def search(tile: Tile) -> Found:
        return tile_candidates(channels, choice, tile, bounds, quality)

    for found in map_tiles(search, core_tiles(shape), _share(report, 0.1, 0.85)):
        count = paint_free(labels, found.own, count, OVERLAP)
        spare += found.spare
    paint_free(labels, spare, count, SPARE_OVERLAP)
    return meet_by_tiles(
        labels, lambda window: choice.plane(channels, window), core_tiles(shape), _share(report, 0.85, 1.0)
    )


def choose(channels: PlaneChannels, bounds: Bounds, quality: float, report: Callable[[float], None]) -> Choice | None:
    """What the windows of a sample say of the plane; None if it has no crowd."""
    windows = sample_windows(channels.shape[:2])
    samples = [channels[window.rows, window.columns] for window in windows]
    quarter, count = bounds.quartered(), channels.shape[2]
    noises, standing = [], []
    for channel in range(count):
        planes = [sample[..., channel] for sample in samples]
        small = [area_mean(plane[..., None], half_shape(plane.shape))[..., 0] for plane in planes]
        noise = typical_noise(small)
        noises.append(typical_noise(planes))
        for dark in (False, True):
            report((2 * channel + dark) / (2 * count + 2))
            found = [
                each
                for plane, window in zip(small, windows, strict=True)
                for each in basin_candidates(1 - plane if dark else plane, quarter, cut_necks=False, noise=noise)
                if not _is_cut(each, plane.shape, window, channels.shape)
            ]
            standing.append(mean_standing(found, quality))
    best = int(np.argmax(standing))
    if standing[best] < DOUBT * CROWD:
        return None
    choice = Choice(best // 2, bool(best % 2), noises[best // 2], 0)
    report(2 * count / (2 * count + 2))
    candidates = [
        each
        for window in windows
        for each in basin_candidates(choice.plane(channels, window), bounds, noise=choice.noise)
        if each.quality >= quality and not _is_cut(each, window.shape, window, channels.shape)
    ]
    if mean_standing(candidates, quality) < CROWD:
        return None
    extents = [max(side.stop - side.start for side in _tight(each)) for each in candidates]
    reach = REACH * float(np.quantile(extents, LARGE_QUANTILE))
    return choice._replace(margin=int(np.clip(reach, LEAST_MARGIN, MOST_MARGIN)))


def sample_windows(shape: tuple[int, ...]) -> list[Tile]:
    """Windows at even distances, none meeting another, about as many whatever the aspect of the plane."""
    fit = [max(1, length // SAMPLE_SIDE) for length in shape[:2]]
    rows = min(SAMPLES, fit[0])
    columns = min(max(SAMPLES**2 // rows, 1), fit[1])
    rows = min(SAMPLES**2 // columns, fit[0])
    spans = []
    for length, number in zip(shape[:2], (rows, columns), strict=True):
        side = min(SAMPLE_SIDE, length)
        first = [round((index + 0.5) * length / number - side / 2) for index in range(number)]
        spans.append([(start, start + side) for start in first])
    return [Tile(*vertical, *horizontal) for vertical in spans[0] for horizontal in spans[1]]


def typical_noise(planes: list[np.ndarray]) -> float:
    """Median of their noise levels, of those that show anything at all: blank margins have none."""
    levels = [noise_level(plane) for plane in planes if np.ptp(plane) > DEPTH]
    return float(np.median(levels)) if levels else 0.0


def core_tiles(shape: tuple[int, ...]) -> list[Tile]:
    """Tiles of about ``CORE`` pixels a side that cover the plane once, in raster order."""
    rows, columns = (
        np.linspace(0, length, max(1, round(length / CORE)) + 1).round().astype(int).tolist() for length in shape[:2]
    )
    return [Tile(top, bottom, left, right) for top, bottom in pairwise(rows) for left, right in pairwise(columns)]


def tile_candidates(channels: PlaneChannels, choice: Choice, tile: Tile, bounds: Bounds, quality: float) -> Found:
    """The candidates of sufficient quality in and around one tile."""
    shape = channels.shape[0], channels.shape[1]
    window = tile.grown(choice.margin, shape)
    focus = tile.grown(choice.margin // 2, shape)
    plane = choice.plane(channels, window)
    checkpoint()
    # Objects of the least area could fill the window: so many basins are told apart at any rate.
    most = max(MOST_BASINS, round(plane.size / bounds.least))
    found = Found([], [])
    for each in basin_candidates(plane, bounds, noise=choice.noise, most=most, focus=focus.within(window)):
        if each.quality < quality:
            continue
        placed = each._replace(box=(_shifted(each.box[0], window.top), _shifted(each.box[1], window.left)))
        if _centred_in(placed, tile):
            found.own.append(placed)
        elif not _is_cut(each, plane.shape, window, shape):
            found.spare.append(placed)
    return found


def paint_free(labels: np.ndarray, candidates: list[Candidate], count: int, overlap: float) -> int:
    """Paint candidates, or their pieces, where nothing is yet; not those that are covered to more than ``overlap``.

    ``labels`` is changed; ``count``: the last number used, before; returned, after.
    """
    for found in candidates:
        region = labels[found.box]
        free = region == 0
        if np.count_nonzero(found.mask & ~free) > overlap * found.area:
            continue
        for piece in found.pieces or (found.mask,):
            count += 1
            region[piece & free] = count
    return count


def _shifted(side: slice, by: int) -> slice:
    return slice(side.start + by, side.stop + by)


def _tight(found: Candidate) -> tuple[slice, slice]:
    """The bounding box of a candidate's mask in its plane."""
    rows, columns = box_of(found.mask)
    return _shifted(rows, found.box[0].start), _shifted(columns, found.box[1].start)


def _centred_in(found: Candidate, tile: Tile) -> bool:
    rows, columns = np.nonzero(found.mask)
    row, column = found.box[0].start + rows.mean() + 0.5, found.box[1].start + columns.mean() + 0.5
    return bool(tile.top <= row < tile.bottom and tile.left <= column < tile.right)


def _is_cut(found: Candidate, size: tuple[int, ...], window: Tile, shape: tuple[int, ...]) -> bool:
    """Whether a candidate, found in a window at any resolution, ``size``, goes on beyond it as far as can be told.

    That is, whether it meets a side of the window that is none of the plane, of ``shape``.
    """
    rows, columns = _tight(found)
    return (
        (rows.start == 0 < window.top)
        or (columns.start == 0 < window.left)
        or (rows.stop == size[0] and window.bottom < shape[0])
        or (columns.stop == size[1] and window.right < shape[1])
    )


def _share(report: Report, first: float, last: float) -> Callable[[float], None]:
    """A report of the share done of one part of the search."""
    return lambda share: report(Progress("objects", round(1000 * (first + (last - first) * share)), 1000))
