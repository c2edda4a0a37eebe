"""Small vision transformers with random weights, of the true classes, saved as they are downloaded."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.backbone import BackboneInfo

SMALL: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "image_size": 32,
    "patch_size": 8,
}
DECODER = {"decoder_num_hidden_layers": 1, "decoder_hidden_size": 16, "decoder_num_attention_heads": 2}
TEXT = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 20,
    "max_position_embeddings": 8,
    "projection_dim": 16,
    "eos_token_id": 2,
    "bos_token_id": 1,
    "pad_token_id": 0,
}

CONFIGURATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ViTModel": ("ViTConfig", SMALL),
    "Dinov2Model": ("Dinov2Config", SMALL | {"mlp_ratio": 2}),
    "Dinov2WithRegistersModel": ("Dinov2WithRegistersConfig", SMALL | {"mlp_ratio": 2, "num_register_tokens": 4}),
    "DINOv3ViTModel": ("DINOv3ViTConfig", SMALL | {"num_register_tokens": 4}),
    "ViTMAEModel": ("ViTMAEConfig", SMALL | DECODER),
    "CLIPVisionModel": ("CLIPVisionConfig", SMALL),
    "SiglipVisionModel": ("SiglipVisionConfig", SMALL),
    "IJepaModel": ("IJepaConfig", SMALL),
}
"""By class of the vision model: its configuration's class, and a small one."""

EXTRA_TOKENS = {
    "Dinov2WithRegistersModel": 5,
    "DINOv3ViTModel": 5,
    "SiglipVisionModel": 0,
    "IJepaModel": 0,
}
"""Class and register tokens; otherwise one."""

WITH_MORE: dict[str, str] = {
    "ViTForImageClassification": "ViTModel",
    "ViTForMaskedImageModeling": "ViTModel",
    "Dinov2ForImageClassification": "Dinov2Model",
    "ViTMAEForPreTraining": "ViTMAEModel",
    "CLIPModel": "CLIPVisionModel",
    "CLIPVisionModelWithProjection": "CLIPVisionModel",
    "SiglipModel": "SiglipVisionModel",
    "IJepaForImageClassification": "IJepaModel",
}
"""Classes as which models are published with more than the vision model, and that vision model's class."""


def configuration(class_name: str) -> Any:
    """A small configuration of a class of either table."""
    # A thread of the program may be at it: the import statement would give what is there so far.
    transformers = importlib.import_module("transformers")

    if class_name in ("CLIPModel", "SiglipModel"):
        kind = getattr(transformers, class_name.replace("Model", "Config"))
        return kind(vision_config=dict(SMALL), text_config=dict(TEXT), projection_dim=16)
    kind, options = CONFIGURATIONS[WITH_MORE.get(class_name, class_name)]
    return getattr(transformers, kind)(**options)


def saved(class_name: str, folder: Path, change: Callable[[torch.nn.Module], Any] = lambda model: None) -> Path:
    """The folder, with a small model of that class; weights are large enough for attention to differ from its mean."""
    transformers = importlib.import_module("transformers")

    torch.manual_seed(0)
    model = getattr(transformers, class_name)(configuration(class_name))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "position" not in name:
                parameter.normal_(std=0.2)
    change(model)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def information(class_name: str) -> BackboneInfo:
    return BackboneInfo(f"tiny {class_name}", "test", "random weights", ("what", "where"), 0, "none")
