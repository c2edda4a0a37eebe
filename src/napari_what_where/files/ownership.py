"""Whose something on disk is: names for processes, and whether they still run."""

from __future__ import annotations

import hashlib
import os
import platform

START_TOLERANCE = 3
"""Seconds: systems tell the start of one process a second off, as they count from their own start."""


def owner_name() -> str:
    """A name for this process: computer, process id and when it started; letters, digits and two hyphens."""
    import psutil

    return f"{_computer()}-{os.getpid()}-{int(psutil.Process().create_time())}"


def is_alive(name: str) -> bool | None:
    """Whether the process of that name runs; None if it is another computer's, False for what is no such name."""
    import psutil

    parts = name.split("-")
    if len(parts) != 3 or not (parts[1].isdecimal() and parts[2].isdecimal()):
        return False
    if parts[0] != _computer():
        return None
    try:
        return bool(abs(psutil.Process(int(parts[1])).create_time() - int(parts[2])) <= START_TOLERANCE)
    except psutil.NoSuchProcess:
        return False
    except psutil.Error:
        return True


def _computer() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]
