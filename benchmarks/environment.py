"""Where a figure was measured, and in which process."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


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


ANSWER = "answer "


def answer(found: Any) -> None:
    """Give what was found to the process that asked, see :func:`in_process`."""
    print(ANSWER + json.dumps(found))


def in_process(script: str, *arguments: object) -> Any:
    """What a script, run in a process of its own, says by :func:`answer`; where it says nothing, what went wrong."""
    command = [sys.executable, script, *map(str, arguments)]
    with tempfile.TemporaryFile("w+") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        errors.seek(0)
        lines = [line for line in done.stdout.splitlines() if line.startswith(ANSWER)]
        if not lines:
            raise SystemExit(errors.read())
    return json.loads(lines[0].removeprefix(ANSWER))
