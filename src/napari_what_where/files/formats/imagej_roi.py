"""A zip of ImageJ ROIs, for the ROI Manager: each label of a plane one ROI along the edges of its pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.files.formats.rings import Part
from napari_what_where.files.formats.types import LabelImage, plane_suffix
from napari_what_where.progress import checkpoint

LARGEST_SIDE = 2**15 - 1
"""ImageJ keeps the bounds of a ROI in 16 bits with a sign."""

_MOVE, _LINE, _CLOSE = 0, 1, 4
"""Of a Java PathIterator."""


def write_rois(path: Path, given: LabelImage) -> None:
    """One part without holes is a traced ROI, all else a composite; names are label and name, sorted by label.

    The property "label" of each ROI is its label. Of a stack along one axis each has its position, of others its place
    along every axis. ``ValueError`` for images of more than 32,767 pixels a side.
    """
    import zipfile

    if max(given.plane_shape) > LARGEST_SIDE:
        raise ValueError(
            f"The image has {given.plane_shape[0]:,} × {given.plane_shape[1]:,} pixels; ImageJ's ROIs end at "
            f"{LARGEST_SIDE:,}. Write geojson instead, or a part of the image."
        )
    digits = len(str(max(given.values, default=0)))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for (place, _), parts in zip(given.planes(), given.parts, strict=True):
            of_label: dict[int, list[Part]] = {}
            for part in parts:
                of_label.setdefault(part.label, []).append(part)
            for label, own in of_label.items():
                checkpoint()
                name = f"{label:0{digits}d}"
                roi = _roi(own, _named(name, given.names.get(label, "")), given.colour(label), place)
                roi.props = f"label: {label}\n"
                entry = f"{name}{plane_suffix(place, given.lengths())}.roi"
                archive.writestr(entry, roi.tobytes())


def _named(number: str, name: str) -> str:
    return f"{number} {name}" if name else number


def _roi(parts: Sequence[Part], name: str, colour: Sequence[int], place: Mapping[str, int]) -> Any:
    import roifile

    rings = [ring for part in parts for ring in (part.shell, *part.holes)]
    low = np.min([ring.min(axis=0) for ring in rings], axis=0)
    high = np.max([ring.max(axis=0) for ring in rings], axis=0)
    roi = roifile.ImagejRoi(name=name, stroke_color=bytes([255, *colour]), **_position(place))
    roi.left, roi.top, roi.right, roi.bottom = map(int, (*low, *high))
    if len(rings) == 1:
        roi.roitype = roifile.ROI_TYPE.TRACED
        roi.integer_coordinates = (rings[0] - low).astype(np.int32)
        roi.n_coordinates = len(rings[0])
        return roi
    roi.roitype = roifile.ROI_TYPE.RECT  # which is what a composite calls itself
    roi.multi_coordinates = np.concatenate([_path(ring) for ring in rings])
    roi.shape_roi_size = len(roi.multi_coordinates)
    return roi


def _path(ring: np.ndarray) -> np.ndarray:
    """A ring as the numbers of a path: move, lines, close."""
    lines = np.column_stack([np.full(len(ring), _LINE), ring])
    lines[0, 0] = _MOVE
    return np.append(lines.ravel(), _CLOSE).astype(np.float32)


def _position(place: Mapping[str, int]) -> dict[str, int]:
    """ImageJ counts from 1; a stack along one axis is no hyperstack to it."""
    if len(place) == 1:
        return {"position": next(iter(place.values())) + 1}
    if not place:
        return {}
    return {f"{axis.lower()}_position": place.get(axis, 0) + 1 for axis in "CZT"}
