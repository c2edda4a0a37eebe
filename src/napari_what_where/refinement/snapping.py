"""Outlines of labels moved to the edges of the image."""

from __future__ import annotations

from collections.abc import Collection
from itertools import pairwise

import numpy as np

from napari_what_where.refinement.edit import Edit, check_labels, edit_at, flat_in, is_among, no_edit
from napari_what_where.refinement.guide import Guide
from napari_what_where.refinement.parts import Box, beside, grown, plane_parts
from napari_what_where.segments.gradients import interpolate_part, squared_gradient
from napari_what_where.segments.objects.shapes import box_of
from napari_what_where.segments.objects.tiled import LARGE, core_tiles
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
    pixel of the band, and 0.2 µs a pixel of the window around the selection; large windows on two cores.
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
    after = _flooded(
        before, _strength(image, labels.shape, box), None if chosen is None else chosen[box], reach, locked
    )
    changed = before != after
    if selected is not None:
        changed &= is_among(before, selected) | is_among(after, selected)
    flat = flat_in(changed, box, labels.shape[1])
    edit = edit_at(labels, flat, after[changed], "", locked=locked)
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
    labels: np.ndarray, strength: np.ndarray, chosen: np.ndarray | None, reach: int, locked: Collection[int]
) -> np.ndarray:
    """The labels with the band around outlines given anew; ``chosen``: where those labels are whose outlines move."""
    depths = _erosions(labels, reach)
    movable = ~_cores(labels, depths)
    if chosen is not None:
        movable &= grown(~depths[1] & grown(chosen, 1), reach - 1)
    unlocked = ~is_among(labels, locked)
    movable &= unlocked
    # Of what stays only the rim floods.
    rim = unlocked & ~movable & beside(movable)
    names, index = np.unique(labels[rim], return_inverse=True)
    markers = np.zeros(labels.shape, np.int32)
    markers[rim] = index + 1
    flooded = _watershed(_level(strength, depths, movable, rim), markers, movable | rim, HALO * reach)
    after = labels.copy()
    reached = np.flatnonzero(movable & (flooded > 0))
    after.reshape(-1)[reached] = names[flooded.reshape(-1)[reached] - 1]
    return after


def _watershed(level: np.ndarray, markers: np.ndarray, mask: np.ndarray, halo: int) -> np.ndarray:
    """The watershed within a mask, of large planes tile by tile: what is to be flooded has markers near."""
    from skimage.segmentation import watershed

    tiles = core_tiles(level.shape) if level.size > LARGE else [Part.whole(level.shape).tile]

    def flood(tile: Tile) -> np.ndarray:
        window = tile.grown(halo, (level.shape[0], level.shape[1]))
        inside = window.rows, window.columns
        flooded = watershed(level[inside], markers[inside], mask=mask[inside])
        return np.ascontiguousarray(flooded[tile.within(window)])

    flooded = np.empty(level.shape, np.int32)
    for tile, part in zip(tiles, map_tiles(flood, tiles, lambda share: None), strict=True):
        flooded[tile.rows, tile.columns] = part
    return flooded


def _level(strength: np.ndarray, depths: list[np.ndarray], movable: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """What is flooded, (rows, columns) float32: strength, and where floods go a low ridge along outlines as they are.

    That ridge decides where there is no edge.
    """
    typical = float(strength[movable].mean()) if movable.any() else 0.0
    flat = np.flatnonzero(movable | rim)
    away = np.sum([each.reshape(-1)[flat] for each in depths[1:]], axis=0, dtype=np.float32)
    level = strength.copy()
    level.reshape(-1)[flat] += np.multiply(PULL * typical or 1.0, 1 - away / len(depths), dtype=np.float32)
    return level


def _erosions(labels: np.ndarray, reach: int) -> list[np.ndarray]:
    """For r = 0 … ``reach`` the pixels that have their own label alone within r pixels, in rows and in columns."""
    same = np.ones(labels.shape, bool)
    for low, high in ((np.s_[:-1], np.s_[1:]), (np.s_[:, :-1], np.s_[:, 1:]), *_DIAGONALS):
        equal = labels[low] == labels[high]
        same[low] &= equal
        same[high] &= equal
    depths = [np.ones(labels.shape, bool), same]
    while len(depths) <= reach:
        depths.append(~grown(~depths[-1], 1))
    return depths


_DIAGONALS = ((np.s_[:-1, :-1], np.s_[1:, 1:]), (np.s_[:-1, 1:], np.s_[1:, :-1]))


def _cores(labels: np.ndarray, depths: list[np.ndarray]) -> np.ndarray:
    """What of each label stays, bool: all that is deep; the middle lines of what is thin; else the innermost pixels.

    Middle lines are the residues of openings (Lantuéjoul 1978), of some length: else they are corners.
    """
    from scipy.ndimage import label

    reach = len(depths) - 1
    thin = np.zeros(labels.shape, bool)
    for wider, narrower in pairwise(depths):
        thin |= wider & ~grown(narrower, 1)
    lines, _ = label(thin, np.ones((3, 3)))
    on_line = np.flatnonzero(thin)
    of_line = lines.reshape(-1)[on_line]
    cores = depths[-1].copy()
    cores.reshape(-1)[on_line[np.bincount(of_line, minlength=1)[of_line] > 2 * reach]] = True
    # Background is a label, too.
    parts = plane_parts(labels if labels.min() > 0 else labels.astype(np.int64) + 1)
    outer = np.flatnonzero(~cores)
    part = parts.numbers.reshape(-1)[outer]
    coreless = np.bincount(part, minlength=len(parts.sizes))[part] == parts.sizes[part]
    without, part = outer[coreless], part[coreless]
    depth = np.sum([each.reshape(-1)[without] for each in depths], axis=0, dtype=np.uint8)
    deepest = np.zeros(len(parts.sizes), np.uint8)
    np.maximum.at(deepest, part, depth)
    cores.reshape(-1)[without[depth == deepest[part]]] = True
    return cores
