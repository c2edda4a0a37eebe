"""How much memory there is, and what to say when it is not enough."""

from __future__ import annotations

import errno
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_NO_MEMORY = re.compile(
    r"out of memory|(can't|cannot|could not|unable to) allocate|not enough memory|"
    r"CUBLAS_STATUS_ALLOC_FAILED|invalid buffer size|failed to map segment",
    re.IGNORECASE,
)
"""What torch's allocators, drivers and the dynamic loader say in exceptions that are no ``MemoryError``."""

_AMOUNT = re.compile(r"(?:allocate|buffer size:)\s+([\d.]+)\s*(bytes|[KMGTPE]i?B)", re.IGNORECASE)
_POWERS = {"b": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}


class MemoryProblem(MemoryError):
    """One whose message is a sentence for the user."""


class OutOfMemory(MemoryProblem):
    """A run that did not fit. ``device``: "cpu", "cuda:0", "mps"; ``asked``, ``free``: bytes, None where unknown."""

    def __init__(self, device: str, asked: int | None = None, free: int | None = None) -> None:
        numbers = [
            *([] if asked is None else [f"{readable_bytes(asked)} more were asked for"]),
            *([] if free is None else [f"{readable_bytes(free)} were free"]),
        ]
        place = "this computer" if device == "cpu" else f"the graphics card {device}"
        remedy = "close other programs" if device == "cpu" else "compute on the CPU"
        super().__init__(
            f"There was not enough memory on {place}{' (' + ', '.join(numbers) + ')' if numbers else ''}; "
            f"look for larger objects, analyse a part of the image, or {remedy}."
        )
        self.device, self.asked, self.free = device, asked, free

    def __reduce__(self) -> tuple[type[OutOfMemory], tuple[str, int | None, int | None]]:
        return type(self), (self.device, self.asked, self.free)


_CGROUP_1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
_CGROUP_2 = ("memory.max", "memory.current", "inactive_file")
"""Files of a control group that hold its limit and what it uses, and the line of memory.stat about cached files."""


def free_memory(device: str | torch.device = "cpu") -> int:
    """Bytes that could be allocated now on "cpu", "mps" or "cuda[:n]": what the driver says is free, or the system.

    The system's figure is the smallest of what the machine has left, what the limits of this process's control
    groups leave (containers and batch systems, where the machine's own figure is the host's), and what its limit of
    address space leaves (``ulimit -v``). torch is imported for CUDA only. Cost: well under a millisecond.
    """
    if str(device).startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    left = [int(psutil.virtual_memory().available), _address_space_left(), *_control_groups_left()]
    return max(0, min(bytes_left for bytes_left in left if bytes_left is not None))


def _address_space_left() -> int | None:
    """What RLIMIT_AS leaves this process; None without such a limit."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    import psutil

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit - psutil.Process().memory_info().vms


def _control_groups_left(proc: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> list[int]:
    """What each memory limit of this process's control groups and of those around them leaves; versions 1 and 2."""
    try:
        groups = [line.split(":", 2) for line in proc.read_text().splitlines()]
    except OSError:  # not Linux
        return []
    left = []
    for _, controllers, name in groups:
        if controllers and "memory" not in controllers.split(","):
            continue
        base, (limit, usage, cache) = (root / "memory", _CGROUP_1) if controllers else (root, _CGROUP_2)
        # A container may see its own group as the root, whatever name it has outside.
        for part in (Path(name), *Path(name).parents):
            with suppress(OSError, ValueError):
                folder = base / str(part).lstrip("/")
                most, used = (int((folder / file).read_text()) for file in (limit, usage))
                left.append(most - used + _reclaimable(folder, cache))
    return left


def _reclaimable(folder: Path, field: str) -> int:
    """Bytes of cached files that the system gives up when memory is wanted, though they count as used."""
    with suppress(OSError, ValueError):
        lines = (line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return next((int(value) for name, value in lines if name == field), 0)
    return 0


def readable_bytes(count: float) -> str:
    """About ``count`` bytes, as a person would say it: "0.6 GiB", "12 GiB", "40 MiB"."""
    if count < 0.1 * 2**30:
        return f"{max(1, round(count / 2**20))} MiB"
    gibibytes = count / 2**30
    return f"{gibibytes:.1f} GiB" if gibibytes < 10 else f"{gibibytes:,.0f} GiB"


@contextmanager
def explained_memory(device: str | torch.device = "auto") -> Iterator[None]:
    """Within the block, or a function that it decorates, every kind of running out of memory is ``OutOfMemory``.

    numpy's and Python's ``MemoryError``, torch's errors of CUDA, MPS and its CPU allocator, and the system's ENOMEM;
    all else passes. What the failed frames held is let go and torch's cache is returned to the device, so that
    another, smaller run may follow at once. ``device``, where the run was to be, is for errors that do not tell.
    """
    try:
        yield
    except OutOfMemory:
        _release(sys.exc_info()[1])
        raise
    except (MemoryError, RuntimeError, OSError, ImportError) as error:
        if not is_out_of_memory(error):
            raise
        known = as_out_of_memory(error, str(device))
        free = _free_now(known.device)
        _release(error)
        raise OutOfMemory(known.device, known.asked, free) from error


def as_out_of_memory(error: BaseException, device: str = "auto") -> OutOfMemory:
    """What :func:`is_out_of_memory` recognised, in a sentence; ``device`` where the error does not tell."""
    return OutOfMemory(_device_of(error, device), _asked(str(error)))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory, of whatever device, could not be had."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    # torch has a class of its own for some of them only.
    return _is_torch_error(error) or (
        isinstance(error, RuntimeError | ImportError) and bool(_NO_MEMORY.search(str(error)))
    )


def _is_torch_error(error: BaseException) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.cuda.OutOfMemoryError)


def _device_of(error: BaseException, wanted: str) -> str:
    """Where memory ran out: as the message says, else a GPU that was wanted if torch raised it, else the CPU."""
    words = str(error)
    number = re.search(r"GPU (\d+)", words)
    if number:
        return f"cuda:{number[1]}"
    if "MPS" in words or "buffer size" in words:
        return "mps"
    if "CPUAllocator" in words or not isinstance(error, RuntimeError):
        return "cpu"
    if "CUDA" not in words and "CUBLAS" not in words and not _is_torch_error(error):
        return "cpu"
    return wanted if wanted not in ("auto", "cpu") else "cuda"


def _asked(words: str) -> int | None:
    """The bytes that an allocator says it was asked for."""
    found = _AMOUNT.search(words)
    return found and int(float(found[1]) * 1024 ** _POWERS[found[2][0].lower()])


def _free_now(device: str) -> int | None:
    """What is free on a device; None where asking fails, as it may on a machine in trouble."""
    try:
        return free_memory(device)
    except Exception:
        return None


def _release(error: BaseException | None) -> None:
    """Let go of what the frames of an error hold, and return torch's cached memory to its device."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
    torch = sys.modules.get("torch")
    if torch is None:
        return
    # A device that has just failed may fail again here; the first error is the one to tell.
    with suppress(Exception):
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        elif torch.backends.mps.is_available():
            torch.mps.empty_cache()
