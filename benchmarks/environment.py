"""Where a figure was measured."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def describe_environment() -> dict[str, object]:
    """Python, packages, processor and the number of cores this process may use."""
    packages = ("napari-what-where", "torch", "numpy", "scipy", "scikit-image", "scikit-learn", "ncut-pytorch", "pyamg")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{package: version(package) for package in packages if _installed(package)},
    }


def _installed(package: str) -> bool:
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False


@contextmanager
def peak_memory() -> Iterator[Callable[[], int | None]]:
    """Gives a function that says how many bytes the process took at its peak within the block, beyond what it had.

    None where the system does not tell (anything but Linux).
    """
    process = Path("/proc/self")
    try:
        (process / "clear_refs").write_text("5")  # the high-water mark starts anew, see proc(5)
    except OSError:
        yield lambda: None
        return
    before = _status(process, "VmRSS")
    yield lambda: _status(process, "VmHWM") - before


def _status(process: Path, field: str) -> int:
    """Bytes of one line of /proc/PID/status, which has kibibytes."""
    lines = (process / "status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))
