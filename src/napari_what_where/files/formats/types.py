"""What every format is given: a label image with all that is known about it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from napari_what_where.files.encoding import check_sizes, per_axis
from napari_what_where.files.formats.colours import distinct_colour
from napari_what_where.files.formats.rings import Part, trace_parts

AXES = {2: "YX", 3: "ZYX", 4: "TZYX"}
"""What the axes of labels are where nobody says it."""

Colour = tuple[int, int, int]
"""Red, green and blue, 0 … 255."""


def check_labels(labels: Any) -> np.ndarray:
    """``labels`` as an array. ``TypeError`` for what are no integers, ``ValueError`` for negative ones or no pixels."""
    array = np.asarray(labels)
    wanted = "expected non-negative integer labels of shape (rows, columns)"
    if array.dtype.kind not in "ui":
        raise TypeError(f"The labels are of dtype {array.dtype}; {wanted}. Convert them first: labels.astype(int).")
    if array.size == 0:
        raise ValueError(f"The labels have shape {array.shape} and no pixels; {wanted}.")
    if array.min() < 0:
        raise ValueError(f"The smallest label is {array.min()}; {wanted}. Number them from 0 (background) on.")
    return array


@dataclass(frozen=True, eq=False)
class LabelImage:
    """Labels, and what is known about them; formats take of it what they have a place for.

    Attributes
    ----------
    labels : (rows, columns), (planes, rows, columns) or (times, planes, rows, columns) non-negative integers
        0 is background.
    axes : what they are, of "TZCYX" in this order; by default YX, ZYX, TZYX.
    pixel_size, units : one for all axes or one an axis, in the order of the array; None where it is not known.
    names, classes, colours : of some labels or of all.
    image : what the labels are of, of their shape, or with channels as a further last axis.
    image_name : its file name
    offset, image_shape : (row, column) in its planes of the first pixel of the labels, and (rows, columns) of them;
        by default the labels cover the planes.
    name : of the labels
    info : any text to keep with them, such as how they were made, as JSON.

    Raises ``TypeError`` and ``ValueError`` for labels that are none, and for attributes that do not fit them.
    """

    labels: np.ndarray
    axes: str = ""
    pixel_size: Any = None
    units: Any = None
    names: Mapping[int, str] = field(default_factory=dict)
    classes: Mapping[int, str] = field(default_factory=dict)
    colours: Mapping[int, Colour] = field(default_factory=dict)
    image: np.ndarray | None = None
    image_name: str = ""
    offset: tuple[int, int] = (0, 0)
    image_shape: tuple[int, int] | None = None
    name: str = "labels"
    info: str | None = None

    def __post_init__(self) -> None:
        labels = check_labels(self.labels)
        axes = self.axes or AXES.get(labels.ndim, "")
        if len(axes) != labels.ndim or [axis for axis in "TZCYX" if axis in axes] != list(axes) or axes[-2:] != "YX":
            raise ValueError(
                f"The labels have shape {labels.shape} and axes {axes!r}; expected 2 to 4 axes of TZCYX in this order, "
                "YX among them. Write one plane or stack at a time."
            )
        sizes = check_sizes(per_axis(self.pixel_size, labels.ndim, "pixel sizes"))
        units = None if sizes is None else per_axis(self.units, labels.ndim, "units")
        shape = self.image_shape or (labels.shape[-2] + self.offset[0], labels.shape[-1] + self.offset[1])
        self._check_image(labels)
        given = {"labels": labels, "axes": axes, "pixel_size": sizes, "units": units, "image_shape": shape}
        for attribute, value in given.items():
            object.__setattr__(self, attribute, value)

    def _check_image(self, labels: np.ndarray) -> None:
        if self.image is not None and self.image.shape not in (labels.shape, (*labels.shape, *self.image.shape[-1:])):
            raise ValueError(
                f"The image has shape {self.image.shape}, the labels {labels.shape}; expected one shape, with channels "
                "as a further last axis if there are any. Choose the image that the labels belong to, or none."
            )

    @cached_property
    def values(self) -> list[int]:
        """The labels that are there, ascending, without 0."""
        found = np.unique(self.labels)
        return [int(value) for value in found[found > 0]]

    @cached_property
    def parts(self) -> list[list[Part]]:
        """Of every plane, in the order of :meth:`planes`, the connected parts of labels, in pixels of the image."""
        return [trace_parts(plane, offset=self.offset) for _, plane in self.planes()]

    @property
    def plane_shape(self) -> tuple[int, int]:
        """(rows, columns) of the planes of the image."""
        assert self.image_shape is not None
        return self.image_shape

    def planes(self) -> Iterator[tuple[dict[str, int], np.ndarray]]:
        """Each (rows, columns) plane, with its place along every other axis, such as {"T": 0, "Z": 3}."""
        for place in np.ndindex(self.labels.shape[:-2]):
            yield dict(zip(self.axes, place, strict=False)), self.labels[place]

    def size(self, axis: str) -> float | None:
        """That of a pixel along an axis, None where it is not known or there is no such axis."""
        return (
            None if self.pixel_size is None or axis not in self.axes else float(self.pixel_size[self.axes.index(axis)])
        )

    def unit(self, axis: str) -> str | None:
        """That of an axis, None where it is not known."""
        return None if self.units is None or axis not in self.axes else str(self.units[self.axes.index(axis)])

    def colour(self, label: int) -> Colour:
        """That of a label: its own, or one that differs from those of its neighbours in number."""
        return self.colours.get(label) or distinct_colour(label)

    def lengths(self) -> dict[str, int]:
        """How many planes there are along every axis but rows and columns."""
        return dict(zip(self.axes, self.labels.shape[:-2], strict=False))


def plane_suffix(place: Mapping[str, int], lengths: Mapping[str, int]) -> str:
    """What tells the planes of a stack apart in names: "_t02_z013", counted from 0, so that names sort as planes do."""
    return "".join(f"_{axis.lower()}{place[axis]:0{len(str(lengths[axis] - 1))}d}" for axis in place)
