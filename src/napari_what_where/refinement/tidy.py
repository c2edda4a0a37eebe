"""Labels tidied up: holes, specks, parts, numbers."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_what_where.refinement.edit import Edit


def fill_holes(
    labels: np.ndarray,
    selected: Collection[int] | None = None,
    *,
    locked: Collection[int] = (),
    largest: int | None = None,
) -> Edit:
    raise NotImplementedError


def remove_small(
    labels: np.ndarray,
    pixels: int,
    selected: Collection[int] | None = None,
    *,
    fill: bool = False,
    locked: Collection[int] = (),
) -> Edit:
    raise NotImplementedError


def keep_largest(labels: np.ndarray, selected: Collection[int] | None = None, *, locked: Collection[int] = ()) -> Edit:
    raise NotImplementedError


def relabel(labels: np.ndarray, *, locked: Collection[int] = ()) -> Edit:
    raise NotImplementedError


def separate(
    labels: np.ndarray,
    selected: Collection[int] | None = None,
    *,
    locked: Collection[int] = (),
    free: int | None = None,
) -> Edit:
    raise NotImplementedError
