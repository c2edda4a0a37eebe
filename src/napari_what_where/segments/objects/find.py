"""Objects: what stands apart from its surroundings, as one label image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress
from napari_what_where.segments.features import Recipe
from napari_what_where.segments.objects.regions import leaf_features, region_objects
from napari_what_where.segments.objects.shapes import SMALLEST, Bounds
from napari_what_where.segments.objects.tidy import tidy
from napari_what_where.segments.objects.tiled import LARGE, tiled_crowd
from napari_what_where.segments.objects.whole import whole_crowd
from napari_what_where.segments.superpixels import enlarge

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis

SMALLEST_SHARE = 5e-5
"""Least area of an object, of the image."""
CROWD_QUALITY, REGION_QUALITY = 0.2, 0.5


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
    they meet; on planes of more than two million pixels tile by tile
    (:func:`~napari_what_where.segments.objects.tiled.tiled_crowd`). If not, the objects are regions of the tree and of
    k-means (:func:`~napari_what_where.segments.objects.regions.region_objects`).

    Parameters
    ----------
    analysis : Analysis
        As :func:`~napari_what_where.analyze` returns it.
    smallest_area : float, optional
        In pixels of the image; by default half the area of a disc as wide as the smallest object that
        :func:`~napari_what_where.analyze` was told, else 1/20,000 of the image; never less than 9 pixels of the
        plane that is worked on.
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
    core, of which colour takes the longer, and at most about ten where larger images are worked on at 1024 pixels; on
    planes as large as a ``smallest_object`` makes them some 10 ms an object and 1 µs a pixel.
    """
    labels = working_objects(
        analysis,
        smallest_area=smallest_area,
        largest=largest,
        touching_border=touching_border,
        overlap=overlap,
        quality=quality,
        report=report,
    )
    return enlarge(labels, analysis.tree.shape)


def working_objects(
    analysis: Analysis,
    *,
    smallest_area: float | None = None,
    largest: float = 0.5,
    touching_border: bool = True,
    overlap: float = 0.7,
    quality: float | None = None,
    report: Report = ignore_progress,
) -> np.ndarray:
    """:func:`find_objects` on the plane that was worked on, of the shape of ``analysis.tree.working_leaves``.

    Its pixels repeated up to the shape of the image are the objects of the image. Parameters, errors and cost as
    there; ``smallest_area`` is in pixels of the image here, too.
    """
    _check(analysis, smallest_area, largest, overlap, quality)
    leaves = analysis.tree.working_leaves
    least = max(SMALLEST, _least_area(analysis, smallest_area))
    bounds = Bounds(least, largest * leaves.size, 0.25 if touching_border else 0.0)
    with checkpoints(report, Progress("objects", 0, 0)):
        labels = None
        if analysis.channels is not None:
            crowd = tiled_crowd if leaves.size > LARGE else whole_crowd
            labels = crowd(analysis.channels, bounds, CROWD_QUALITY if quality is None else quality, report)
        if labels is None:
            labels = _regions(analysis, leaves, bounds, REGION_QUALITY if quality is None else quality, overlap)
        return tidy(labels, bounds)


def _least_area(analysis: Analysis, smallest_area: float | None) -> float:
    """Of an object, in pixels of the plane that was worked on."""
    pixels, shape = analysis.tree.working_leaves.size, analysis.tree.shape
    diameter = analysis.provenance["options"].get("smallest_object")
    if smallest_area is None and diameter is None:
        return SMALLEST_SHARE * pixels
    if smallest_area is None:
        smallest_area = math.pi * (min(diameter, max(shape)) / 2) ** 2 / 2
    return smallest_area * (pixels / (shape[0] * shape[1]))


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
    return found.labels.astype(np.int32)[leaves]
