"""Analysis and source → the data and attributes of napari layers, where the source lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.pictures import composite
from napari_what_where.pipeline import Analysis
from napari_what_where.widgets.source import Source

if TYPE_CHECKING:
    from napari.utils.transforms import Affine

METADATA_KEY = "what-where"
"""Where our layers keep the record of how they were made."""


@dataclass(frozen=True, eq=False)
class LayerSpec:
    """What a napari layer is made from: its data, and the arguments of ``viewer.add_…`` beside it."""

    data: np.ndarray
    attributes: dict[str, Any]


def eigenvector_layer(analysis: Analysis, source: Source) -> LayerSpec:
    """All eigenvectors as one image, on a new leading axis: (count, *axes of the source) float32.

    Scaled so that a vector spread evenly over the image has values of ±1.
    """
    embedding = analysis.embedding
    vectors = embedding.vectors * np.float32(embedding.grid[0] * embedding.grid[1]) ** 0.5
    low, high = np.percentile(vectors, [1, 99])
    return LayerSpec(
        _on_axes(vectors, source, leading=1),
        {
            "name": _name(analysis, source, "eigenvectors"),
            "colormap": "viridis",
            "contrast_limits": (float(low), float(max(high, low + 1e-6))),
            "interpolation2d": "linear",
            "visible": False,
            **placement(source, embedding.grid, _plane_shape(source), leading=True),
            "metadata": {METADATA_KEY: analysis.provenance},
        },
    )


def composite_layer(analysis: Analysis, source: Source) -> LayerSpec:
    """Three leading eigenvectors as red, green and blue, on the token grid."""
    colours = composite(analysis.embedding.vectors, analysis.embedding.grid)
    return LayerSpec(
        _on_axes(colours, source),
        {
            "name": _name(analysis, source, "composite"),
            "rgb": True,
            "interpolation2d": "linear",
            "visible": False,
            **placement(source, analysis.embedding.grid, _plane_shape(source)),
            "metadata": {METADATA_KEY: analysis.provenance},
        },
    )


def segments_layer(analysis: Analysis, source: Source, labels: np.ndarray) -> LayerSpec:
    """Segments as Labels of the source's own pixels; ``labels`` (rows, columns) int32."""
    return LayerSpec(
        _on_axes(labels, source),
        {
            "name": _name(analysis, source, "segments"),
            "opacity": 0.5,
            **placement(source, labels.shape, labels.shape),
            "metadata": {METADATA_KEY: analysis.provenance},
        },
    )


def placement(
    source: Source, grid: tuple[int, ...], plane: tuple[int, ...], *, leading: bool = False
) -> dict[str, Any]:
    """Scale, rotate, shear, translate, affine, units and axis labels that lay a grid over the source's plane.

    Grid cell g covers the pixels from g·f to (g + 1)·f, f = plane / grid, so its centre is pixel g·f + (f − 1) / 2.
    """
    factor, corner = np.ones(len(source.index)), source.origin()
    for axis, cells, pixels in zip(source.axes, grid, plane, strict=True):
        factor[axis] = pixels / cells
        corner[axis] = (factor[axis] - 1) / 2
    whole = source.to_world
    attributes: dict[str, Any] = {
        "scale": whole.scale * factor,
        "rotate": whole.rotate,
        "shear": _shear(whole),
        "translate": whole(corner),
        "affine": source.affine,
        "units": source.units,
        "axis_labels": source.axis_labels,
    }
    return _with_leading_axis(attributes) if leading else attributes


def _with_leading_axis(attributes: dict[str, Any]) -> dict[str, Any]:
    """The same placement for data with one more, leading, axis: the number of the eigenvector."""

    def block(matrix: np.ndarray) -> np.ndarray:
        matrix = np.asarray(matrix)
        extended = np.eye(len(matrix) + 1)
        extended[1:, 1:] = matrix
        return extended

    return attributes | {
        "scale": np.concatenate([[1.0], attributes["scale"]]),
        "translate": np.concatenate([[0.0], attributes["translate"]]),
        "rotate": block(attributes["rotate"]),
        "shear": block(attributes["shear"]),
        "affine": block(attributes["affine"]),
        "units": ("pixel", *attributes["units"]),
        "axis_labels": ("eigenvector", *attributes["axis_labels"]),
    }


def _shear(transform: Affine) -> np.ndarray:
    """The shear as a matrix: napari gives upper triangular values, or ndim zeros where there is none."""
    matrix = np.eye(len(transform.scale))
    values = np.ravel(transform.shear)
    if np.any(values):
        matrix[np.triu_indices(len(matrix), 1)] = values
    return matrix


def _on_axes(planes: np.ndarray, source: Source, *, leading: int = 0) -> np.ndarray:
    """Insert an axis of length 1 wherever the source has one that is not shown."""
    hidden = [leading + axis for axis, step in enumerate(source.index) if not isinstance(step, slice)]
    return np.expand_dims(planes, tuple(hidden)) if hidden else planes


def _plane_shape(source: Source) -> tuple[int, ...]:
    return tuple(source.data.shape[axis] for axis in source.axes)


def _name(analysis: Analysis, source: Source, what: str) -> str:
    return f"{source.plane_name} {what} ({analysis.provenance['options']['pathway']})"
