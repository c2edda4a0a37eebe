"""What a cluster is like: how much of the collection it covers, and where it is most itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from napari_what_where.collection.report.pictures import sampled
from napari_what_where.collection.report.types import Box, ReportImage

EXAMPLES = 6
"""Regions that show what a cluster is."""
_MARGIN = 1.3
"""Of a crop: its side in sides of the region."""
_LARGEST, _SMALLEST = 0.6, 0.12
"""Side of a crop, in shorter sides of the image: at most, at least."""


@dataclass(frozen=True, eq=False)
class Overview:
    """The clusters of all images together; every image weighs the same.

    Attributes
    ----------
    shares : (images, clusters) part of each image that a cluster covers
    centres : (clusters, coordinates) mean of the tokens' ``points`` over each cluster; NaN where it is nowhere
    spreads : (count,) root mean square of each eigenvector
    """

    shares: np.ndarray
    centres: np.ndarray
    spreads: np.ndarray


@dataclass(order=True)
class Example:
    """A region of a cluster: the nearer its mean to the cluster's, the more typical."""

    distance: float
    image: int
    box: Box = field(compare=False)


def overview(images: Iterable[ReportImage], clusters: int) -> Overview:
    """One pass over all images; memory does not grow with them, but for ``shares``."""
    shares, weights = [], np.zeros(clusters)
    sums, squares = np.zeros((clusters, 1)), np.zeros(1)
    for image in images:
        shares.append(shares_of(image.labels, clusters))
        member = _member(image, clusters)
        sums = sums + member.T @ image.points.reshape(-1, len(member)).T.astype(np.float64) / len(member)
        squares = squares + np.mean(image.vectors.astype(np.float64) ** 2, axis=(1, 2))
        weights += member.mean(axis=0)
    with np.errstate(invalid="ignore"):
        return Overview(np.array(shares), sums / weights[:, None], np.sqrt(squares / max(1, len(shares))))


def shares_of(labels: np.ndarray, clusters: int) -> np.ndarray:
    """The part of an image that each cluster covers, (clusters,) float64."""
    return np.bincount(labels.ravel(), minlength=clusters + 1)[1 : clusters + 1] / labels.size


def _member(image: ReportImage, clusters: int) -> np.ndarray:
    """(tokens, clusters) float64: 1 where a token's centre is in a cluster."""
    labels = sampled(image.labels, image.points.shape[1:]).ravel()
    return (labels[:, None] == np.arange(1, clusters + 1)).astype(np.float64)


def typical_regions(image: ReportImage, number: int, centres: np.ndarray) -> Iterator[tuple[int, Example]]:
    """Of every cluster (from 1 on) that image ``number`` has tokens of, its most typical region there.

    Regions are connected tokens of one cluster, at least half as large as the largest of them.
    """
    from scipy import ndimage

    grid = sampled(image.labels, image.points.shape[1:])
    for cluster in np.unique(grid[(grid > 0) & (grid <= len(centres))]).tolist():
        parts, count = ndimage.label(grid == cluster)
        parts, points = parts.ravel(), image.points.reshape(len(image.points), -1)
        sizes = np.bincount(parts)[1:]
        sums = [np.bincount(parts, each, minlength=count + 1)[1:] for each in points]
        means = np.stack(sums, axis=1) / sizes[:, None]
        distances = np.where(2 * sizes >= sizes.max(), np.linalg.norm(means - centres[cluster - 1], axis=1), np.inf)
        best = int(np.argmin(distances))
        region = (parts == best + 1).reshape(grid.shape)
        yield cluster, Example(float(distances[best]), number, _square(region, image.labels.shape))


def _square(region: np.ndarray, shape: tuple[int, int]) -> Box:
    """A square of an image of this ``shape`` around a region of its token grid, or of its inside if it is large."""
    scale = np.array(shape) / region.shape
    lines = [np.flatnonzero(region.any(axis=1 - axis)) for axis in (0, 1)]
    extent = max((line[-1] + 1 - line[0]) * scale[axis] for axis, line in enumerate(lines))
    largest = max(2.0, min(shape) * _LARGEST)
    side = int(min(max(_MARGIN * extent, min(shape) * _SMALLEST, 2), largest))
    centre = np.array([(line[0] + line[-1] + 1) / 2 for line in lines])
    if _MARGIN * extent > largest or not region[tuple(np.minimum(centre, np.array(region.shape) - 1).astype(int))]:
        centre = np.array(innermost(region)) + 0.5
    starts = np.clip(np.rint(centre * scale - side / 2), 0, np.array(shape) - side).astype(int)
    return slice(int(starts[0]), int(starts[0]) + side), slice(int(starts[1]), int(starts[1]) + side)


def innermost(region: np.ndarray) -> tuple[int, int]:
    """(row, column) of the element of a (rows, columns) bool region that is farthest from what is not in it."""
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(region, 1))[1:-1, 1:-1]
    row, column = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return int(row), int(column)
