"""A crowd of small objects in a plane that is looked at as a whole."""

from __future__ import annotations

import numpy as np

from napari_what_where.grids import area_mean
from napari_what_where.progress import Progress, Report
from napari_what_where.segments.objects.crowds import basin_candidates
from napari_what_where.segments.objects.shapes import Bounds, Candidate
from napari_what_where.working_plane.lazy_channels import PlaneChannels

CROWD = 0.39
"""Small objects make the image if on average they stand apart this well. Measured: six plates of nuclei, two of other
micrographs and plant cells .41–.52; photographs and tissue at most .36."""
DOUBT = 0.75
"""On a plane of half the size the same is measured this well."""
TILED = 0.15
"""Objects tile the plane if no more of it is further from them than half their radius (plant cells .03; nuclei .45)."""


def whole_crowd(channels: PlaneChannels, bounds: Bounds, quality: float, report: Report) -> np.ndarray | None:
    """Many small objects in the channel and polarity that shows them best, (rows, columns) int32; None if none does."""
    everything = channels[:, :]
    planes = [plane for channel in np.moveaxis(everything, 2, 0) for plane in (channel, 1 - channel)]
    half = half_shape(planes[0].shape)
    standing = []
    for done, plane in enumerate(planes):
        report(Progress("objects", done, len(planes) + 2))
        small = area_mean(plane[..., None], half)[..., 0]
        standing.append(mean_standing(basin_candidates(small, bounds.quartered(), cut_necks=False), quality))
    best = int(np.argmax(standing))
    if standing[best] < DOUBT * CROWD:
        return None
    report(Progress("objects", len(planes), len(planes) + 2))
    candidates = [found for found in basin_candidates(planes[best], bounds) if found.quality >= quality]
    if mean_standing(candidates, quality) < CROWD:
        return None
    return _meet(_paint(candidates, planes[best].shape), planes[best])


def half_shape(shape: tuple[int, ...]) -> tuple[int, int]:
    """Of the plane on which channels and polarities are compared."""
    return (shape[0] + 1) // 2, (shape[1] + 1) // 2


def mean_standing(candidates: list[Candidate], quality: float) -> float:
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
    radius = typical_radius(areas)
    away = distance_transform_edt(labels == 0)
    if (away > radius / 2).mean() > TILED:
        return labels
    return watershed(-gaussian_filter(plane, 1.0), labels, mask=away <= radius)


def typical_radius(areas: np.ndarray) -> float:
    """Of discs of the median of ``areas``."""
    return float(np.sqrt(np.median(areas) / np.pi))
