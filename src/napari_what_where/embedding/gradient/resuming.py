"""The state of a long optimisation on disk, to go on from."""

from __future__ import annotations

import os
import pickle
import tempfile
from pathlib import Path
from typing import Any, Protocol

import torch


class Resumable(Protocol):
    """Work in steps whose whole state can be taken and put back."""

    done: int

    def state(self) -> dict[str, Any]:
        """Tensors, numbers, strings, and lists and dicts of them; nothing else is read back."""
        ...

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a ``state``."""
        ...


class Checkpoint:
    """A file with the state of one run, replaced as a whole every so many steps.

    The run is known by its ``signature``: options, which must be equal, and a ``fingerprint`` of its operator, which
    must agree to three digits, as other devices and thread counts sum in another order.
    """

    def __init__(self, path: Path, *, every: int) -> None:
        self.path, self.every = path, every
        self.signature: dict[str, Any] = {}
        self.fingerprint = torch.empty(0)

    def open(self, run: Resumable, signature: dict[str, Any], fingerprint: torch.Tensor) -> None:
        """Put a run back to where the file has it, if there is one; ``ValueError`` if it is of another run."""
        self.signature, self.fingerprint = signature, fingerprint.cpu()
        if not self.path.exists():
            return
        saved = self._read()
        changed = sorted(name for name in signature if saved["signature"].get(name) != signature[name])
        if changed:
            was = ", ".join(f"{name} {saved['signature'].get(name)!r}" for name in changed)
            now = ", ".join(f"{name} {signature[name]!r}" for name in changed)
            raise ValueError(self._refusal(f"is of a run with {was}; expected {now}"))
        scale = 1e-3 * float(self.fingerprint.abs().max())
        if not torch.allclose(saved["fingerprint"], self.fingerprint, rtol=0, atol=scale):
            raise ValueError(self._refusal("is of a run on another affinity"))
        run.restore(saved["state"])

    def save(self, run: Resumable, before: int, *, last: bool) -> None:
        """Write the state if it is due, after a run went on from ``before`` steps; at the end always."""
        if not last and before // self.every == run.done // self.every:
            return
        record = {"signature": self.signature, "fingerprint": self.fingerprint, "state": run.state()}
        handle, temporary = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(record, file)
            os.replace(temporary, self.path)
        except BaseException:
            os.unlink(temporary)
            raise

    def _read(self) -> dict[str, Any]:
        try:
            saved = torch.load(self.path, map_location="cpu", weights_only=True)
            if not {"signature", "fingerprint", "state"} <= set(saved):
                raise KeyError
        except (RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError):
            raise ValueError(self._refusal("is no checkpoint of this solver")) from None
        return saved

    def _refusal(self, words: str) -> str:
        return f"checkpoint {str(self.path)!r} {words}. Delete it, or name another file."
