"""Outlines of labels moved to the edges of the image."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from napari_what_where.refinement.edit import Edit
from napari_what_where.refinement.guide import Guide


def snap_to_edges(
    labels: np.ndarray,
    image: Guide | np.ndarray,
    selected: Collection[int] | None = None,
    *,
    reach: int = 6,
    locked: Collection[int] = (),
) -> Edit:
    raise NotImplementedError
