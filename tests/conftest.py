"""Settings that must stand before napari, torch and the hub libraries are imported."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import threadpoolctl

# Nothing is fetched in a test; the user's own napari settings, kept edits and activations are neither read nor written.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp(prefix="what-where-tests-")) / "settings.yaml")
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp(prefix="what-where-recovery-")
os.environ["WHAT_WHERE_STORE"] = tempfile.mkdtemp(prefix="what-where-store-")
# Idle OpenMP threads sleep: with few cores, spinning ones slow the next library down many times over.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
# Of several test processes side by side (pytest -n 2) each has one core, and so have the commands that it starts.
if "PYTEST_XDIST_WORKER" in os.environ:
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = "1"
    threadpoolctl.threadpool_limits(1)  # plugins of pytest have loaded numpy already

import hypothesis
import numpy as np
import pytest

hypothesis.settings.register_profile("here", deadline=None, derandomize=True, max_examples=50)
hypothesis.settings.load_profile("here")


@pytest.fixture
def rng() -> np.random.Generator:
    """The same random numbers in every run."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True, scope="session")
def _own_speed(tmp_path_factory):
    """What is learned of this machine's speed is neither read from the user's own file nor written to it."""
    from napari_what_where.estimates import speed

    place = tmp_path_factory.mktemp("speed") / "speed.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speed, "speed_file", lambda: place)
        yield
