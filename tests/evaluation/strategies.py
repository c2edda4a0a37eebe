"""Random label images."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

shapes = st.tuples(st.integers(2, 7), st.integers(2, 7))


def labels_of(shape: tuple[int, int], least: int = 0, most: int = 4) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.int64, shape, elements=st.integers(least, most))


pairs = shapes.flatmap(lambda shape: st.tuples(labels_of(shape), labels_of(shape)))
"""Two label images of one shape."""

pairs_with_void = shapes.flatmap(lambda shape: st.tuples(labels_of(shape), labels_of(shape, least=-1)))


def blobs(rng: np.random.Generator, shape: tuple[int, int] = (40, 50), count: int = 6) -> np.ndarray:
    """A label image of Voronoi cells, 0 … count − 1."""
    seeds = rng.integers(0, shape, (count, 2))
    grid = np.stack(np.mgrid[: shape[0], : shape[1]], axis=-1)
    return np.linalg.norm(grid[:, :, None] - seeds, axis=-1).argmin(axis=-1)
