"""How arrays become bytes: atomic files, TIFF as ImageJ reads it, PNG, and the units of a pixel."""

from __future__ import annotations

import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_UINT16 = 2**16 - 1
LARGEST_EXACT_FLOAT32 = 2**24
"""Up to here float32 holds every integer."""

_IMAGEJ_AXES = {2: "YX", 3: "ZYX", 4: "TZYX"}
_IMAGEJ_UNITS = {
    "angstrom": "A", "nanometer": "nm", "micrometer": "um", "micrometre": "um", "micron": "um", "µm": "um",
    "μm": "um", "millimeter": "mm", "centimeter": "cm", "meter": "m",
}  # fmt: skip
_SECONDS = {"second": 1.0, "sec": 1.0, "s": 1.0, "millisecond": 1e-3, "ms": 1e-3, "minute": 60.0, "hour": 3600.0}


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary name in the folder of ``path``, and move that file to ``path`` when the block succeeds.

    Missing folders are created. Whatever stops the block (an exception, Ctrl-C), the temporary file is removed
    and ``path`` is as it was. The system's own ``OSError`` (no permission, disk full) comes through.
    """
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.stem[:80]}.{uuid.uuid4().hex[:12]}{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def leftovers(path: str | os.PathLike[str]) -> list[Path]:
    """Temporary files that :func:`atomic_path` could not remove, as its process was killed while it wrote ``path``."""
    target = Path(os.path.realpath(path))
    # Two names where one block wrote into the temporary file of another.
    name = re.compile(rf"\.{{1,2}}{re.escape(target.stem[:80])}(\.[0-9a-f]{{12}}){{1,2}}{re.escape(target.suffix)}")
    return [each for each in target.parent.iterdir() if name.fullmatch(each.name)]


def label_dtype(labels: np.ndarray, format: str) -> np.dtype:
    """The smallest type that the format ("tiff" or "png") offers and that holds every one of ``labels`` exactly.

    TIFF: uint16 up to 65,535, float32 up to 16,777,216. PNG: uint8 up to 255, uint16 up to 65,535.
    Raises ``ValueError`` beyond.
    """
    largest = int(labels.max())
    if format == "png":
        if largest > LARGEST_UINT16:
            raise ValueError(
                f"The largest label is {largest:,}; a PNG holds labels up to {LARGEST_UINT16:,}. Write a TIFF instead."
            )
        return np.dtype(np.uint8 if largest <= 255 else np.uint16)
    if largest > LARGEST_EXACT_FLOAT32:
        raise ValueError(
            f"The largest label is {largest:,}; a TIFF that ImageJ reads holds labels exactly up to "
            f"{LARGEST_EXACT_FLOAT32:,}. Renumber them first, for example with "
            "skimage.segmentation.relabel_sequential."
        )
    return np.dtype(np.uint16 if largest <= LARGEST_UINT16 else np.float32)


def write_imagej(
    path: Path,
    array: np.ndarray,
    *,
    axes: str | None = None,
    pixel_size: Sequence[float] | None = None,
    units: str | Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    info: str | None = None,
) -> None:
    """Write a uint8, uint16 or float32 array of 2 to 4 axes as an uncompressed TIFF with ImageJ's metadata.

    ``axes`` are of "TZCYX" in this order (by default YX, ZYX, TZYX); ``pixel_size`` and ``units`` are one an axis;
    ``names`` are one a plane; ``info`` is any text. Raises ``ValueError`` for other axes.
    """
    import tifffile

    axes = axes or _IMAGEJ_AXES.get(array.ndim, "")
    if len(axes) != array.ndim or [axis for axis in "TZCYX" if axis in axes] != list(axes) or axes[-2:] != "YX":
        raise ValueError(
            f"The array has shape {array.shape} and axes {axes!r}; expected 2 to 4 axes of TZCYX in this order, "
            "YX among them. Write one plane or stack at a time."
        )
    described, resolution = _imagej_scale(axes, pixel_size, units)
    if names is not None:
        described["Labels"] = list(names)
    if info is not None:
        described["Info"] = info
    tifffile.imwrite(
        path, array, imagej=True, metadata={"axes": axes, **described}, resolution=resolution, software=software()
    )


def write_png(path: Path, array: np.ndarray, *, text: Mapping[str, str]) -> None:
    """Write a (rows, columns) uint8 or uint16 array as a grey PNG with ``text`` entries. ``ValueError`` otherwise."""
    from PIL import Image, PngImagePlugin

    if array.ndim != 2:
        raise ValueError(f"The array has shape {array.shape}; a PNG holds (rows, columns). Write a TIFF instead.")
    entries = PngImagePlugin.PngInfo()
    for key, value in {"Software": software(), **text}.items():
        entries.add_itxt(key, value)
    Image.fromarray(array).save(path, format="PNG", pnginfo=entries)


def software() -> str:
    """The name and version that files carry."""
    return f"napari-what-where {metadata.version('napari-what-where')}"


def per_axis(value: Any, count: int, what: str) -> tuple | None:
    """``value``, one for all ``count`` axes or one an axis, as a tuple of ``count``; None stays None."""
    if value is None:
        return None
    each = (value,) * count if isinstance(value, str) or np.ndim(value) == 0 else tuple(value)
    if len(each) != count:
        raise ValueError(f"Received {len(each)} {what} ({each}); expected one, or one for each of {count} axes.")
    return each


def plain(value: Any) -> Any:
    """``value`` of mappings, sequences, numpy and other scalars as JSON knows them; NaN and infinity are None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _imagej_scale(
    axes: str, pixel_size: Sequence[float] | None, units: str | Sequence[str] | None
) -> tuple[dict[str, Any], tuple[float, float] | None]:
    """ImageJ's own keys, and (x, y) pixels per unit, of the sizes and units of ``axes``."""
    sizes = per_axis(pixel_size, len(axes), "pixel sizes")
    names = per_axis(units, len(axes), "units")
    if sizes is None:
        return {}, None
    if not all(math.isfinite(size) and size > 0 for size in sizes):
        raise ValueError(f"The pixel sizes are {sizes}; expected positive numbers.")
    size = dict(zip(axes, map(float, sizes), strict=True))
    unit = dict(zip(axes, map(str, names), strict=True)) if names else {}
    described: dict[str, Any] = {}
    if unit.get("X", "pixel") not in ("pixel", "pixels", ""):
        described["unit"] = _IMAGEJ_UNITS.get(unit["X"], unit["X"])
    if "Z" in size:
        described["spacing"] = size["Z"]
    if "T" in size and unit.get("T") in _SECONDS:
        described["finterval"] = size["T"] * _SECONDS[unit["T"]]
    return described, (1 / size["X"], 1 / size["Y"])
