"""NPY: the array as it is, for numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from napari_what_where.files.encoding import system_errors
from napari_what_where.files.formats.types import LabelImage


def write_npy(path: Path, given: LabelImage) -> None:
    """Labels of any size in their own type and order of axes; nothing else has a place there."""
    with system_errors(path), path.open("wb") as file:
        np.save(file, np.ascontiguousarray(given.labels), allow_pickle=False)
