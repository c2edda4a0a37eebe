"""Objects: what stands apart from its surroundings, as one label image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.grids import area_mean
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress
from napari_what_where.segments.features import Recipe
from napari_what_where.segments.objects.crowds import basin_candidates
from napari_what_where.segments.objects.regions import leaf_features, region_objects
from napari_what_where.segments.objects.shapes import Bounds, Candidate, outline_share
from napari_what_where.segments.superpixels import enlarge

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

SMALLEST_SHARE, SMALLEST = 5e-5, 9.0
"""Least area of an object: of the image, and in pixels of the plane on which objects are found."""
CROWD = 0.39
"""Small objects make the image if on average they stand apart this well. Measured: six plates of nuclei, two of other
micrographs and plant cells .41–.52; photographs and tissue at most .36."""
CROWD_QUALITY, REGION_QUALITY = 0.2, 0.5
DOUBT = 0.75
"""On a plane of half the size the same is measured this well."""
TILED = 0.15
"""Objects tile the plane if no more of it is further from them than half their radius (plant cells .03; nuclei .45)."""


def find_objects(
    analysis: Analysis,
    *,
    smallest_area: float | None = None,
    largest: float = 0.5,
    touching_border: bool = True,
    overlap: float = 0.7,
    quality: float | None = None,
    report: Report = ignore_progress,
) -> np.ndarray:
    """The objects of an analysed image: (rows, columns) int32, 0 for background, each number one 4-connected object.

    After the instance recipe of Zhang, Yunis & Maire 2024 (section 4.3: components of k-means with 2 to 9 clusters,
    an agglomerative tree, filters of size and border, silhouettes, suppression of overlaps), with one question
    before it: does the image hold many small objects, brighter or darker than what is between them? Then they are
    found pixel by pixel, in the channel and polarity in which they stand apart best
    (:func:`~napari_what_where.segments.objects.crowds.basin_candidates`), and if they tile the plane they grow until
    they meet. If not, the objects are regions of the tree and of k-means
    (:func:`~napari_what_where.segments.objects.regions.region_objects`).

    Parameters
    ----------
    analysis : Analysis
        As :func:`~napari_what_where.analyze` returns it.
    smallest_area : float, optional
        In pixels of the image; by default 1/20,000 of it, and never less than 9 of the plane that is worked on
        (at most 1024 pixels a side).
    largest : float
        Greatest share of the image, above 0 and up to 1.
    touching_border : bool
        Off, no object may touch the border of the image; on, none may hold more than a quarter of it.
    overlap : float
        Of two regions with a greater IoU only the better is a candidate, 0 … 1.
    quality : float, optional
        Least quality of an object, 0 … 1: how it differs from its surroundings, as a silhouette, times the fourth
        power of how convex it is, for regions the second. By default 0.2 for many small ones, whose pixels are noisy,
        and 0.5 for regions.
    report : function of a Progress
        Called often; may raise ``Cancelled``.

    Raises
    ------
    TypeError, ValueError
        If ``analysis`` is none, or an option is out of its range.

    Notes
    -----
    Deterministic. Numbers run from top to bottom and left to right. Cost: one to three seconds for 512² pixels on one
    core, of which colour takes the longer, and at most about ten for larger ones, which are worked on at 1024 pixels.
    """
    _check(analysis, smallest_area, largest, overlap, quality)
    leaves, shape = analysis.tree.working_leaves, analysis.tree.shape
    shrink = leaves.size / (shape[0] * shape[1])
    least = SMALLEST_SHARE * leaves.size if smallest_area is None else smallest_area * shrink
    bounds = Bounds(max(SMALLEST, least), largest * leaves.size, 0.25 if touching_border else 0.0)
    with checkpoints(report, Progress("objects", 0, 0)):
        labels = None
        if analysis.channels is not None:
            labels = _crowd(analysis.channels, bounds, CROWD_QUALITY if quality is None else quality, report)
        if labels is None:
            labels = _regions(analysis, leaves, bounds, REGION_QUALITY if quality is None else quality, overlap)
        return enlarge(_tidy(labels, bounds), shape)


def _check(analysis: Any, smallest_area: Any, largest: float, overlap: float, quality: Any) -> None:
    if not (hasattr(analysis, "tree") and hasattr(analysis, "embedding") and hasattr(analysis, "channels")):
        raise TypeError(f"analysis is {type(analysis).__name__}; expected what analyze(image) returns.")
    if smallest_area is not None and not smallest_area >= 0:
        raise ValueError(f"smallest_area is {smallest_area!r}; expected a number of pixels from 0 on, or None.")
    if not 0 < largest <= 1:
        raise ValueError(f"largest is {largest!r}; expected a share of the image, above 0 and up to 1.")
    for name, value in (("overlap", overlap), ("quality", 0.0 if quality is None else quality)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}; expected a number from 0 to 1.")


def _regions(analysis: Analysis, leaves: np.ndarray, bounds: Bounds, quality: float, overlap: float) -> np.ndarray:
    """Objects made of leaves, (rows, columns) int."""
    recipe = Recipe()
    weights = recipe.embedding, recipe.colour
    features = leaf_features(leaves, analysis.embedding, analysis.channels, weights)
    found = region_objects(leaves, analysis.tree.children, features, bounds, quality, overlap)
    return found.labels[leaves]


def _crowd(channels: np.ndarray, bounds: Bounds, quality: float, report: Report) -> np.ndarray | None:
    """Many small objects in the channel and polarity that shows them best, (rows, columns) int32; None if none does."""
    planes = [plane for channel in np.moveaxis(channels, 2, 0) for plane in (channel, 1 - channel)]
    half = (channels.shape[0] + 1) // 2, (channels.shape[1] + 1) // 2
    quarter = Bounds(max(SMALLEST, bounds.least / 4), bounds.most / 4, bounds.outline)
    standing = []
    for done, plane in enumerate(planes):
        report(Progress("objects", done, len(planes) + 2))
        small = area_mean(plane[..., None], half)[..., 0]
        standing.append(_standing(basin_candidates(small, quarter, cut_necks=False), quality))
    best = int(np.argmax(standing))
    if standing[best] < DOUBT * CROWD:
        return None
    report(Progress("objects", len(planes), len(planes) + 2))
    candidates = [found for found in basin_candidates(planes[best], bounds) if found.quality >= quality]
    if _standing(candidates, quality) < CROWD:
        return None
    return _meet(_paint(candidates, channels.shape[:2]), planes[best])


def _standing(candidates: list[Candidate], quality: float) -> float:
    """How well candidates stand apart, on average over those of sufficient quality."""
    good = [found.apart for found in candidates if found.quality >= quality]
    return float(np.mean(good)) if good else 0.0


def _paint(candidates: list[Candidate], shape: tuple[int, ...]) -> np.ndarray:
    """Disjoint candidates, or their pieces, as labels."""
    labels, count = np.zeros(shape, np.int32), 0
    for found in candidates:
        for piece in found.pieces or (found.mask,):
            count += 1
            labels[found.box][piece] = count
    return labels


def _meet(labels: np.ndarray, plane: np.ndarray) -> np.ndarray:
    """Grow objects that tile the plane until they meet, at the crests between them; leave others as they are.

    Walls thinner than the cells they part are boundaries, not background.
    """
    from scipy.ndimage import distance_transform_edt, gaussian_filter
    from skimage.segmentation import watershed

    areas = np.bincount(labels.ravel())[1:]
    if not len(areas):
        return labels
    radius = float(np.sqrt(np.median(areas) / np.pi))
    away = distance_transform_edt(labels == 0)
    if (away > radius / 2).mean() > TILED:
        return labels
    return watershed(-gaussian_filter(plane, 1.0), labels, mask=away <= radius)


def _tidy(labels: np.ndarray, bounds: Bounds) -> np.ndarray:
    """Of every label its largest 4-connected part, without those out of bounds, numbered in raster order."""
    from skimage.measure import label, regionprops

    parts = label(labels, connectivity=1, background=0)
    sizes = np.bincount(parts.ravel())
    owner = np.zeros(len(sizes), np.int64)
    owner[parts.ravel()] = labels.ravel()
    # The largest part of each owner comes first; equal ones go by position.
    order = np.lexsort((np.arange(len(sizes)), -sizes, owner))
    first = order[np.diff(owner[order], prepend=-1) != 0]
    keep = np.zeros(len(sizes), bool)
    keep[first] = sizes[first] >= bounds.least
    keep[0] = False
    for part in regionprops(parts):
        low_row, low_column, high_row, high_column = part.bbox
        inside = min(low_row, low_column) > 0 and high_row < labels.shape[0] and high_column < labels.shape[1]
        if keep[part.label] and not inside:
            keep[part.label] = outline_share(parts == part.label) <= bounds.outline
    return np.where(keep, np.cumsum(keep), 0).astype(np.int32)[parts]
