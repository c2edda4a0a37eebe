"""Where a figure was measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version


def describe_environment() -> dict[str, object]:
    """Python, packages, processor and the number of cores this process may use."""
    packages = ("napari-what-where", "torch", "numpy", "scipy", "scikit-image", "scikit-learn")
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        **{package: version(package) for package in packages},
    }
