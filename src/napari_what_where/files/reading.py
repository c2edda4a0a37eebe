"""Images from files: one plane, or an array with all its axes, with the size of a pixel where the file says it."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import tifffile

_TIFF_SUFFIXES = (".tif", ".tiff", ".btf", ".tf8", ".lsm", ".stk", ".svs", ".qptiff")
_PILLOW_SUFFIXES = (
    ".png", ".apng", ".jpg", ".jpeg", ".jfif", ".jp2", ".bmp", ".gif", ".webp", ".avif", ".tga", ".pbm", ".pgm", ".ppm",
    ".pnm",
)  # fmt: skip
READABLE_SUFFIXES = (*_TIFF_SUFFIXES, ".npy", *_PILLOW_SUFFIXES)
"""What images are called, in lower case; others that Pillow reads are read, too, when they are named."""

_UNITS = {"um": "micrometer", "µm": "micrometer", "\\u00B5m": "micrometer", "micron": "micrometer", "nm": "nanometer"}
_UNITS |= {"mm": "millimeter", "cm": "centimeter", "m": "meter"}
_ONE_PLANE = "expected one plane of (rows, columns[, channels]). Select one, or save it as a file of its own"


class ImageFile(NamedTuple):
    """What a file holds.

    ``pixels``: (rows, columns[, channels]) in the file's own type; ``pixel_size``: of rows and columns, in
    ``units``, both None where the file does not say.
    """

    pixels: np.ndarray
    pixel_size: tuple[float, float] | None = None
    units: str | None = None


class StoredArray(NamedTuple):
    """An array with all its axes, as a file has it.

    ``axes``: a letter for each, as tifffile has them, Q where the file does not say; ``sizes``: extent of a pixel along
    Y and X, in ``units``, and where it is known Z, in ``units`` too, and T, in seconds.
    """

    array: np.ndarray
    axes: str
    sizes: Mapping[str, float] = {}
    units: str | None = None


def read_image(path: str | os.PathLike[str]) -> ImageFile:
    """Read one 2-D image: TIFF (with several channels, too), NPY, or what Pillow reads (PNG, JPEG, BMP, WebP, …).

    Raises
    ------
    OSError
        There is no such file, or it cannot be read.
    ValueError
        It is no image, or holds more than one plane.
    """
    file = _existing(path)
    if file.suffix.lower() in _TIFF_SUFFIXES:
        return _read_tiff(file)
    if file.suffix.lower() == ".npy":
        return ImageFile(np.load(file, allow_pickle=False))
    return ImageFile(_read_with_pillow(file))


def read_stored(path: str | os.PathLike[str]) -> StoredArray:
    """The one array that a file holds, with all axes as stored but those of length 1 in a TIFF.

    As ``tifffile.imread``, ``numpy.load`` and Pillow give it: colours last, several frames first. Uncompressed TIFF
    and NPY files are mapped, read-only: only what is taken of them is read. Raises as :func:`read_image`.
    """
    file = _existing(path)
    if file.suffix.lower() in _TIFF_SUFFIXES:
        import tifffile

        with tifffile.TiffFile(file) as tiff:
            if len(tiff.series) != 1:
                raise ValueError(f"holds {len(tiff.series)} images; expected one image or stack")
            (series,) = tiff.series
            mapped = series.dataoffset is not None and series.size > 0
            array = tifffile.memmap(file, series=0, mode="r") if mapped else series.asarray()
            return StoredArray(array, series.axes, *_tiff_scale(tiff))
    if file.suffix.lower() == ".npy":
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    else:
        array = _read_with_pillow(file, frames=True)
    return StoredArray(array, "Q" * array.ndim)


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError("is a folder; expected an image file")
    if not file.exists():
        raise FileNotFoundError("there is no such file")
    return file


def _read_tiff(file: Path) -> ImageFile:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        series = tiff.series[0] if tiff.series else None
        if series is None or len(tiff.series) > 1:
            raise ValueError(f"holds {len(tiff.series)} images; {_ONE_PLANE}")
        kept = [(axis, size) for axis, size in zip(series.axes, series.shape, strict=True) if size > 1 or axis in "YX"]
        axes = "".join(axis for axis, _ in kept)
        if axes.replace("S", "C", 1).replace("C", "", 1) != "YX":
            shape = ", ".join(f"{axis}: {size}" for axis, size in kept)
            raise ValueError(f"is a stack ({shape}); {_ONE_PLANE}")
        pixels = series.asarray().reshape([size for _, size in kept])
        if len(axes) == 3:
            pixels = np.moveaxis(pixels, axes.index("C" if "C" in axes else "S"), -1)
        sizes, units = _tiff_scale(tiff)
        return ImageFile(pixels, (sizes["Y"], sizes["X"]), units) if sizes else ImageFile(pixels)


def _tiff_scale(tiff: tifffile.TiffFile) -> tuple[dict[str, float], str | None]:
    """The sizes of a pixel that OME or ImageJ metadata give, and their unit spelt out, as :class:`StoredArray` has it.

    Empty, and None, where they do not give those of rows and columns.
    """
    if tiff.is_ome and tiff.ome_metadata:
        sizes, units = _ome_scale(tiff.ome_metadata)
        if sizes:
            return sizes, units
    described = (tiff.imagej_metadata or {}) if tiff.is_imagej else {}
    tags = [tiff.pages[0].tags.get(name) for name in ("YResolution", "XResolution")]
    if not described.get("unit") or any(tag is None or not tag.value[0] for tag in tags):
        return {}, None
    sizes = {axis: tag.value[1] / tag.value[0] for axis, tag in zip("YX", tags, strict=True)}
    others = {"Z": described.get("spacing"), "T": described.get("finterval")}
    return sizes | {axis: float(size) for axis, size in others.items() if size}, _spelt_out(str(described["unit"]))


def _ome_scale(metadata: str) -> tuple[dict[str, float], str | None]:
    names = {"Y": "PhysicalSizeY", "X": "PhysicalSizeX", "Z": "PhysicalSizeZ", "T": "TimeIncrement"}
    found = {axis: re.search(rf'\b{name}="([^"]+)"', metadata) for axis, name in names.items()}
    units = {axis: re.search(rf'\b{name}Unit="([^"]+)"', metadata) for axis, name in names.items()}
    sizes = {axis: float(size[1]) for axis, size in found.items() if size}
    spelt = {axis: _spelt_out(unit[1]) if unit else "micrometer" for axis, unit in units.items()}
    if not all(sizes.get(axis, 0) > 0 for axis in "YX"):
        return {}, None
    # Time has its own unit, by default the second; depth may have another than rows and columns.
    usable = {"Y", "X"} | ({"Z"} if spelt["Z"] == spelt["X"] else set()) | (set() if units["T"] else {"T"})
    return {axis: size for axis, size in sizes.items() if axis in usable and size > 0}, spelt["X"]


def _spelt_out(unit: str) -> str:
    return _UNITS.get(unit.replace("μ", "µ"), unit)


def _read_with_pillow(file: Path, *, frames: bool = False) -> np.ndarray:
    """The one image of a file; with ``frames`` all of them, one before the other if there are several."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    with warnings.catch_warnings():
        # Large micrographs are no attack.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            with Image.open(file) as image:
                count = getattr(image, "n_frames", 1)
                if count > 1 and frames:
                    return np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
                if count > 1:
                    raise ValueError(f"holds {count} frames; {_ONE_PLANE}")
                return np.asarray(image.convert(_plain_mode(image)))
        except UnidentifiedImageError:
            raise ValueError("is no image that can be read here; expected TIFF, PNG, JPEG, BMP, WebP or NPY") from None


def _plain_mode(image: object) -> str:
    """The Pillow mode whose array is grey or red, green, blue (and alpha) values."""
    mode = str(getattr(image, "mode", "RGB"))
    see_through = "transparency" in getattr(image, "info", {})
    if mode in ("P", "PA"):
        return "RGBA" if mode == "PA" or see_through else "RGB"
    return {"1": "L", "LA": "RGBA", "La": "RGBA", "RGBa": "RGBA", "RGBX": "RGB", "CMYK": "RGB", "YCbCr": "RGB"}.get(
        mode, "RGB" if mode in ("HSV", "LAB") else mode
    )
