"""Outlines of labels moved to the edges of the image."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from napari_what_where.refinement.edit import Edit, check_labels, edit_at, is_among, no_edit
from napari_what_where.refinement.guide import Guide
from napari_what_where.refinement.parts import Box, beside, grown, plane_parts
from napari_what_where.segments.gradients import interpolate_part, squared_gradient
from napari_what_where.segments.objects.shapes import box_of
from napari_what_where.segments.objects.tiled import core_tiles
from napari_what_where.working_plane.lazy_channels import PlaneChannels
from napari_what_where.working_plane.object_scale import Part, Tile
from napari_what_where.working_plane.tiling import map_tiles

REACH = 6
SIGMA = 1.0
"""Pixels by which the image is blurred before its gradient is taken."""
PULL = 0.1
"""Height of the ridge along an outline as it is, in mean squared gradients of the band."""
HALO = 8
"""Reaches around a tile beyond which nothing matters to what is flooded in it."""
TILED = 2**19
"""Windows of more pixels are worked on tile by tile."""
MARGIN = 5
"""Pixels around a window that its gradient depends on."""


def snap_to_edges(
    labels: np.ndarray,
    image: Guide | np.ndarray,
    selected: Collection[int] | None = None,
    *,
    reach: int = REACH,
    locked: Collection[int] = (),
) -> Edit:
    """Let the outlines of labels follow the edges of the image, where these are near.

    A band of ``reach`` pixels on either side of each outline is given anew, by the watershed of the image's gradient
    from what is left of every label, background among them. Where a label is thinner than that, what remains is its
    middle line, and of what has none the innermost pixels, so that nothing vanishes.

    Parameters
    ----------
    labels : (rows, columns) int ≥ 0
    image : Guide, or (rows, columns[, channels]) array
        A guide gives edges as fine as the plane on which the image was analysed; the image itself all that it has.
    selected : labels, optional
        Whose outlines are moved; by default all.
    reach : int ≥ 1
    locked : labels
        That neither change nor grow; 0 for background.

    Raises
    ------
    ValueError
        For an image of another shape, a guide of an analysis that did not follow edges, or a reach below 1.

    Notes
    -----
    Deterministic. Where there is no edge, an outline stays where it is, but for its sharpest corners. Cost: 1 µs a
    pixel of the band, and 0.05 µs a pixel of the window around the selection; large windows on two cores.
    """
    labels = check_labels(labels)
    if reach < 1:
        raise ValueError(f"The reach is {reach}; expected at least 1 pixel.")
    _check_image(labels, image)
    chosen = None if selected is None else is_among(labels, [each for each in selected if each not in locked])
    if labels.size == 0 or (chosen is not None and not chosen.any()):
        return no_edit("There is no outline to move.")
    everything: Box = (slice(0, labels.shape[0]), slice(0, labels.shape[1]))
    box = everything if chosen is None else box_of(chosen, margin=2 * reach + 1)
    before = labels[box]
    with ThreadPoolExecutor(1) as pool:  # while the band is found
        strength = pool.submit(_strength, image, labels.shape, box)
        flat, after = _flooded(before, strength, None if chosen is None else chosen[box], reach, locked)
    row, column = np.divmod(flat, before.shape[1])
    old = before[row, column]
    moved = old != after
    if selected is not None:
        moved &= is_among(old, selected) | is_among(after, selected)
    places = (row[moved] + box[0].start) * labels.shape[1] + column[moved] + box[1].start
    edit = edit_at(labels, places, after[moved], "", locked=locked)
    said = (
        f"{len(edit.flat):,} pixels went to the other side of an outline." if edit else "Outlines are on edges already."
    )
    return Edit(edit.flat, edit.values, said)


def _check_image(labels: np.ndarray, image: Guide | np.ndarray) -> None:
    if isinstance(image, Guide):
        image.check(labels)
        if image.channels is None:
            raise ValueError("This analysis did not look at the image's edges. Run it with edges followed.")
    elif np.ndim(image) not in (2, 3) or np.shape(image)[:2] != labels.shape:
        raise ValueError(f"The image has shape {np.shape(image)}; expected the rows and columns of {labels.shape}.")


def _strength(image: Guide | np.ndarray, shape: tuple[int, ...], box: Box) -> np.ndarray:
    """Squared gradient of the image in a window, (rows, columns) float32."""
    tile = Tile(box[0].start, box[0].stop, box[1].start, box[1].stop)
    whole = shape[0], shape[1]
    if isinstance(image, Guide):
        assert image.channels is not None
        channels: PlaneChannels = image.channels
    else:
        channels = np.asarray(image).reshape(*whole, -1)
    working = channels.shape[0], channels.shape[1]
    inner = tile if working == whole else _scaled(tile, whole, working)
    outer = inner.grown(MARGIN, working)
    squared = squared_gradient(np.asarray(channels[outer.rows, outer.columns], np.float32), SIGMA)
    if working == whole:
        return squared[inner.within(outer)]
    return interpolate_part(squared[..., None], Part(outer, working), Part(tile, whole))[..., 0]


def _scaled(tile: Tile, own: tuple[int, int], working: tuple[int, int]) -> Tile:
    """The pixels of a plane of shape ``working`` that a tile of one of shape ``own`` touches, and one more."""
    low = [first * fine // coarse for first, fine, coarse in zip((tile.top, tile.left), working, own, strict=True)]
    high = [
        -(-last * fine // coarse) for last, fine, coarse in zip((tile.bottom, tile.right), working, own, strict=True)
    ]
    return Tile(low[0], high[0], low[1], high[1]).grown(1, working)


def _flooded(
    labels: np.ndarray, strength: Future[np.ndarray], chosen: np.ndarray | None, reach: int, locked: Collection[int]
) -> tuple[np.ndarray, np.ndarray]:
    """The band around outlines given anew: sorted flat indices of its pixels, and their labels.

    ``chosen``: where those labels are whose outlines move, (rows, columns) bool.
    """
    depth, lines = _depths(labels, reach)
    movable = ~_cores(labels, depth, lines, reach)
    if chosen is not None:
        movable &= grown((depth == 0) & grown(chosen, 1), reach - 1)
    if len(locked):
        movable &= ~is_among(labels, locked)
    # Of what stays only the rim floods.
    rim = beside(movable)
    rim &= ~movable
    if len(locked):
        rim &= ~is_among(labels, locked)
    names, index = np.unique(labels[rim], return_inverse=True)
    markers = np.zeros(labels.shape, np.int32)
    markers[rim] = index + 1
    level = _level(strength.result(), depth, reach, movable, rim)
    flooded = _watershed(level, markers, movable | rim, HALO * reach)
    flat = np.flatnonzero(movable & (flooded > 0))
    return flat, names[flooded.reshape(-1)[flat] - 1]


def _watershed(level: np.ndarray, markers: np.ndarray, mask: np.ndarray, halo: int) -> np.ndarray:
    """The watershed within a mask, of large planes tile by tile: what is to be flooded has markers near."""
    from skimage.segmentation import watershed

    def flood(tile: Tile) -> np.ndarray:
        window = tile.grown(halo, (level.shape[0], level.shape[1]))
        inside = window.rows, window.columns
        flooded = watershed(level[inside], markers[inside], mask=mask[inside])
        return np.ascontiguousarray(flooded[tile.within(window)])

    flooded, tiles = np.empty(level.shape, np.int32), _tiles(level.shape)
    for tile, part in zip(tiles, map_tiles(flood, tiles, lambda share: None), strict=True):
        flooded[tile.rows, tile.columns] = part
    return flooded


def _tiles(shape: tuple[int, ...]) -> list[Tile]:
    """Parts of large planes, on several cores; small ones whole."""
    return core_tiles(shape) if shape[0] * shape[1] > TILED else [Part.whole((shape[0], shape[1])).tile]


def _level(strength: np.ndarray, depth: np.ndarray, reach: int, movable: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """What is flooded, (rows, columns) float32, where floods go: strength and a low ridge along outlines as they are.

    That ridge decides where there is no edge.
    """
    typical = float(strength[movable].mean()) if movable.any() else 0.0
    flat = np.flatnonzero(movable | rim)
    away = depth.reshape(-1)[flat].astype(np.float32)
    level = np.zeros(strength.shape, np.float32)
    ridge = np.multiply(PULL * typical or 1.0, 1 - away / (reach + 1), dtype=np.float32)
    level.reshape(-1)[flat] = strength.reshape(-1)[flat] + ridge
    return level


def _depths(labels: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """How deep each pixel is in its label, (rows, columns) uint, and whether it is on a middle line, bool.

    The depth is the largest r up to ``reach`` such that all within r pixels, in rows and in columns, have its label.
    Middle lines are the residues of openings (Lantuéjoul 1978): what is less deep than ``reach``, and nothing beside
    it deeper.
    """
    kind = np.min_scalar_type(reach)

    def look(tile: Tile) -> tuple[np.ndarray, np.ndarray]:
        window = tile.grown(reach + 2, (labels.shape[0], labels.shape[1]))
        inside = tile.within(window)
        mine = np.ascontiguousarray(labels[window.rows, window.columns])
        near = _differing(mine)
        depth = np.zeros(mine.shape, kind)
        for _ in range(reach):
            depth += ~near
            near = grown(near, 1)
        return depth[inside], _is_highest(depth)[inside] & (depth[inside] < reach)

    tiles = _tiles(labels.shape)
    depth, lines = np.empty(labels.shape, kind), np.empty(labels.shape, bool)
    for tile, (deep, line) in zip(tiles, map_tiles(look, tiles, lambda share: None), strict=True):
        depth[tile.rows, tile.columns] = deep
        lines[tile.rows, tile.columns] = line
    return depth, lines


def _differing(labels: np.ndarray) -> np.ndarray:
    """Pixels with another label beside them or at a corner, bool."""
    differing = np.zeros(labels.shape, bool)
    for low, high in (*_SIDES, *_DIAGONALS):
        unlike = labels[low] != labels[high]
        differing[low] |= unlike
        differing[high] |= unlike
    return differing


def _is_highest(values: np.ndarray) -> np.ndarray:
    """Whether nothing beside a pixel or at its corners is larger, bool."""
    highest = values.copy()
    for low, high in _SIDES:  # one after the other, corners among them
        before = highest.copy()
        np.maximum(highest[low], before[high], out=highest[low])
        np.maximum(highest[high], before[low], out=highest[high])
    return values == highest


_SIDES = ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]))
_DIAGONALS = ((np.s_[:-1, :-1], np.s_[1:, 1:]), (np.s_[:-1, 1:], np.s_[1:, :-1]))


def _cores(labels: np.ndarray, depth: np.ndarray, lines: np.ndarray, reach: int) -> np.ndarray:
    """What of each label stays, bool: all that is deep; the middle lines of what is thin; else the innermost pixels.

    Lines of some length: else they are corners.
    """
    from scipy.ndimage import label

    numbers, _ = label(lines, np.ones((3, 3)))
    on_line = np.flatnonzero(lines)
    line = numbers.reshape(-1)[on_line]
    cores = depth == reach
    cores.reshape(-1)[on_line[np.bincount(line, minlength=1)[line] > 2 * reach]] = True
    # Background is a label, too.
    parts = plane_parts(labels if labels.min() > 0 else labels.astype(np.int64) + 1)
    outer = np.flatnonzero(~cores)
    part = parts.numbers.reshape(-1)[outer]
    coreless = np.bincount(part, minlength=len(parts.sizes))[part] == parts.sizes[part]
    without, part = outer[coreless], part[coreless]
    deepest = np.zeros(len(parts.sizes), depth.dtype)
    np.maximum.at(deepest, part, depth.reshape(-1)[without])
    cores.reshape(-1)[without[depth.reshape(-1)[without] == deepest[part]]] = True
    return cores
