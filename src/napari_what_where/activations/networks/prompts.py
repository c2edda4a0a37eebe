"""Prompts as the numbers that diffusion models read: CLIP's and T5's encoders, in memory only while they run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import torch

from napari_what_where.activations.networks.components import interruptible, load_component
from napari_what_where.activations.networks.placement import place

CLIP_CLASSES = ("CLIPTextModel", "CLIPTextModelWithProjection")
T5_CLASSES = ("T5EncoderModel",)


class ClipText(NamedTuple):
    """Of one prompt: (1, 77, channels) states after the last layer and before it, and (1, channels) of the whole."""

    last: torch.Tensor
    penultimate: torch.Tensor
    pooled: torch.Tensor


def clip_text(folder: Path, number: int, prompt: str, device: torch.device) -> ClipText | None:
    """What the pipeline's CLIP encoder of that number makes of a prompt, in float32 on the CPU; None if there is none.

    Longer prompts are cut, as diffusers does.
    """
    home = encoder_folder(folder, number)
    if home is None:
        return None
    from transformers import CLIPTokenizer

    model = place(load_component("transformers", _class_of(home, CLIP_CLASSES), home), device, torch.float32)
    tokenizer = CLIPTokenizer.from_pretrained(_tokenizer_folder(folder, number), local_files_only=True)
    length = model.config.max_position_embeddings
    tokens = tokenizer(prompt, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
    given = _run(model, tokens.input_ids.to(device), output_hidden_states=True)
    pooled = given.text_embeds if hasattr(given, "text_embeds") else given.pooler_output
    return ClipText(given.last_hidden_state.cpu(), given.hidden_states[-2].cpu(), pooled.cpu())


def t5_text(
    folder: Path, number: int, prompt: str, device: torch.device, dtype: torch.dtype, *, length: int, pad: bool
) -> torch.Tensor | None:
    """(1, tokens, channels) that the pipeline's T5 encoder makes of a prompt, in float32 on the CPU; None without one.

    ``dtype``: of its weights, which are several gigabytes; anything but float32 becomes bfloat16, as T5 overflows
    float16. ``length``: tokens at most, where longer prompts are cut; with ``pad`` there are always so many.
    """
    home = encoder_folder(folder, number)
    if home is None:
        return None
    from transformers import T5TokenizerFast

    kind = torch.float32 if dtype == torch.float32 else torch.bfloat16
    model = place(load_component("transformers", _class_of(home, T5_CLASSES), home), device, kind)
    tokenizer = T5TokenizerFast.from_pretrained(_tokenizer_folder(folder, number), local_files_only=True)
    padding = "max_length" if pad else False
    tokens = tokenizer(prompt, padding=padding, max_length=length, truncation=True, return_tensors="pt")
    return _run(model, tokens.input_ids.to(device)).last_hidden_state.float().cpu()


def encoder_folder(folder: Path, number: int) -> Path | None:
    """Where the pipeline's text encoder of that number lies, counted from 1; None if it is not there."""
    home = folder / ("text_encoder" if number == 1 else f"text_encoder_{number}")
    return home if (home / "config.json").is_file() else None


def _tokenizer_folder(folder: Path, number: int) -> Path:
    return folder / ("tokenizer" if number == 1 else f"tokenizer_{number}")


def _class_of(home: Path, known: tuple[str, ...]) -> str:
    config = json.loads((home / "config.json").read_text(encoding="utf-8"))
    name = next(iter(config.get("architectures") or [None]))
    if name not in known:
        raise ValueError(f"{home} holds a text encoder of class {name}; expected {' or '.join(known)}.")
    return str(name)


def _run(model: torch.nn.Module, tokens: torch.Tensor, **options: Any) -> Any:
    with torch.no_grad(), interruptible(model):
        return model(tokens, **options)
