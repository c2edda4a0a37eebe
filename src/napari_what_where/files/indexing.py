"""Which part of an array with more axes is the plane to look at, also as text."""

from __future__ import annotations

import re

import numpy as np

from napari_what_where.image import data_channels

Select = tuple[int | slice, ...]
"""An index of integers and slices, from the first axis on, as numpy has it."""


def select_plane(array: np.ndarray, select: Select | None = None, channel_axis: int | None = None) -> np.ndarray:
    """Part of an array as (rows, columns[, channels]), contiguous.

    Parameters
    ----------
    array : (…) array
    select : integers and slices, optional
        From the first axis on, see :func:`parse_select`; by default all of the array.
    channel_axis : int, optional
        The axis of what was selected that holds channels, negative from the last; moved to the end. Without it what
        is selected has two axes, or a third and last of 3 or 4 colours; channels are never taken for colours.

    Raises
    ------
    ValueError
        If the index does not fit the array, or what it selects is no plane.
    """
    part = array[full_index(array.shape, select)]
    chosen = f"has shape {array.shape}, the part selected {part.shape}"
    if part.size == 0:
        raise ValueError(f"{chosen} and no pixels. Select less narrowly")
    if channel_axis is not None:
        if part.ndim != 3 or not -3 <= channel_axis < 3:
            raise ValueError(f"{chosen}; expected three axes, of which channel axis {channel_axis} is one")
        part = data_channels(np.moveaxis(part, channel_axis, -1))
    elif part.ndim != 2 and not (part.ndim == 3 and part.shape[2] in (3, 4)):
        raise ValueError(
            f"{chosen}; expected (rows, columns). Select one plane, for example {','.join(['0'] * (part.ndim - 2))},:,:"
            ", or say which axis holds channels"
        )
    return np.array(part, order="C")


def parse_select(text: str) -> Select:
    """An index like ``3,:,:`` or ``:,:,10:200,30:400`` as integers and slices; ``ValueError`` for anything else."""
    return tuple(_parse_index(item.strip()) for item in text.split(","))


def format_select(select: Select) -> str:
    """The text that :func:`parse_select` reads as ``select``."""
    return ",".join(_format_index(index) for index in select)


def _parse_index(item: str) -> int | slice:
    if re.fullmatch(r"-?[0-9]+", item):
        return int(item)
    if not re.fullmatch(r"(-?[0-9]+)?(:(-?[0-9]+)?){1,2}", item):
        raise ValueError(f"received {item!r}; expected integers and slices, like 3,:,10:200")
    bounds = [int(bound) if bound else None for bound in item.split(":")]
    if bounds[2:] == [0]:
        raise ValueError(f"received {item!r}; expected a step that is not 0")
    return slice(*bounds)


def _format_index(index: int | slice) -> str:
    if not isinstance(index, slice):
        return str(int(index))
    start, stop, step = ("" if bound is None else str(int(bound)) for bound in (index.start, index.stop, index.step))
    return f"{start}:{stop}" + (f":{step}" if step else "")


def full_index(shape: tuple[int, ...], select: Select | None) -> Select:
    """``select`` with an index for every axis of ``shape``; ``ValueError`` if it does not fit."""
    given = select or ()
    if len(given) > len(shape):
        raise ValueError(f"has shape {shape}; the selection {format_select(given)} is for {len(given)} axes")
    for size, index in zip(shape, given, strict=False):
        if not isinstance(index, slice) and not -size <= index < size:
            raise ValueError(f"has shape {shape}; the selection {format_select(given)} is outside of it")
    return (*given, *[slice(None)] * (len(shape) - len(given)))
