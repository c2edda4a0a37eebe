"""The published configurations of the models in the catalogue, to build them without weights.

``parts(name)`` gives what a download of that model holds: ``(class name, configuration, bytes of a number)`` for each
file of weights, the model that attention is read from first (0 bytes where it lies in the file of a larger one). Built
on the meta device they take no memory, so that the catalogue's numbers can be checked against the true classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Part = tuple[str, dict[str, Any], int]

SMALL = {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6}
BASE = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12}
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
HUGE = {"hidden_size": 1280, "num_hidden_layers": 32, "num_attention_heads": 16}
SIZES = {"small": SMALL, "base": BASE, "large": LARGE, "s": SMALL, "b": BASE, "l": LARGE}

CLIP_L_TEXT = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
CLIP_B_TEXT = CLIP_L_TEXT | {"hidden_size": 512, "intermediate_size": 2048, "num_attention_heads": 8}
CLIP_G_TEXT = {
    "hidden_size": 1280,
    "intermediate_size": 5120,
    "num_hidden_layers": 32,
    "num_attention_heads": 20,
    "projection_dim": 1280,
}
CLIP_H_TEXT = {
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 23,
    "num_attention_heads": 16,
    "projection_dim": 512,
}

UNET_1 = {"attention_head_dim": 8, "cross_attention_dim": 768, "sample_size": 64}
UNET_2 = {
    "attention_head_dim": (5, 10, 20, 20),
    "cross_attention_dim": 1024,
    "sample_size": 96,
    "use_linear_projection": True,
}
UNET_XL = {
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "attention_head_dim": (5, 10, 20),
    "block_out_channels": (320, 640, 1280),
    "cross_attention_dim": 2048,
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "projection_class_embeddings_input_dim": 2816,
    "sample_size": 128,
    "transformer_layers_per_block": (1, 2, 10),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "use_linear_projection": True,
}
SD3 = {"sample_size": 128, "num_layers": 24, "num_attention_heads": 24, "caption_projection_dim": 1536}
SD3 |= {"pos_embed_max_size": 192}
SD35 = SD3 | {
    "dual_attention_layers": tuple(range(13)),
    "pos_embed_max_size": 384,
    "qk_norm": "rms_norm",
}
FLUX = {"num_layers": 19, "num_single_layers": 38, "joint_attention_dim": 4096, "pooled_projection_dim": 768}
DIT = {
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": 8,
    "num_layers": 28,
    "patch_size": 2,
    "num_embeds_ada_norm": 1000,
}
PIXART = {
    "sample_size": 64,
    "num_layers": 28,
    "num_attention_heads": 16,
    "attention_head_dim": 72,
    "in_channels": 4,
    "out_channels": 8,
    "cross_attention_dim": 1152,
    "caption_channels": 4096,
    "norm_type": "ada_norm_single",
}


def vae(channels: int = 4, quantised: bool = True) -> dict[str, Any]:
    """Every autoencoder of the catalogue is Stable Diffusion's, with 4 or 16 channels of latents."""
    return {
        "block_out_channels": (128, 256, 512, 512),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "latent_channels": channels,
        "layers_per_block": 2,
        "use_quant_conv": quantised,
        "use_post_quant_conv": quantised,
    }


def vit(size: str, patch: int, image: int, **more: Any) -> dict[str, Any]:
    """A vision transformer of the usual proportions."""
    shape = SIZES[size]
    return shape | {"intermediate_size": 4 * shape["hidden_size"], "patch_size": patch, "image_size": image} | more


def _diffusion(denoiser: Part, autoencoder: Part, *texts: Part) -> list[Part]:
    return [denoiser, autoencoder, *texts]


def _unet_1() -> list[Part]:
    text = ("CLIPTextModel", CLIP_L_TEXT, 2)
    return _diffusion(("UNet2DConditionModel", UNET_1, 2), ("AutoencoderKL", vae(), 2), text)


def _unet_2() -> list[Part]:
    text = ("CLIPTextModel", CLIP_H_TEXT, 2)
    return _diffusion(("UNet2DConditionModel", UNET_2, 2), ("AutoencoderKL", vae(), 2), text)


def _unet_xl() -> list[Part]:
    texts = [("CLIPTextModel", CLIP_L_TEXT, 2), ("CLIPTextModelWithProjection", CLIP_G_TEXT, 2)]
    return _diffusion(("UNet2DConditionModel", UNET_XL, 2), ("AutoencoderKL", vae(), 2), *texts)


def _sd3(config: dict[str, Any]) -> list[Part]:
    first = ("CLIPTextModelWithProjection", CLIP_L_TEXT | {"projection_dim": 768}, 2)
    texts = [first, ("CLIPTextModelWithProjection", CLIP_G_TEXT, 2)]
    return _diffusion(("SD3Transformer2DModel", config, 2), ("AutoencoderKL", vae(16, False), 2), *texts)


def _flux(guided: bool) -> list[Part]:
    text = ("CLIPTextModel", CLIP_L_TEXT, 2)
    config = FLUX | {"guidance_embeds": guided}
    return _diffusion(("FluxTransformer2DModel", config, 2), ("AutoencoderKL", vae(16, False), 2), text)


def _dit(side: int) -> list[Part]:
    return _diffusion(("DiTTransformer2DModel", DIT | {"sample_size": side // 8}, 4), ("AutoencoderKL", vae(), 4))


def _pixart() -> list[Part]:
    return _diffusion(("PixArtTransformer2DModel", PIXART, 4), ("AutoencoderKL", vae(), 4))


def _dinov2(size: str, registers: bool) -> list[Part]:
    if not registers:
        return [("Dinov2Model", vit(size, 14, 518), 4)]
    return [("Dinov2WithRegistersModel", vit(size, 14, 518, num_register_tokens=4), 4)]


def _dinov3(size: str) -> list[Part]:
    return [("DINOv3ViTModel", vit(size, 16, 224, num_register_tokens=4), 4)]


def _mae(size: str) -> list[Part]:
    return [("ViTMAEModel", vit(size, 16, 224), 0), ("ViTMAEForPreTraining", vit(size, 16, 224), 4)]


def _clip(size: str, patch: int) -> list[Part]:
    """The file holds the text model too."""
    text = CLIP_L_TEXT if size == "l" else CLIP_B_TEXT
    vision = vit(size, patch, 224)
    both = {"text_config": text, "vision_config": vision, "projection_dim": 768 if size == "l" else 512}
    return [("CLIPVisionModel", vision, 0), ("CLIPModel", both, 4)]


def _siglip(side: int) -> list[Part]:
    text = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    vision = vit("base", 16, side)
    return [("SiglipVisionModel", vision, 0), ("SiglipModel", {"text_config": text, "vision_config": vision}, 4)]


def _ijepa() -> list[Part]:
    return [("IJepaModel", HUGE | {"intermediate_size": 5120, "patch_size": 14, "image_size": 224}, 4)]


MODELS: dict[str, Callable[[], list[Part]]] = {
    "stable-diffusion-1.4": _unet_1,
    "stable-diffusion-1.5": _unet_1,
    "stable-diffusion-2.1": _unet_2,
    "stable-diffusion-xl": _unet_xl,
    "stable-diffusion-3-medium": lambda: _sd3(SD3),
    "stable-diffusion-3.5-medium": lambda: _sd3(SD35),
    "flux-schnell": lambda: _flux(False),
    "flux-dev": lambda: _flux(True),
    "dit-xl-2-256": lambda: _dit(256),
    "dit-xl-2-512": lambda: _dit(512),
    "pixart-alpha": _pixart,
    "pixart-sigma": _pixart,
    "dino-vits16": lambda: [("ViTModel", vit("s", 16, 224), 4)],
    "dino-vitb16": lambda: [("ViTModel", vit("b", 16, 224), 4)],
    "dino-vits8": lambda: [("ViTModel", vit("s", 8, 224), 4)],
    "dino-vitb8": lambda: [("ViTModel", vit("b", 8, 224), 4)],
    "dinov2-small": lambda: _dinov2("small", False),
    "dinov2-base": lambda: _dinov2("base", False),
    "dinov2-large": lambda: _dinov2("large", False),
    "dinov2-with-registers-small": lambda: _dinov2("small", True),
    "dinov2-with-registers-base": lambda: _dinov2("base", True),
    "dinov2-with-registers-large": lambda: _dinov2("large", True),
    "dinov3-vits16": lambda: _dinov3("s"),
    "dinov3-vitb16": lambda: _dinov3("b"),
    "dinov3-vitl16": lambda: _dinov3("l"),
    "mae-base": lambda: _mae("base"),
    "mae-large": lambda: _mae("large"),
    "clip-vit-b-16": lambda: _clip("b", 16),
    "clip-vit-b-32": lambda: _clip("b", 32),
    "clip-vit-l-14": lambda: _clip("l", 14),
    "siglip-base-patch16-224": lambda: _siglip(224),
    "siglip-base-patch16-512": lambda: _siglip(512),
    "ijepa-vith14": _ijepa,
}


def parts(name: str) -> list[Part]:
    """What a download of the model of that name holds, the model itself first."""
    return MODELS[name]()


def count(class_name: str, config: dict[str, Any]) -> tuple[int, int]:
    """Parameters of a model of that class, and numbers in its file (tables of positions too), on the meta device."""
    import diffusers
    import torch
    import transformers

    with torch.device("meta"):
        if hasattr(diffusers, class_name):
            model = getattr(diffusers, class_name).from_config(config)
        else:
            kind = getattr(transformers, class_name)
            # Published without the pooling layer that the class would add.
            bare = {"add_pooling_layer": False} if class_name == "ViTModel" else {}
            model = kind(kind.config_class(**config), **bare)
    stored = {tensor for tensor in model.state_dict(keep_vars=True).values() if tensor.is_floating_point()}
    return sum(tensor.numel() for tensor in model.parameters()), sum(tensor.numel() for tensor in stored)
