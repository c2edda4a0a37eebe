"""Where a network's weights live: on the device, or, where they do not fit, on the CPU until they are needed."""

from __future__ import annotations

import torch

from napari_what_where.memory import free_memory

HEADROOM = 1.3
"""Free memory over weights, for activations and workspace."""


def weights_size(module: torch.nn.Module, dtype: torch.dtype | None = None) -> int:
    """Bytes of a module's parameters and buffers, as they are or in another floating type."""
    return sum(
        tensor.numel() * (dtype.itemsize if dtype is not None and tensor.is_floating_point() else tensor.itemsize)
        for tensor in [*module.parameters(), *module.buffers()]
    )


def place(module: torch.nn.Module, device: torch.device, dtype: torch.dtype) -> torch.nn.Module:
    """The module, ready to run on the device in that type.

    Weights that do not fit on the device stay in the computer's memory and visit it one submodule at a time, which
    takes several times as long.
    """
    if getattr(module, "_hf_hook", None) is not None:
        from accelerate.hooks import remove_hook_from_module

        remove_hook_from_module(module, recurse=True)
    if device.type == "cpu" or HEADROOM * weights_size(module, dtype) <= free_memory(device):
        # diffusers' own ``to`` warns of types that it does not know to be harmless.
        return torch.nn.Module.to(module, device, dtype)
    from accelerate import cpu_offload

    return cpu_offload(module.to("cpu", dtype), execution_device=device)
