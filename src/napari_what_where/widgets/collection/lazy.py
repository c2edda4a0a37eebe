"""Stacks whose planes are read when they are looked at; no Qt."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

import numpy as np

Read = Callable[..., np.ndarray]


def lazy_stack(read: Read, planes: int, shape: tuple[int, ...], dtype: Any, *, leading: int | None = None) -> Any:
    """A dask array of (planes, *shape), or (leading, planes, *shape), whose planes are read one at a time.

    ``read(plane)``, or ``read(k, plane)``, gives one of (up to) that shape; what is smaller is filled up with 0, with
    ``leading`` with NaN, which napari does not draw. So is what cannot be read: of an image that failed there is
    nothing to show, and a file may go meanwhile.
    """
    import dask.array as da

    outer = (planes,) if leading is None else (leading, planes)
    ones, nothing = (1,) * len(outer), np.nan if np.issubdtype(dtype, np.floating) and leading else 0

    def block(block_id: tuple[int, ...] | None = None) -> np.ndarray:
        canvas = np.full((*ones, *shape), nothing, dtype)
        if block_id is not None:
            with suppress(Exception):
                pixels = read(*block_id[: len(outer)])
                canvas[(0,) * len(outer) + tuple(map(slice, pixels.shape))] = pixels
        return canvas

    # A name of its own: napari keeps blocks by name, and the same function may come to read something else.
    return da.map_blocks(
        block,
        chunks=(*((1,) * count for count in outer), *((size,) for size in shape)),
        dtype=dtype,
        meta=np.empty((0,) * (len(outer) + len(shape)), dtype),
        name=f"what-where-{uuid4().hex}",
    )
