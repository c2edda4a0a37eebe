"""Images of every kind that may come through the door."""

from __future__ import annotations

import numpy as np

DTYPES = ("uint8", "uint16", "int32", "float16", "float32", "float64", "bool")


def scene(shape: tuple[int, int] = (24, 32), channels: int | None = None, dtype: str = "uint8") -> np.ndarray:
    """A disc and a stripe on a slope, with a little noise, spread over the range that is usual for the dtype."""
    rng = np.random.default_rng(0)
    rows, columns = np.indices(shape) / np.array(shape).reshape(2, 1, 1)
    plane = 0.3 * columns + 0.5 * (np.hypot(rows - 0.5, columns - 0.3) < 0.25) + 0.15 * (np.abs(columns - 0.8) < 0.1)
    planes = np.stack([np.roll(plane, 2 * i, axis=1) for i in range(channels or 1)], axis=-1)
    planes = np.clip(planes + 0.03 * rng.random(planes.shape), 0, 1)
    planes = planes if channels else planes[..., 0]
    if dtype == "bool":
        return planes > 0.4
    top = {"uint8": 255, "uint16": 65535, "int32": 2**20, "float16": 1, "float32": 1, "float64": 1}[dtype]
    low = -(2**10) if dtype == "int32" else 0
    return (planes * top + low).astype(dtype)


REFUSED: dict[str, tuple[object, type[Exception], str]] = {
    "NaN": (np.full((8, 8), np.nan), ValueError, "64 NaN or infinite values of 64"),
    "infinite": (np.where(np.eye(8) > 0, np.inf, 0), ValueError, "8 NaN or infinite values of 64"),
    "no pixels": (np.zeros((0, 8)), ValueError, "at least 2 × 2 pixels"),
    "no channels": (np.zeros((8, 8, 0)), ValueError, "at least 2 × 2 pixels"),
    "one pixel": (np.zeros((1, 1)), ValueError, "at least 2 × 2 pixels"),
    "one row": (np.zeros((1, 8)), ValueError, "at least 2 × 2 pixels"),
    "one axis": (np.zeros(8), ValueError, r"1 axes \(shape \(8,\)\)"),
    "four axes": (np.zeros((2, 8, 8, 3)), ValueError, "4 axes.*one plane at a time"),
    "a number": (3.0, ValueError, "0 axes"),
    "complex": (np.zeros((8, 8), complex), TypeError, "complex128.*Pass its abs, real or angle"),
    "text": (np.full((8, 8), "a"), TypeError, "expected a real-valued array"),
    "bytes": (np.full((8, 8), b"a"), TypeError, "expected a real-valued array"),
    "objects": (np.full((8, 8), None), TypeError, "expected a real-valued array"),
    "dates": (np.zeros((8, 8), "datetime64[s]"), TypeError, "expected a real-valued array"),
    "records": (np.zeros((8, 8), [("red", "u1")]), TypeError, "expected a real-valued array"),
    "ragged": ([[1, 2], [3]], TypeError, "list, which numpy cannot read as one array"),
    "nothing": (None, TypeError, "NoneType of dtype object"),
    "a path": ("cells.tif", TypeError, "str of dtype"),
}
