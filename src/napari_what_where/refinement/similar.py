"""From one object to all that are like it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from napari_what_where.refinement.edit import Edit
from napari_what_where.refinement.guide import Guide


class Alike(NamedTuple):
    """What is as like as asked: how many regions, and where, (rows, columns) bool."""

    count: int
    where: np.ndarray


@dataclass(frozen=True, eq=False)
class Likeness:
    suggested: float

    def at(self, threshold: float) -> Alike:
        raise NotImplementedError

    def edit(self, labels: np.ndarray, threshold: float, *, as_one: bool, free: int | None = None) -> Edit:
        raise NotImplementedError


def find_like(labels: np.ndarray, at: tuple[int, int], guide: Guide, *, locked: Collection[int] = ()) -> Likeness:
    raise NotImplementedError
