"""Analyses and their source → the data and attributes of napari layers, where the source lies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.files.pictures import composite
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


def eigenvector_layer(analyses: Sequence[Analysis], source: Source) -> LayerSpec:
    """All eigenvectors as one image, on a new leading axis: (count, *axes of the source) float32.

    Scaled so that a vector spread evenly over the image has values of ±1.
    """
    grid = analyses[0].embedding.grid
    vectors = _alike(analyses) * np.float32(grid[0] * grid[1]) ** 0.5
    low, high = np.percentile(vectors, [1, 99])
    return LayerSpec(
        arrange(vectors, source, leading=1),
        {
            "name": layer_name(analyses, source, "eigenvectors"),
            "colormap": "viridis",
            "contrast_limits": (float(low), float(max(high, low + 1e-6))),
            "interpolation2d": "linear",
            "visible": False,
            **placement(source, grid, leading=True),
            "metadata": {METADATA_KEY: record(analyses)},
        },
    )


def composite_layer(analyses: Sequence[Analysis], source: Source) -> LayerSpec:
    """Three leading eigenvectors as red, green and blue, on the token grid."""
    grid = analyses[0].embedding.grid
    vectors = _alike(analyses)
    colours = np.stack([composite(vectors[:, plane], grid) for plane in range(len(analyses))])
    return LayerSpec(
        arrange(colours, source),
        {
            "name": layer_name(analyses, source, "composite"),
            "rgb": True,
            "interpolation2d": "linear",
            "visible": False,
            **placement(source, grid),
            "metadata": {METADATA_KEY: record(analyses)},
        },
    )


def labels_layer(analyses: Sequence[Analysis], source: Source, labels: np.ndarray, what: str) -> LayerSpec:
    """Labels, (planes, rows, columns) on the source's own pixels or coarser ones; ``what``: segments or objects."""
    return LayerSpec(
        arrange(labels, source),
        {
            "name": layer_name(analyses, source, what),
            "opacity": 0.5,
            **placement(source, (labels.shape[1], labels.shape[2])),
            "metadata": {METADATA_KEY: record(analyses) | {"result": what}},
        },
    )


def layer_name(analyses: Sequence[Analysis], source: Source, what: str) -> str:
    """What a layer of results is called."""
    return f"{source.plane_name} {what} ({analyses[0].provenance['options']['pathway']})"


def record(analyses: Sequence[Analysis]) -> dict[str, Any]:
    """How the analyses were made: of one, its provenance; of several, that of the first and then of each."""
    first = analyses[0].provenance
    return first if len(analyses) == 1 else {**first, "planes": [analysis.provenance for analysis in analyses]}


def placement(source: Source, grid: tuple[int, int], *, leading: bool = False) -> dict[str, Any]:
    """Scale, rotate, shear, translate, affine, units and axis labels that lay a grid of cells over the planes.

    Cell g of G covers the pixels from first + g·f to first + (g + 1)·f, f = pixels / G, so its centre is pixel
    first + g·f + (f − 1) / 2. Along an axis of channels one cell covers them all, so that it is seen beside each.
    """
    first, pixels = source.extent()
    cells = np.ones(source.ndim)
    cells[list(source.axes)] = grid
    if source.plane_axis is not None:
        cells[source.plane_axis] = pixels[source.plane_axis]
    factor = pixels / cells
    whole = source.to_world
    attributes: dict[str, Any] = {
        "scale": whole.scale * factor,
        "rotate": whole.rotate,
        "shear": shear_matrix(whole),
        "translate": whole(first + (factor - 1) / 2),
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


def shear_matrix(transform: Affine) -> np.ndarray:
    """The shear as a matrix: napari gives upper triangular values, or ndim zeros where there is none."""
    matrix = np.eye(len(transform.scale))
    values = np.ravel(transform.shear)
    if np.any(values):
        matrix[np.triu_indices(len(matrix), 1)] = values
    return matrix


def arrange(planes: Any, source: Source, *, leading: int = 0) -> Any:
    """(…, planes, rows, columns, …) in the order of the layer's axes, of length 1 wherever nothing runs along one.

    ``leading``: how many axes come before the planes. Of an array that is computed when it is looked at, such another.
    """
    kept = source.axes
    if source.plane_axis is None:
        planes = planes[(slice(None),) * leading + (0,)]
    else:
        kept = tuple(sorted((source.plane_axis, *source.axes)))  # type: ignore[assignment]
        planes = np.moveaxis(planes, leading, leading + kept.index(source.plane_axis))
    missing = [leading + axis for axis in range(source.ndim) if axis not in kept]
    arranged = np.expand_dims(planes, tuple(missing))
    return np.ascontiguousarray(arranged) if isinstance(arranged, np.ndarray) else arranged


def collect(data: np.ndarray, source: Source) -> np.ndarray:
    """What :func:`arrange` has arranged, as (planes, rows, columns) again; a view where possible."""
    kept = sorted(axis for axis in (source.plane_axis, *source.axes) if axis is not None)
    planes = data.reshape([data.shape[axis] for axis in kept])
    return planes[None] if source.plane_axis is None else np.moveaxis(planes, kept.index(source.plane_axis), 0)


def _alike(analyses: Sequence[Analysis]) -> np.ndarray:
    """Eigenvectors of all planes, (count, planes, grid_rows, grid_columns), signs as on the plane before: an
    eigenvector's sign is arbitrary, and would flicker as the planes are leafed through.
    """
    stack = np.stack([analysis.embedding.vectors for analysis in analyses], axis=1)
    for plane in range(1, stack.shape[1]):
        agreement = np.einsum("krc,krc->k", stack[:, plane - 1], stack[:, plane])
        stack[:, plane] *= np.where(agreement < 0, -1, 1).astype(stack.dtype)[:, None, None]
    return stack
