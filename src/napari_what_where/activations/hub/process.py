"""The child process of a download: started with what it needs, gone when it is left."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from napari_what_where.activations.hub.cache import cache_folder
from napari_what_where.activations.hub.types import ModelUnavailable


class Died(Exception):
    """The child ended without a word."""


@contextmanager
def child() -> Iterator[subprocess.Popen[str]]:
    """The process of :mod:`.child`, killed at the end if it still runs."""
    environment = os.environ | {
        "HF_HUB_CACHE": str(cache_folder()),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    # -P: a file of the working folder is never imported instead of a library.
    command = [sys.executable, "-P", "-m", "napari_what_where.activations.hub.child"]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as complaints:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            env=environment,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
        try:
            yield process
        except Died:
            complaints.seek(0)
            said = " ".join(complaints.read().strip().splitlines()[-1:])
            message = f"The download ended unexpectedly ({said or process.wait()}). Press Download again to go on."
            raise ModelUnavailable("interrupted", message) from None
        finally:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                # A process that was killed reads no more of what was about to be written.
                with suppress(OSError):
                    if pipe is not None:
                        pipe.close()
