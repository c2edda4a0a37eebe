"""Analyses of what files held → files: of one plane, or of a stack."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_what_where.files.export import save_analysis
from napari_what_where.files.export_planes import save_planes
from napari_what_where.files.outlines import keep_inside
from napari_what_where.files.stacks import FileStack

if TYPE_CHECKING:
    from napari_what_where.pipeline import Analysis


def save_stack(
    stack: FileStack,
    analyses: Sequence[Analysis],
    folder: str | os.PathLike[str],
    stem: str,
    *,
    segments: int | Literal["auto"] = "auto",
    linked: bool = False,
    objects: np.ndarray | None = None,
    formats: Sequence[str] = ("tiff",),
    source: str,
) -> dict[str, int]:
    """Write STEM_labels.EXT, STEM_eigenvectors.tif, STEM.json and, given ``objects``, STEM_objects.EXT: all, or none.

    Parameters
    ----------
    stack : what was analysed
    analyses : one a plane
    segments : in every plane
    linked : whether segments carry their numbers from plane to plane; else no two planes share one.
    objects : (planes, rows, columns) non-negative integers
    formats : of labels; a stack needs those that hold one.
    source : name of the image, for the record

    Returns
    -------
    How many there are of "segments", of "objects" if they were given, and of "planes" of a stack. Raises what
    :func:`~napari_what_where.files.export.write_labels` raises.
    """
    found = {} if objects is None else {"objects": _count(objects)}
    if stack.flat:
        (analysis,) = analyses
        save_analysis(
            analysis,
            folder,
            stem,
            objects=None if objects is None else objects[0],
            segments=segments,
            outline=stack.outline,
            formats=formats,
            pixel_size=stack.pixel_size,
            units=stack.units,
            source=source,
            record=_describe_window(stack),
            **_about_image(stack, formats),
        )
        return {"segments": _count_in_plane(analysis, segments, stack.outline), **found}
    labels = _stack_labels(analyses, segments, linked, stack.outline)
    found = {"segments": _count(labels), **found}
    record = {
        "source": source,
        **_describe_window(stack),
        "linked": linked,
        "segments": {"asked": segments, "edited": False, "found": found["segments"]},
        **({} if objects is None else {"objects": {"found": found["objects"]}}),
        "pixel_size": describe_scale(stack),
    }
    about = {"image_name": source, **_about_image(stack, formats), **_scale(stack)}
    save_planes(
        analyses, folder, stem, labels, objects=objects, axis=stack.axis, formats=formats, record=record, **about
    )
    return {**found, "planes": len(analyses)}


def describe_scale(stack: FileStack) -> dict[str, Any] | None:
    """The size of a pixel, and the distance of planes of a stack, as a record has them; None where files do not say."""
    if stack.pixel_size is None:
        return None
    rows, columns = stack.pixel_size
    described = {"rows": rows, "columns": columns, "units": stack.units}
    return described if stack.flat else described | {"planes": stack.spacing, "axis": stack.axis}


def _scale(stack: FileStack) -> dict[str, Any]:
    """The same as ``save_planes`` takes it: planes lie 1 apart where the file does not say."""
    if stack.pixel_size is None:
        return {}
    along = "second" if stack.axis == "T" else stack.units
    units = [along if stack.spacing else "pixel", stack.units, stack.units]
    return {"pixel_size": [stack.spacing or 1.0, *stack.pixel_size], "units": [unit or "pixel" for unit in units]}


def _about_image(stack: FileStack, formats: Sequence[str]) -> dict[str, Any]:
    """What formats of labels say of the image: where in its planes the labels lie, its pixels if they are kept."""
    about: dict[str, Any] = {"image_shape": stack.plane_shape}
    rows, columns = stack.window
    about["offset"] = (rows.start or 0, columns.start or 0)
    if {"csv", "ome-zarr"} & set(formats):
        about["image"] = stack.planes[0] if stack.flat else np.stack(list(stack.planes))
    return about


def _describe_window(stack: FileStack) -> dict[str, Any]:
    """Which rows and columns of the plane the results are of, from the first to the one after the last, if not all."""
    if stack.window == (slice(None), slice(None)):
        return {}
    rows, columns = stack.window
    return {"window": {"rows": [rows.start, rows.stop], "columns": [columns.start, columns.stop]}}


def _stack_labels(
    analyses: Sequence[Analysis], segments: int | Literal["auto"], linked: bool, outline: np.ndarray | None
) -> np.ndarray:
    from napari_what_where.segments.stack import TreeStack

    stack = TreeStack([analysis.tree for analysis in analyses], linked=linked)
    return keep_inside(stack.labels(segments), outline)


def _count_in_plane(analysis: Analysis, segments: int | Literal["auto"], outline: np.ndarray | None) -> int:
    if outline is None:  # every leaf has pixels, which are many more
        return len(set(analysis.tree.leaf_labels(segments).tolist()))
    return _count(keep_inside(analysis.tree.labels(segments), outline))


def _count(labels: np.ndarray) -> int:
    """How many numbers there are, without 0."""
    return int(np.count_nonzero(np.unique(labels)))
