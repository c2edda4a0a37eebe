"""Parts of a diffusion pipeline that lies in a folder: which weights are there, and how they are read."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.capture import capture_attention
from napari_what_where.progress import checkpoint

VARIANTS = (None, "fp16", "bf16")
"""Precisions in the names of files, in the order in which they are taken where there are several; None: no name."""
_WEIGHTS = re.compile(r"(?:diffusion_pytorch_)?model(?:\.(\w+))?(?:-\d+-of-\d+)?(?:\.(\w+))?\.safetensors")


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A part's configuration; ``ValueError``, naming the folder, where there is none."""
    try:
        found: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{folder} has no {name} that can be read ({error}); expected a complete model.") from error
    return found


def load_component(package: str, class_name: str, folder: Path, dtype: torch.dtype | None = None) -> torch.nn.Module:
    """A model of diffusers or transformers, from safetensors in its own folder, on the CPU, in evaluation mode.

    ``dtype``: of the weights, for diffusers only; by default as the library reads them. Raises ``ValueError``, saying
    what is there, for a folder without weights in safetensors: pickles are never read.
    """
    kind: Any = getattr(importlib.import_module(package), class_name)
    options: dict[str, Any] = {"use_safetensors": True, "local_files_only": True, "variant": weights_variant(folder)}
    if dtype is not None:
        options["torch_dtype"] = dtype
    with _without_bars(package):
        model: torch.nn.Module = kind.from_pretrained(folder, **options)
    return model.eval().requires_grad_(False)


def weights_variant(folder: Path) -> str | None:
    """The precision that the names of the weights carry: "fp16" where there is nothing else, None where there is."""
    matches = [_WEIGHTS.fullmatch(path.name) for path in folder.glob("*.safetensors")]
    found = {match[1] or match[2] for match in matches if match}
    for variant in VARIANTS:
        if variant in found:
            return variant
    there = ", ".join(sorted(path.name for path in folder.glob("*"))) or "nothing"
    raise ValueError(
        f"{folder} holds no weights that can be read: expected model.safetensors or "
        f"diffusion_pytorch_model.safetensors (pickles, .bin and .ckpt, are not read), found {there}."
    )


def interruptible(model: torch.nn.Module) -> AbstractContextManager[None]:
    """Within the block, every module of ``model`` that is entered is a checkpoint."""
    return capture_attention(model, lambda call: None, wanted=lambda name: False, on_enter=lambda name: checkpoint())


@contextmanager
def _without_bars(package: str) -> Iterator[None]:
    """Progress is reported, not drawn on the terminal by a library."""
    logging: Any = importlib.import_module(f"{package}.utils.logging")
    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()
