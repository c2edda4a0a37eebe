"""Labels of all sorts, and what has to hold for every edit."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from skimage.draw import disk
from skimage.measure import label

SHAPE = (72, 96)
DTYPES = (np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64)


def disc_plan(radius: int = 8) -> np.ndarray:
    plan, number = np.zeros(SHAPE, int), 0
    for row in range(12, SHAPE[0], 24):
        for column in range(12, SHAPE[1], 24):
            number += 1
            plan[disk((row, column), radius, shape=SHAPE)] = number if number % 3 else -number
    return plan


def rectangles(seed: int, shape: tuple[int, int] = SHAPE, dtype: type = np.int32, full: bool = False) -> np.ndarray:
    """Labels that know nothing of the image: rectangles over each other, some specks, on background or on label 1."""
    rng = np.random.default_rng(seed)
    labels = np.full(shape, int(full), dtype)
    for _ in range(int(rng.integers(0, 9))):
        first, last = (np.sort(rng.integers(0, length + 1, 2)) for length in shape)
        labels[slice(*first), slice(*last)] = rng.integers(0, 8)
    for _ in range(int(rng.integers(0, 6))):
        labels[rng.integers(shape[0]), rng.integers(shape[1])] = rng.integers(0, 8)
    if full:
        labels[labels == 0] = 1
    return labels


def planes(shape: tuple[int, int] = SHAPE, full: bool = False) -> st.SearchStrategy[np.ndarray]:
    return st.builds(
        lambda seed, dtype: rectangles(seed, shape, dtype, full), st.integers(0, 10_000), st.sampled_from(DTYPES)
    )


def pixels(shape: tuple[int, int] = SHAPE) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(0, shape[0] - 1), st.integers(0, shape[1] - 1))


locks = st.frozensets(st.integers(0, 7), max_size=2)


def checked(labels: np.ndarray, edit, locked=()) -> np.ndarray:
    """The plane after an edit, which is well formed, changes what it says, and nothing that is locked."""
    assert edit.flat.dtype == edit.values.dtype == np.int64
    assert (np.diff(edit.flat) > 0).all()
    assert (edit.values != labels.reshape(-1)[edit.flat]).all()
    assert edit.said
    assert edit.said[0].isupper() or edit.said[0].isdigit()
    assert edit.said.endswith(".")
    assert bool(edit) == (len(edit.flat) > 0)
    before = labels.copy()
    after = edit.applied(labels)
    np.testing.assert_array_equal(labels, before)
    assert after.dtype == labels.dtype
    assert set(np.flatnonzero(after != labels)) == set(edit.flat)
    for each in locked:
        np.testing.assert_array_equal(after == each, labels == each)
    return after


def parts(mask: np.ndarray) -> int:
    return int(label(mask, connectivity=1).max())
