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

    if isinstance(device, torch.device):
        return device
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind = str(device).split(":")[0]
    if kind not in DEVICES[1:]:
        raise ValueError(f"device is {device!r}; expected one of {', '.join(DEVICES)}.")
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[kind]:
        raise ValueError(f"device is {device!r}, which this machine does not have; use 'auto' or 'cpu'.")
    return torch.device(device)
