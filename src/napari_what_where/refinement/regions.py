"""Regions made one, and one made two along the region tree."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_what_where.refinement.edit import (
    FEW,
    Edit,
    check_click,
    check_labels,
    edit_at,
    edit_where,
    flat_in,
    free_labels,
    is_among,
    no_edit,
)
from napari_what_where.refinement.growth import Growth
from napari_what_where.refinement.guide import Box, Guide
from napari_what_where.refinement.parts import largest_part, masked, parts_of, runs_of

__all__ = ["Growth", "merge", "split"]

LEAST_PIXELS, LEAST_SHARE = 4, 0.01
"""What is less than this, of a region, is a speck: no part that it could be divided into."""
MOST_NECKS = 2**21
"""Pixels of the largest window in which necks are looked for."""


def merge(
    labels: np.ndarray, members: Collection[int], *, into: int | None = None, locked: Collection[int] = ()
) -> Edit:
    """Give several regions one label.

    Parameters
    ----------
    labels : (rows, columns) int ≥ 0
        0 is background.
    members : labels
        Those that are not in the plane are passed over.
    into : int, optional
        The label that all get; by default that of the largest, of equal ones the lowest.
    locked : labels
        That never change.

    Raises
    ------
    ValueError
        If background or a locked label is among them.

    Notes
    -----
    Cost: two comparisons of the plane for each of up to eight members; for more, two lookups and 10 ns a pixel.
    """
    labels = check_labels(labels)
    wanted = sorted({int(member) for member in members})
    asked = {*wanted, *(() if into is None else (int(into),))}
    if any(member <= 0 for member in asked):
        raise ValueError("Background is no object and can not be merged. Choose labels above 0.")
    if held := sorted(asked & {int(label) for label in locked}):
        raise ValueError(f"{_named(held)} locked. Unlock first, or choose others.")
    sizes = _sizes(labels, wanted)
    present = [member for member in wanted if sizes[member]]
    if len(present) == 0 or (len(present) == 1 and into in (None, present[0])):
        return no_edit("Nothing to merge: choose at least two objects.", present[0] if present else None)
    target = max(present, key=lambda member: (sizes[member], -member)) if into is None else int(into)
    where = is_among(labels, [member for member in present if member != target])
    return edit_where(labels, where, target, f"{len(present)} objects are now object {target}.", target)


def _sizes(labels: np.ndarray, wanted: list[int]) -> dict[int, int]:
    """Pixels of each label."""
    if len(wanted) <= FEW:
        return {label: int(np.count_nonzero(is_among(labels, [label]))) for label in wanted}
    runs = runs_of(labels)
    of_run = labels.reshape(-1)[runs.start]
    mine = is_among(of_run, wanted)
    names, index = np.unique(of_run[mine], return_inverse=True)
    sizes = np.bincount(index, runs.length[mine], minlength=len(names)).astype(int)
    return dict.fromkeys(wanted, 0) | dict(zip(names.tolist(), sizes.tolist(), strict=True))


def _named(labels: list[int]) -> str:
    if len(labels) == 1:
        return f"Object {labels[0]} is"
    return f"Objects {', '.join(map(str, labels[:-1]))} and {labels[-1]} are"


def split(
    labels: np.ndarray,
    at: tuple[int, int],
    guide: Guide,
    *,
    locked: Collection[int] = (),
    free: int | None = None,
) -> Edit:
    """Divide the region under a pixel in two; again, and it goes deeper.

    Of a label in several 4-connected parts, the part under the pixel first becomes a region of its own, if another
    part counts beside it. A connected region is divided along the tree: down from the root, restricted to the
    region's own pixels, to the first merge of two sides that both count. Both halves are 4-connected; what touches
    only one of them stays with it. Where the tree has nothing to offer, the region is cut at a neck of its outline.
    To count is to have ``LEAST_PIXELS`` and ``LEAST_SHARE`` of the region, so that specks are never what is split off.
    The larger half keeps the label, of equal ones that which comes first.

    Parameters
    ----------
    labels : (rows, columns) int ≥ 0, of the guide's shape
    at : (row, column)
    locked : labels
        That never change.
    free : int, optional
        The first label that is free, for a caller who knows more than this plane; by default the largest plus 1.

    Raises
    ------
    ValueError
        If the pixel or the guide is not of this plane, or the dtype holds no further label.

    Notes
    -----
    Cost: some 40 ns a pixel of the region's bounding box.
    """
    labels, at = check_click(labels, at)
    guide.check(labels)
    label = int(labels[at])
    if label == 0:
        return no_edit("This is background; click an object to split it.", 0)
    if label in locked:
        return no_edit(f"Object {label} is locked.", label)
    found = masked(labels, label)
    assert found is not None
    box, mask = found
    inner = at[0] - box[0].start, at[1] - box[1].start
    parts = parts_of(mask)
    part = parts.at(inner) if parts.total > 1 else mask
    whole, one, how = mask, part, "was in parts"
    if parts.total == 1 or not _stands_apart(mask, part):
        whole, how = part, "was divided"
        half = _along_tree(part, box, guide)
        if half is None:
            half, how = _at_neck(part, inner), "was cut at a neck"
        if half is None:
            return no_edit(f"Nothing is left to split in object {label}.", label)
        one = half
    new = int(free_labels(labels, 1, taken=locked, first=free)[0])
    smaller = _smaller(whole, one)
    said = f"Object {label} {how}: object {new} is new."
    return edit_at(labels, flat_in(smaller, box, labels.shape[1]), new, said, label, locked)


def _counts(mask: np.ndarray) -> int:
    """How many pixels count beside those of a mask."""
    return max(LEAST_PIXELS, int(np.ceil(LEAST_SHARE * np.count_nonzero(mask))))


def _stands_apart(mask: np.ndarray, part: np.ndarray) -> bool:
    """Whether ``part`` and the largest other part of ``mask`` both count."""
    others = largest_part(mask & ~part)
    return bool(np.count_nonzero(part) >= LEAST_PIXELS and np.count_nonzero(others) >= _counts(part))


def _smaller(whole: np.ndarray, one: np.ndarray) -> np.ndarray:
    """``one`` or the rest of ``whole``, whichever is smaller; of equal ones that which comes last."""
    rest = whole & ~one
    sizes = np.count_nonzero(one), np.count_nonzero(rest)
    if sizes[0] == sizes[1]:
        return rest if one.ravel().argmax() < rest.ravel().argmax() else one
    return one if sizes[0] < sizes[1] else rest


def _along_tree(mask: np.ndarray, box: Box, guide: Guide) -> np.ndarray | None:
    """One half of a connected mask, at the highest merge that divides it; None if there is none."""
    positions, least = guide.positions_in(box), _counts(mask)
    inside = guide.summed(np.bincount(positions[mask], minlength=guide.leaf_count))
    node = guide.root
    while node >= guide.leaf_count and inside[node] >= 2 * least:
        small, large = sorted(guide.children(node), key=lambda child: (inside[child], child))
        if inside[small] >= least:
            near = _common(guide.box(small), box)
            first = largest_part(mask[near] & guide.holds(small, positions[near]))
            half = _cut_out(mask, near, first, least)
            if half is None and np.count_nonzero(first) >= least:
                half = _half(mask, _placed(first, near, mask.shape), mask & guide.holds(large, positions), least)
            if half is not None:
                return half
        node = large
    return None


def _common(box: Box, window: Box) -> Box:
    """What a box and a window have in common, counted from the window's corner."""
    rows, columns = (
        slice(max(side.start - edge.start, 0), max(min(side.stop, edge.stop) - edge.start, 0))
        for side, edge in zip(box, window, strict=True)
    )
    return rows, columns


def _placed(part: np.ndarray, box: Box, shape: tuple[int, ...]) -> np.ndarray:
    whole = np.zeros(shape, bool)
    whole[box] = part
    return whole


def _cut_out(mask: np.ndarray, box: Box, part: np.ndarray, least: int) -> np.ndarray | None:
    """A connected part, in a box, of a connected mask as a half of it, if it is plain that the rest is connected.

    That is, if it is so close around the part: every part of the rest touches it.
    """
    size = np.count_nonzero(part)
    if not least <= size <= np.count_nonzero(mask) - least:
        return None
    half = _placed(part, box, mask.shape)
    around = _grown(box, mask.shape)
    return half if parts_of(mask[around] & ~half[around]).total == 1 else None


def _grown(box: Box, shape: tuple[int, ...]) -> Box:
    rows, columns = (
        slice(max(side.start - 1, 0), min(side.stop + 1, length)) for side, length in zip(box, shape, strict=True)
    )
    return rows, columns


def _at_neck(mask: np.ndarray, at: tuple[int, int]) -> np.ndarray | None:
    """One half of a connected mask, cut at a neck: that about the pixel, else the smallest; None without a neck."""
    from napari_what_where.segments.objects.shapes import cut_at_necks

    least = _counts(mask)
    if mask.size > MOST_NECKS or np.count_nonzero(mask) < 2 * least:
        return None
    pieces = sorted(cut_at_necks(mask, least), key=lambda piece: (not piece[at], np.count_nonzero(piece)))
    return next((half for piece in pieces if (half := _half(mask, piece, mask & ~piece, least)) is not None), None)


def _half(mask: np.ndarray, one: np.ndarray, other: np.ndarray, least: int) -> np.ndarray | None:
    """A half of a connected ``mask`` that is connected, as is the rest; None where one of them does not count.

    The largest part of ``one`` is cut out; of what remains, the part that has most of ``other`` is the other half, and
    all that hangs on the first goes with it.
    """
    first = largest_part(one)
    if np.count_nonzero(first) < least:
        return None
    rest = parts_of(mask & ~first)
    if rest.total == 0:
        return None
    shares = np.bincount(rest.numbers[other], minlength=rest.total + 1)
    shares[0] = 0
    second = rest.numbers == shares.argmax()
    if shares.max() == 0 or np.count_nonzero(second) < least:
        return None
    return mask & ~second
