"""Images from files: one plane, or part of a stack, with the size of a pixel where the file says it."""

from __future__ import annotations

import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_what_where.files.indexing import Select, full_index, select_plane

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


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """The one array that a file holds, with all axes as stored but those of length 1 in a TIFF.

    As ``tifffile.imread``, ``numpy.load`` and Pillow give it: colours last, several frames first. Uncompressed TIFF
    and NPY files are mapped, read-only: only what is taken of them is read. Raises as :func:`read_image`.
    """
    return _read_stored(_existing(path))[0]


def read_plane(
    path: str | os.PathLike[str], select: Select | None = None, channel_axis: int | None = None
) -> ImageFile:
    """What :func:`read_image` reads, or, told which part, that part of :func:`read_array`.

    See :func:`~napari_what_where.files.indexing.select_plane`. The size of a pixel stays with planes along the rows and
    columns of the file. Raises what these three raise.
    """
    if select is None and channel_axis is None:
        return read_image(path)
    array, axes, pixel_size, units = _read_stored(_existing(path))
    pixels = select_plane(array, select, channel_axis)
    index = zip(axes, full_index(array.shape, select), strict=True)
    left = [(axis, step.step or 1) for axis, step in index if isinstance(step, slice)]
    if channel_axis is not None:
        del left[channel_axis]
    if pixel_size is None or [axis for axis, _ in left[:2]] != ["Y", "X"]:
        return ImageFile(pixels)
    return ImageFile(pixels, (pixel_size[0] * abs(left[0][1]), pixel_size[1] * abs(left[1][1])), units)


def _existing(path: str | os.PathLike[str]) -> Path:
    file = Path(path)
    if file.is_dir():
        raise IsADirectoryError("is a folder; expected an image file")
    if not file.exists():
        raise FileNotFoundError("there is no such file")
    return file


class _Stored(NamedTuple):
    """An array, a letter for each of its axes, and the size of a pixel along Y and X."""

    array: np.ndarray
    axes: str
    pixel_size: tuple[float, float] | None = None
    units: str | None = None


def _read_stored(file: Path) -> _Stored:
    if file.suffix.lower() in _TIFF_SUFFIXES:
        import tifffile

        with tifffile.TiffFile(file) as tiff:
            if len(tiff.series) != 1:
                raise ValueError(f"holds {len(tiff.series)} images; expected one image or stack")
            (series,) = tiff.series
            mapped = series.dataoffset is not None and series.size > 0
            array = tifffile.memmap(file, series=0, mode="r") if mapped else series.asarray()
            return _Stored(array, series.axes, *_tiff_scale(tiff))
    if file.suffix.lower() == ".npy":
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    else:
        array = _read_with_pillow(file, frames=True)
    return _Stored(array, "Q" * array.ndim)


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
        return ImageFile(pixels, *_tiff_scale(tiff))


def _tiff_scale(tiff: tifffile.TiffFile) -> tuple[tuple[float, float], str] | tuple[None, None]:
    """The size of a pixel that ImageJ or OME metadata give, in units spelt out, or (None, None)."""
    if tiff.is_ome and tiff.ome_metadata:
        sizes = [re.search(rf'PhysicalSize{axis}="([^"]+)"', tiff.ome_metadata) for axis in "YX"]
        unit = re.search(r'PhysicalSizeXUnit="([^"]+)"', tiff.ome_metadata)
        if all(sizes):
            rows, columns = (float(size[1]) for size in sizes if size)
            return (rows, columns), _spelt_out(unit[1] if unit else "µm")
    if tiff.is_imagej and (tiff.imagej_metadata or {}).get("unit"):
        tags = [tiff.pages[0].tags.get(name) for name in ("YResolution", "XResolution")]
        if all(tag is not None and tag.value[0] for tag in tags):
            rows, columns = (tag.value[1] / tag.value[0] for tag in tags)
            return (rows, columns), _spelt_out(str((tiff.imagej_metadata or {})["unit"]))
    return None, None


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
