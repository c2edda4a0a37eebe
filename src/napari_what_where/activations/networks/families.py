"""Which adapter runs a model, by the name of its class in diffusers or transformers, and what class a folder holds."""

from __future__ import annotations

import importlib
import inspect
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import BackboneInfo
    from napari_what_where.activations.networks.pretrained import PretrainedBackbone

FAMILIES: dict[str, str] = {
    "UNet2DConditionModel": "stable_diffusion:StableDiffusionUNet",
    "UNet2DModel": "unconditional:UnconditionalUNet",
    "DiTTransformer2DModel": "dit:DiT",
    "PixArtTransformer2DModel": "pixart:PixArt",
    "SD3Transformer2DModel": "stable_diffusion_3:StableDiffusion3",
    "FluxTransformer2DModel": "flux:Flux",
    "ViTModel": "vision:VisionTransformer",
    "Dinov2Model": "vision:VisionTransformer",
    "Dinov2WithRegistersModel": "vision:VisionTransformer",
    "DINOv3ViTModel": "vision:VisionTransformer",
    "ViTMAEModel": "vision:VisionTransformer",
    "CLIPVisionModel": "vision:VisionTransformer",
    "SiglipVisionModel": "vision:VisionTransformer",
    "IJepaModel": "vision:VisionTransformer",
}
"""Adapters, as module:class within this package."""

MODEL_TYPES: dict[str, str] = {
    "vit": "ViTModel",
    "dinov2": "Dinov2Model",
    "dinov2_with_registers": "Dinov2WithRegistersModel",
    "dinov3_vit": "DINOv3ViTModel",
    "vit_mae": "ViTMAEModel",
    "clip": "CLIPVisionModel",
    "clip_vision_model": "CLIPVisionModel",
    "siglip": "SiglipVisionModel",
    "siglip_vision_model": "SiglipVisionModel",
    "ijepa": "IJepaModel",
}
"""The class that sees images, by what transformers calls "model_type" in config.json."""

REFUSED: dict[str, str] = {
    "SanaTransformer2DModel": "its attention is linear, so there is no softmax of queries and keys",
    "siglip2": "it takes images that are cut into patches beforehand; use siglip",
    "siglip2_vision_model": "it takes images that are cut into patches beforehand; use siglip",
}
"""Classes and model types that people will try, and why they are not among the others."""


def class_of_folder(folder: Path) -> str:
    """The class of the network in a model's folder, as ``save_pretrained`` writes it.

    A pipeline's is that of its denoiser. Raises ``ValueError``, saying what is there and what was expected, for a
    folder that holds no model, or one of a class without an adapter.
    """
    index, config = _read(folder / "model_index.json"), _read(folder / "config.json")
    if index:
        found = next((index[part][1] for part in ("transformer", "unet") if index.get(part)), None)
    elif config:
        found = config.get("_class_name") or config.get("model_type")
    else:
        raise ValueError(
            f"{folder} holds no model: expected model_index.json (a diffusers pipeline) or config.json beside "
            "weights in safetensors, as save_pretrained writes them."
        )
    name = MODEL_TYPES.get(str(found), str(found))
    if name not in FAMILIES:
        reason = REFUSED.get(name, "there is no adapter for it")
        raise ValueError(f"{folder} holds a {name}, which is not supported: {reason}. Known: {', '.join(FAMILIES)}.")
    return name


def adapter_for(class_name: str, folder: Path, info: BackboneInfo, **options: Any) -> PretrainedBackbone:
    """The backbone that runs a model of that class from its folder; weights are read at first use.

    Raises ``TypeError`` in words for an option that the adapter does not have.
    """
    module, _, name = FAMILIES[class_name].partition(":")
    adapter = getattr(importlib.import_module(f"napari_what_where.activations.networks.{module}"), name)
    check_option_names(adapter, info.name, options)
    made: PretrainedBackbone = adapter(info, folder, class_name, **options)
    return made


def check_option_names(adapter: type[PretrainedBackbone], name: str, options: Iterable[str]) -> None:
    """Raise ``TypeError`` in words for an option that an adapter does not have; ``name``: of the model."""
    known = option_names(adapter)
    for option in options:
        if option not in known:
            raise TypeError(f"{name} has no option {option!r}; expected some of {', '.join(known)}.")


def option_names(adapter: type[PretrainedBackbone]) -> list[str]:
    """Names of the keyword-only arguments of an adapter and of what it derives from, sorted."""
    signatures = [inspect.signature(vars(kind)["__init__"]) for kind in adapter.__mro__ if "__init__" in vars(kind)]
    arguments = [argument for signature in signatures for argument in signature.parameters.values()]
    return sorted({argument.name for argument in arguments if argument.kind is argument.KEYWORD_ONLY})


def _read(path: Path) -> dict[str, Any]:
    """What a JSON file holds; nothing where there is none, or no JSON."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
