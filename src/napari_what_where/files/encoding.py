"""How arrays become bytes: atomic files, TIFF as ImageJ reads it, PNG, and the units of a pixel."""

from __future__ import annotations

import math
import os
import re
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
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
    with atomic_paths([path]) as (temporary,):
        yield temporary


@contextmanager
def atomic_paths(paths: Sequence[str | os.PathLike[str]]) -> Iterator[list[Path]]:
    """As :func:`atomic_path` for files that belong together: all are moved to their places, in this order, or none.

    What is made under a temporary name may be a folder, too; it takes the place of an earlier one. Where one cannot be
    replaced, as it is open in another program, those before it become what they were.
    """
    targets = [Path(os.path.realpath(path)) for path in paths]
    temporaries = [_beside(target) for target in targets]
    for target in targets:
        target.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield temporaries
        for temporary in temporaries:
            _flush(temporary)
        _move_all(temporaries, targets)
    finally:
        _remove(temporaries)


def _move_all(files: Sequence[Path], targets: Sequence[Path]) -> None:
    """Move each file to its target, or, if one cannot be moved, none."""
    earlier = [_beside(target) for target in targets]
    try:
        for file, target, name in zip(files, targets, earlier, strict=True):
            if target.is_dir() and file.is_dir():
                os.replace(target, name)  # no folder replaces one that has something in it
            # Nothing follows the last one that could fail.
            elif target is not targets[-1] and target.is_file():
                _keep(target, name)
            os.replace(file, target)
    except BaseException:
        for file, target, name in zip(files, targets, earlier, strict=True):
            if not file.exists() or (name.is_dir() and not target.exists()):
                _restore(target, name)
        raise
    finally:
        _remove(earlier)


def _beside(target: Path) -> Path:
    """A hidden name that nobody has, in the folder of ``target`` and with its suffix."""
    return target.with_name(f".{_short_stem(target)}.{uuid.uuid4().hex[:12]}{target.suffix}")


def _short_stem(target: Path) -> str:
    """The beginning of a name: systems allow 255 bytes in all, of which a letter takes up to four."""
    return os.fsencode(target.stem)[:220].decode(errors="ignore")


def _flush(file: Path) -> None:
    """Have a written file on the disk: one that is full, or far away, may say so only now."""
    if file.is_dir():
        for each in file.rglob("*"):
            if each.is_file():
                _flush(each)
        return
    with file.open("rb+") as written:
        os.fsync(written.fileno())


def _keep(file: Path, name: Path) -> None:
    """Give a file a second name, or copy it where file systems have no such thing."""
    try:
        os.link(file, name)
    except OSError:
        shutil.copy2(file, name)


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        # Windows removes no file that is still open; that must not hide what went wrong.
        with suppress(OSError):
            discard(file)


def discard(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _restore(target: Path, earlier: Path) -> None:
    """Undo a move: what there was before, if anything, has its name back."""
    with suppress(OSError):
        if earlier.exists():
            if earlier.is_dir():
                discard(target)
            os.replace(earlier, target)
        else:
            discard(target)


def leftovers(path: str | os.PathLike[str]) -> list[Path]:
    """Temporary files that :func:`atomic_path` could not remove, as its process was killed while it wrote ``path``."""
    target = Path(os.path.realpath(path))
    # Two names where one block wrote into the temporary file of another.
    name = re.compile(rf"\.{{1,2}}{re.escape(_short_stem(target))}(\.[0-9a-f]{{12}}){{1,2}}{re.escape(target.suffix)}")
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
    with system_errors(path):
        tifffile.imwrite(
            path, array, imagej=True, metadata={"axes": axes, **described}, resolution=resolution, software=software()
        )


@contextmanager
def system_errors(path: Path) -> Iterator[None]:
    """Where numpy says only how much of an array it could write, the system's own error, such as that of a full disk.

    (``ndarray.tofile`` raises "4096 requested and 824 written", without a number.)
    """
    try:
        yield
    except OSError as error:
        if error.errno is None and path.exists():
            with path.open("ab") as again:
                again.write(bytes(65536))
        raise


def write_png(path: Path, array: np.ndarray, *, text: Mapping[str, str]) -> None:
    """Write a (rows, columns) uint8 or uint16 array as a grey PNG with ``text`` entries. ``ValueError`` otherwise."""
    from PIL import Image

    if array.ndim != 2:
        raise ValueError(f"The array has shape {array.shape}; a PNG holds (rows, columns). Write a TIFF instead.")
    Image.fromarray(array).save(path, format="PNG", pnginfo=png_text(text))


def png_text(text: Mapping[str, str]) -> Any:
    """Entries of text for a PNG, as Pillow takes them, with the name of this program."""
    from PIL import PngImagePlugin

    entries = PngImagePlugin.PngInfo()
    for key, value in {"Software": software(), **text}.items():
        entries.add_itxt(key, value)
    return entries


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


def check_sizes(sizes: tuple | None) -> tuple | None:
    """Sizes of pixels as they are; ``ValueError`` for any that is not a positive number."""
    if sizes is not None and not all(math.isfinite(size) and size > 0 for size in sizes):
        raise ValueError(f"The pixel sizes are {sizes}; expected positive numbers.")
    return sizes


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
    sizes = check_sizes(per_axis(pixel_size, len(axes), "pixel sizes"))
    names = per_axis(units, len(axes), "units")
    if sizes is None:
        return {}, None
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
