"""Which device the tensors live on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda", "mps")


def resolve_device(device: str | torch.device = "auto") -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1" or "mps" into a device that is there.

    "auto" prefers CUDA, then Apple's MPS, then the CPU. Raises ``ValueError`` for an unknown name or one that this
    machine does not have.
    """
    import torch

    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        wanted = torch.device(str(device))
    except RuntimeError:
        wanted = None
    if wanted is None or wanted.type not in DEVICES[1:]:
        raise ValueError(f"device is {device!r}; expected one of {', '.join(DEVICES)}.")
    here = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if (wanted.index or 0) >= here[wanted.type]:
        raise ValueError(f"device is {device!r}, which this machine does not have; use 'auto' or 'cpu'.")
    return wanted
