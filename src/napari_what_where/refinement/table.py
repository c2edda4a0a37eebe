"""Objects as a table."""

from __future__ import annotations

import numpy as np

from napari_what_where.refinement.guide import Guide


def objects_table(
    labels: np.ndarray, guide: Guide | None = None, *, pixel_size: tuple[float, float] = (1.0, 1.0)
) -> dict[str, np.ndarray]:
    raise NotImplementedError
