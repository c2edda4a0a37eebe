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
    (plane,) = select_planes(array, select, channel_axis)
    return np.array(plane if channel_axis is None else data_channels(plane), order="C")


def select_planes(
    array: np.ndarray,
    select: Select | None = None,
    channel_axis: int | None = None,
    plane_axis: int | None = None,
) -> np.ndarray:
    """As :func:`select_plane`, every plane along ``plane_axis``: a view of (planes, rows, columns[, channels]).

    ``plane_axis``: an axis of what was selected, as ``channel_axis`` is; without it there is one plane. Pixels are as
    they are stored: channels that could be taken for colours are left to the caller. Raises as :func:`select_plane`.
    """
    part = array[full_index(array.shape, select)]
    chosen = f"has shape {array.shape}, the part selected {part.shape}"
    if part.size == 0:
        raise ValueError(f"{chosen} and no pixels. Select less narrowly")
    axes = [axis for axis in (plane_axis, channel_axis) if axis is not None]
    if any(not -part.ndim <= axis < part.ndim for axis in axes) or len({axis % part.ndim for axis in axes}) < len(axes):
        raise ValueError(f"{chosen}; expected {_named(plane_axis, channel_axis)} among its axes, counted from 0")
    order = [axis % part.ndim for axis in axes]
    planes = [order[0]] if plane_axis is not None else []
    channels = [order[-1]] if channel_axis is not None else []
    view = part.transpose(*planes, *(axis for axis in range(part.ndim) if axis not in order), *channels)
    view = view if planes else view[np.newaxis]
    colours = not channels and view.ndim == 4 and view.shape[-1] in (3, 4)
    if view.ndim != 3 + len(channels) and not colours:
        raise ValueError(f"{chosen}; {_expected(plane_axis, channel_axis, part.ndim)}")
    return view


def _named(plane_axis: int | None, channel_axis: int | None) -> str:
    names = [("plane axis", plane_axis), ("channel axis", channel_axis)]
    return " and ".join(f"{name} {axis}" for name, axis in names if axis is not None)


def _expected(plane_axis: int | None, channel_axis: int | None, ndim: int) -> str:
    """What a part of the wrong number of axes should have been."""
    named = _named(plane_axis, channel_axis)
    if named:
        return f"expected {'four' if ' and ' in named else 'three'} axes, {named} among them"
    example = ",".join(["0"] * (ndim - 2) + [":", ":"])
    return f"expected (rows, columns). Select one plane, like {example}, or say which axis holds channels, or planes"


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
