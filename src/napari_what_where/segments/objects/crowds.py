"""Crowds: many small objects that are brighter or darker than what is between them."""

from __future__ import annotations

import numpy as np

from napari_what_where.progress import checkpoint
from napari_what_where.segments.objects.basins import MOST_BASINS, BasinTree, basin_tree, noise_level
from napari_what_where.segments.objects.selection import best_disjoint
from napari_what_where.segments.objects.shapes import RING, Bounds, Candidate, assess

SMOOTHING = 1.0
"""Standard deviation in pixels."""
DEPTH, NOISE_DEPTH = 0.02, 4.0
"""Least depth of a basin: of the plane's range, and in standard deviations of its noise once smoothed."""
LEVELS = 48
MOST_MEMBERS = 16
"""What joins more basins than this is left to the region tree."""


def basin_candidates(
    plane: np.ndarray,
    bounds: Bounds,
    *,
    cut_necks: bool = True,
    noise: float | None = None,
    most: int = MOST_BASINS,
    focus: tuple[slice, slice] | None = None,
) -> list[Candidate]:
    """The best disjoint candidates among what is bright in a (rows, columns) float32 plane of range about [0, 1].

    Of each node of the basin tree, the part above the level at which the plane is steepest; of these, the disjoint
    ones of best mean quality. ``cut_necks``: also try to cut them where they are narrow. ``noise``: the standard
    deviation of the plane's noise, where it is not to be measured in the plane; ``most``: basins; ``focus``: what
    lies outside of it is no candidate. Cost: about 1 ms a basin, twice that with necks.
    """
    from scipy.ndimage import gaussian_filter, gaussian_gradient_magnitude

    smooth = gaussian_filter(plane, SMOOTHING)
    steep = gaussian_gradient_magnitude(plane, SMOOTHING)
    # White noise of unit variance keeps 1/(2 √π σ) of its standard deviation.
    noise = (noise_level(plane) if noise is None else noise) / (2 * np.sqrt(np.pi) * SMOOTHING)
    tree = basin_tree(smooth, max(DEPTH, NOISE_DEPTH * noise), most)
    nodes = _basin_nodes(tree, smooth, steep, bounds, cut_necks, focus)
    qualities = np.array([0.0 if node is None else node.quality for node in nodes])
    areas = np.array([0 if node is None else node.area for node in nodes])
    chosen = (nodes[i] for i in best_disjoint(tree.children, qualities, areas))
    return [node for node in chosen if node is not None]


def _basin_nodes(
    tree: BasinTree,
    smooth: np.ndarray,
    steep: np.ndarray,
    bounds: Bounds,
    cut_necks: bool,
    focus: tuple[slice, slice] | None,
) -> list[Candidate | None]:
    """The candidate of each node of the tree; None where there is none."""
    members, boxes = _basin_members(tree)
    count = len(tree.children) + 1
    nodes: list[Candidate | None] = []
    for node, (inside, box) in enumerate(zip(members, boxes, strict=True)):
        if node % 16 == 0:
            checkpoint()
        top = tree.saddles[node - count] if node >= count else np.inf
        if inside is None or (focus is not None and not _meets(box, focus)):
            nodes.append(None)
            continue
        box = _with_margin(box, smooth.shape)
        labels = tree.labels[box]
        basin = np.isin(labels, inside) if len(inside) > 1 else labels == inside[0]
        mask = _above_steepest(smooth[box], steep[box], basin, float(top))
        if mask is None or not bounds.least <= np.count_nonzero(mask) <= bounds.most:
            nodes.append(None)
        else:
            nodes.append(assess(smooth[box][..., None], mask, box, bounds.least, cut_necks=cut_necks))
    return nodes


def _meets(box: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(one.start < two.stop and two.start < one.stop for one, two in zip(box, other, strict=True))


def _basin_members(tree: BasinTree) -> tuple[list[list[int] | None], list[tuple[slice, slice]]]:
    """Labels of the basins below each node, None where there are too many, and each node's bounding box."""
    from scipy.ndimage import find_objects

    boxes = list(find_objects(tree.labels))
    members: list[list[int] | None] = [[label] for label in range(1, len(boxes) + 1)]
    for first, second in tree.children.tolist():
        one, other = members[first], members[second]
        few = one is not None and other is not None and len(one) + len(other) <= MOST_MEMBERS
        members.append(one + other if few else None)  # type: ignore[operator]
        pairs = zip(boxes[first], boxes[second], strict=True)
        boxes.append(tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in pairs))
    return members, boxes


def _with_margin(box: tuple[slice, slice], shape: tuple[int, ...], margin: int = RING) -> tuple[slice, slice]:
    rows, columns = (
        slice(max(side.start - margin, 0), min(side.stop + margin, length))
        for side, length in zip(box, shape, strict=True)
    )
    return rows, columns


def _above_steepest(smooth: np.ndarray, steep: np.ndarray, basin: np.ndarray, top: float) -> np.ndarray | None:
    """The largest part of ``basin`` above the level of greatest mean gradient, at most ``top``; without holes."""
    from scipy.ndimage import binary_fill_holes, label

    level = steepest_level(smooth[basin], steep[basin], top)
    if level is None:
        return None
    parts, count = label(basin & (smooth >= level))
    if count > 1:
        parts = parts == np.bincount(parts.ravel())[1:].argmax() + 1
    return binary_fill_holes(parts)


def steepest_level(values: np.ndarray, gradients: np.ndarray, top: float) -> float | None:
    """The level, at most ``top``, on whose level set the mean gradient is greatest; None where all are equal.

    ``values`` and ``gradients``, (pixels,), of a plane and of its gradient magnitude. A level set along a step edge
    that a Gaussian has blurred is steepest half way up (Marr & Hildreth 1980).
    """
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-6:
        return None
    index = np.minimum(((values - low) / (high - low) * LEVELS).astype(np.int64), LEVELS - 1)
    counts = np.convolve(np.bincount(index, minlength=LEVELS), [1, 2, 1], "same")
    sums = np.convolve(np.bincount(index, gradients, minlength=LEVELS), [1, 2, 1], "same")
    levels = low + (np.arange(LEVELS) + 0.5) * (high - low) / LEVELS
    # Few pixels say nothing about a level.
    means = np.where((counts >= 8) & (levels <= top), sums / np.maximum(counts, 1), -1.0)
    return float(levels[means.argmax()]) if means.max() >= 0 else None
