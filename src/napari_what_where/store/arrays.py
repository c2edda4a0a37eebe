"""One tensor of activations on disk: a zarr array of a single uncompressed chunk, and what tells damage from data."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch

_UNSIGNED = {1: "uint8", 2: "uint16", 4: "uint32", 8: "uint64"}


class Damaged(ValueError):
    """What lies on disk is not what was written."""


def write_array(path: Path, tensor: torch.Tensor) -> dict[str, Any]:
    """Write a tensor of any floating type and device to the folder ``path``, bit for bit.

    Returns what :func:`read_array` wants to know, ready for JSON: dtype, shape, bytes, CRC-32. Types that numpy lacks,
    such as bfloat16, are written as unsigned integers of the same bits. Cost: one copy, to the system's file cache.
    """
    array = _as_numpy(tensor)
    _create(path, array)[...] = array
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(array.shape),
        "bytes": array.nbytes,
        "crc32": zlib.crc32(array.data.cast("B")),
    }


def read_array(path: Path, record: dict[str, Any]) -> torch.Tensor:
    """The tensor that was written to ``path``, on the CPU, in memory of its own.

    Raises :class:`Damaged`, or whatever zarr or the system raise, where anything of it has changed. Nothing larger
    than what was written is allocated, whatever the files say.
    """
    import torch

    dtype = getattr(torch, record["dtype"])
    kept = _open(path)
    if not list(kept.shape) == list(kept.chunks) == record["shape"] or kept.nbytes != record["bytes"]:
        raise Damaged(f"{path} holds {kept.shape} of {kept.dtype}; {record['shape']} of {record['dtype']} was written.")
    array = np.ascontiguousarray(kept[...])
    if zlib.crc32(array.data.cast("B")) != record["crc32"]:
        raise Damaged(f"{path} does not have the checksum with which it was written.")
    if array.dtype.kind == "u":
        array = array.view(f"int{8 * array.itemsize}")
    tensor = torch.from_numpy(array)
    return tensor if tensor.dtype == dtype else tensor.view(dtype)


def _as_numpy(tensor: torch.Tensor) -> np.ndarray:
    import torch

    plain = tensor.detach().cpu().contiguous()
    if plain.dtype in (torch.float16, torch.float32, torch.float64):
        array: np.ndarray = plain.numpy()
        return array
    bits = plain.view(getattr(torch, f"int{8 * plain.itemsize}")).numpy()
    return bits.view(_UNSIGNED[plain.itemsize])


def _create(path: Path, array: np.ndarray) -> Any:
    """A new zarr array. Version 2 of the format is what zarr 2 and 3 both read and write."""
    import zarr

    shape, dtype = array.shape, array.dtype
    if _zarr_is_2():
        return zarr.open_array(str(path), mode="w", shape=shape, chunks=shape, dtype=dtype, compressor=None)
    return zarr.create_array(
        str(path),
        shape=shape,
        chunks=shape,
        dtype=dtype,
        compressors=None,
        filters=None,
        zarr_format=2,
        # Else every chunk is searched for other values than zero first.
        config={"write_empty_chunks": True},
    )


def _open(path: Path) -> Any:
    import zarr

    return zarr.open_array(str(path), mode="r", **({} if _zarr_is_2() else {"zarr_format": 2}))


def _zarr_is_2() -> bool:
    import zarr

    return int(zarr.__version__.partition(".")[0]) < 3
