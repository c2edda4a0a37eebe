"""How fast this machine is, learned from runs: a file of two numbers in the user's cache folder."""

from __future__ import annotations

import json
import math
from contextlib import suppress
from pathlib import Path

SLOWEST, FASTEST = 50.0, 0.02
"""Beyond these factors it is not the machine that was measured."""
SHORTEST = 0.5
"""Seconds; shorter runs say more about what else was loaded than about the machine."""


def known_speed(kind: str) -> float:
    """By how much runs on "cpu" or "gpu" take longer here than was estimated; 1.0 until one was measured."""
    factor = _read().get(kind, 1.0)
    return factor if isinstance(factor, float) and FASTEST <= factor <= SLOWEST else 1.0


def learn_speed(kind: str, estimated: float, seconds: float) -> None:
    """Note a run that took ``seconds`` where ``estimated`` were, at the speed of 1, expected.

    The first one counts in full, later ones by half, so that one run on a busy machine is soon forgotten. Where the
    file cannot be written the machine is simply not known.
    """
    if min(estimated, seconds) < SHORTEST:
        return
    known = _read()
    factor = min(max(seconds / estimated, FASTEST), SLOWEST)
    factor = math.sqrt(factor * known_speed(kind)) if kind in known else factor
    with suppress(OSError):
        file = speed_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(known | {kind: factor}) + "\n")


def speed_file() -> Path:
    """Where it is kept."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-what-where", appauthor=False), "speed.json")


def _read() -> dict[str, float]:
    with suppress(OSError, ValueError):
        known = json.loads(speed_file().read_text())
        return known if isinstance(known, dict) else {}
    return {}
