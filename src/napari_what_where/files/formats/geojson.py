"""GeoJSON as QuPath reads it: each label of a plane a polygon, or several, with holes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_what_where.files.formats.rings import Part, doubled_area
from napari_what_where.files.formats.types import LabelImage
from napari_what_where.files.formats.units import unit_symbol
from napari_what_where.progress import checkpoint


def write_geojson(path: Path, given: LabelImage) -> None:
    """A FeatureCollection of annotations, x before y in pixels of the image, (0, 0) its upper left corner.

    Planes of stacks are said as QuPath has them, ``"plane": {"c": -1, "z": 2, "t": 0}``; its volumes are stacks of
    outlines, one a plane.
    """
    features = []
    for (place, _), parts in zip(given.planes(), given.parts, strict=True):
        of_label: dict[int, list[Part]] = {}
        for part in parts:
            of_label.setdefault(part.label, []).append(part)
        features += [_feature(given, label, own, place) for label, own in of_label.items()]
    collection = {"type": "FeatureCollection", "features": features}
    path.write_text(json.dumps(collection, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")


def _feature(given: LabelImage, label: int, parts: Sequence[Part], place: dict[str, int]) -> dict[str, Any]:
    checkpoint()
    polygons = [[_closed(ring) for ring in (part.shell, *part.holes)] for part in parts]
    geometry: dict[str, Any] = {"type": "Polygon", "coordinates": polygons[0]}
    if len(polygons) > 1:
        geometry = {"type": "MultiPolygon", "coordinates": polygons}
    if place:
        geometry["plane"] = {"c": place.get("C", -1), "z": place.get("Z", 0), "t": place.get("T", 0)}
    colour = list(given.colour(label))
    known = given.classes.get(label)
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "name": given.names.get(label) or str(label),
        "color": colour,
        **({"classification": {"name": known, "color": colour}} if known else {}),
        "measurements": {"Label": float(label), **_area(given, parts)},
    }
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _area(given: LabelImage, parts: Sequence[Part]) -> dict[str, float]:
    area = sum(doubled_area(ring) for part in parts for ring in (part.shell, *part.holes)) / 2
    size, symbol = (given.size("Y"), given.size("X")), unit_symbol(given.unit("X"))
    if size[0] is None or size[1] is None or symbol is None or given.unit("Y") != given.unit("X"):
        return {"Area px^2": area}
    return {"Area px^2": area, f"Area {symbol}^2": area * size[0] * size[1]}


def _closed(ring: Any) -> list[list[int]]:
    points: list[list[int]] = ring.tolist()
    return [*points, points[0]]
