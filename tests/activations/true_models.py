"""Models of the catalogue at their true size: with random weights, or without memory for any."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.networks.families import adapter_for
from napari_what_where.activations.networks.pretrained import PretrainedBackbone
from napari_what_where.activations.registry import backbone_info

from . import true_configs


def empty_model(class_name: str, config: dict[str, Any]) -> torch.nn.Module:
    """A model of that class without memory for its weights."""
    import diffusers
    import transformers

    with torch.device("meta"):
        if hasattr(diffusers, class_name):
            return getattr(diffusers, class_name).from_config(config)
        kind = getattr(transformers, class_name)
        return kind(kind.config_class(**config))


def random_weights(model: torch.nn.Module) -> torch.nn.Module:
    """The model on the CPU with small random weights."""
    model = model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.data.normal_(0, 0.02, generator=generator)
        else:
            tensor.data.copy_(torch.arange(tensor.numel()).reshape(tensor.shape))
    return model


def backbone_of(name: str, side: int, folder: Path, *, empty: bool = False) -> PretrainedBackbone:
    """The adapter of a model of the catalogue, for pictures of side² pixels, with latents of noise for its encoder's.

    Weights are random, or, ``empty``, there are none: then it computes nothing, on the device "meta".
    """
    parts = true_configs.parts(name)
    class_name, config, _ = parts[0]
    vae = next((part for part in parts if part[0] == "AutoencoderKL"), None)
    component = ("unet" if "UNet" in class_name else "transformer") if vae else ""
    for part, kind, what in ((component, class_name, config), *([("vae", vae[0], vae[1])] if vae else [])):
        model = empty_model(kind, what)
        (folder / part).mkdir(exist_ok=True)
        (folder / part / "config.json").write_text(
            json.dumps(dict(model.config.to_dict() if not vae else model.config))
        )
    backbone = adapter_for(class_name, folder, backbone_info(name), resolution=side)
    config = config | ({"mask_ratio": 0.0} if class_name == "ViTMAEModel" else {})
    made = (lambda model: model) if empty else random_weights
    backbone.load = lambda: made(empty_model(class_name, config))
    backbone.use(torch.device("meta" if empty else "cpu"))
    if vae:
        channels, cell = backbone.latent_channels, backbone.cell
        backbone.encode = lambda picture: torch.randn(
            1, channels, picture.shape[2] // cell, picture.shape[3] // cell
        ).to(picture.device)
    return backbone


def gigaflops(name: str, side: int, folder: Path) -> float:
    """Billion floating-point operations of one forward pass over side² pixels, counted without computing."""
    from torch.utils.flop_counter import FlopCounterMode

    backbone = backbone_of(name, side, folder, empty=True)
    side = side // backbone.step * backbone.step
    with torch.no_grad():
        one = next(iter(backbone.passes(backbone.prepare(torch.empty(1, 3, side, side, device="meta")))))
        with FlopCounterMode(display=False) as counter:
            one.run()
    return float(counter.get_total_flops() / 1e9)
