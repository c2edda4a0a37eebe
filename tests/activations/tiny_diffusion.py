"""Small pipelines of every class, with random weights, as ``save_pretrained`` writes them. Nothing is downloaded."""

from __future__ import annotations

import importlib
import string
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.networks.diffusion import DiffusionBackbone
from napari_what_where.activations.networks.families import adapter_for, class_of_folder

from ..images import scene

WIDTH = 16
"""Channels of text and of tokens."""


def clip_tokenizer() -> Any:
    from transformers import CLIPTokenizer

    letters = [letter + end for end in ("", "</w>") for letter in string.ascii_lowercase]
    special = ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate([*letters, *special])}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def t5_tokenizer() -> Any:
    from transformers import T5TokenizerFast

    pieces = ["<pad>", "</s>", "<unk>", "▁", *string.ascii_lowercase]
    return T5TokenizerFast(vocab=[(piece, 0.0 if piece[0] == "<" else -2.0) for piece in pieces], extra_ids=0)


def clip(projected: bool = False) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    config = CLIPTextConfig(
        hidden_size=WIDTH,
        intermediate_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        vocab_size=54,
        projection_dim=WIDTH,
        bos_token_id=52,
        eos_token_id=53,
        pad_token_id=53,
    )
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(config)


def t5(width: int = WIDTH) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=30, d_model=width, d_kv=8, d_ff=16, num_layers=1, num_heads=2))


def vae(channels: int = 4, **more: Any) -> Any:
    """Two pixels across a cell, and attention in the middle, as in the large ones."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=channels,
        norm_num_groups=4,
        sample_size=16,
        **more,
    )


def unet(**more: Any) -> Any:
    from diffusers import UNet2DConditionModel

    defaults = {
        "sample_size": 16,
        "block_out_channels": (8, 16),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**defaults | more)


def unet_of_pixels(channels: int = 3) -> Any:
    from diffusers import UNet2DModel

    return UNet2DModel(
        sample_size=16,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=4,
    )


def ddpm() -> Any:
    from diffusers import PNDMScheduler

    return PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True)


def stable_diffusion() -> Any:
    from diffusers import StableDiffusionPipeline

    return StableDiffusionPipeline(
        vae(), clip(), clip_tokenizer(), unet(), ddpm(), None, None, requires_safety_checker=False
    )


def stable_diffusion_xl() -> Any:
    from diffusers import EulerDiscreteScheduler, StableDiffusionXLPipeline

    sized = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8}
    denoiser = unet(
        cross_attention_dim=2 * WIDTH,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2),
        projection_class_embeddings_input_dim=WIDTH + 6 * 8,
        use_linear_projection=True,
        **sized,
    )
    texts = (clip(), clip(True), clip_tokenizer(), clip_tokenizer())
    scheduler = EulerDiscreteScheduler(beta_schedule="scaled_linear")
    return StableDiffusionXLPipeline(vae(scaling_factor=0.13), *texts, denoiser, scheduler)


def unconditional() -> Any:
    from diffusers import DDPMPipeline, DDPMScheduler

    return DDPMPipeline(unet_of_pixels(), DDPMScheduler())


def unconditional_latent() -> Any:
    from diffusers import DDIMScheduler, LDMPipeline, VQModel

    encoder = VQModel(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=3,
        norm_num_groups=4,
    )
    return LDMPipeline(encoder, unet_of_pixels(), DDIMScheduler())


def dit() -> Any:
    from diffusers import DDIMScheduler, DiTPipeline, DiTTransformer2DModel

    denoiser = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=8,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=16,
        num_embeds_ada_norm=10,
    )
    return DiTPipeline(denoiser, vae(), DDIMScheduler())


def pixart(sized: bool) -> Any:
    from diffusers import (
        DPMSolverMultistepScheduler,
        PixArtAlphaPipeline,
        PixArtSigmaPipeline,
        PixArtTransformer2DModel,
    )

    denoiser = PixArtTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=16,
        cross_attention_dim=24,
        caption_channels=WIDTH,
        use_additional_conditions=sized,
    )
    kind = PixArtAlphaPipeline if sized else PixArtSigmaPipeline
    return kind(t5_tokenizer(), t5(), vae(), denoiser, DPMSolverMultistepScheduler())


def stable_diffusion_3(dual: bool) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline

    denoiser = SD3Transformer2DModel(
        sample_size=16,
        in_channels=16,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        joint_attention_dim=3 * WIDTH,
        caption_projection_dim=16,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=40,
        dual_attention_layers=(0,) if dual else (),
        qk_norm="rms_norm" if dual else None,
    )
    encoder = vae(16, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False)
    texts = (clip(True), clip_tokenizer(), clip(True), clip_tokenizer(), t5(3 * WIDTH), t5_tokenizer())
    return StableDiffusion3Pipeline(denoiser, FlowMatchEulerDiscreteScheduler(shift=3.0), encoder, *texts)


def flux(guided: bool) -> Any:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel

    denoiser = FluxTransformer2DModel(
        in_channels=16,
        num_layers=1,
        num_single_layers=2,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=WIDTH,
        pooled_projection_dim=WIDTH,
        guidance_embeds=guided,
        axes_dims_rope=(4, 6, 6),
    )
    encoder = vae(4, shift_factor=0.1, scaling_factor=0.36, use_quant_conv=False, use_post_quant_conv=False)
    texts = (clip(), clip_tokenizer(), t5(), t5_tokenizer())
    return FluxPipeline(FlowMatchEulerDiscreteScheduler(), encoder, *texts, denoiser)


PIPELINES: dict[str, Callable[[], Any]] = {
    "stable-diffusion": stable_diffusion,
    "stable-diffusion-xl": stable_diffusion_xl,
    "unconditional": unconditional,
    "unconditional-latent": unconditional_latent,
    "dit": dit,
    "pixart-alpha": lambda: pixart(True),
    "pixart-sigma": lambda: pixart(False),
    "stable-diffusion-3": lambda: stable_diffusion_3(False),
    "stable-diffusion-3.5": lambda: stable_diffusion_3(True),
    "flux-schnell": lambda: flux(False),
    "flux-dev": lambda: flux(True),
}

LAYERS = {
    "stable-diffusion": 7,
    "stable-diffusion-xl": 8,
    "unconditional": 4,
    "unconditional-latent": 4,
    "dit": 2,
    "pixart-alpha": 2,
    "pixart-sigma": 2,
    "stable-diffusion-3": 2,
    "stable-diffusion-3.5": 3,
    "flux-schnell": 3,
    "flux-dev": 3,
}
"""Layers of self-attention in each, counted by hand."""


def save_tiny(name: str, folder: Path) -> Path:
    """Write the pipeline of that name; ``torch.manual_seed`` decides its weights."""
    for library in ("transformers", "diffusers"):
        # A thread of the program may be at it: import statements would give what is there so far.
        importlib.import_module(library)
    torch.manual_seed(sorted(PIPELINES).index(name))
    pipeline = PIPELINES[name]()
    for component in pipeline.components.values():
        if isinstance(component, torch.nn.Module):
            _wake(component)
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def _wake(module: torch.nn.Module) -> None:
    """Weights that start at zero, such as gates of blocks, would hide what goes through them."""
    for parameter in module.parameters():
        if not bool(parameter.any()):
            torch.nn.init.normal_(parameter, std=0.1)


def tiny(folder: Path, **options: Any) -> DiffusionBackbone:
    """The backbone that runs the pipeline in a folder, on pictures of 32 × 32 pixels unless told otherwise."""
    info = BackboneInfo(folder.name, "diffusion", "of random weights", ("what", "where"), 0, "none")
    backbone = adapter_for(class_of_folder(folder), folder, info, **{"resolution": 32, **options})
    assert isinstance(backbone, DiffusionBackbone)
    return backbone


@cache
def _root() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tiny-pipelines-")


@cache
def tiny_folder(name: str) -> Path:
    """The folder of the pipeline of that name, written once for all tests. Not to be changed."""
    return save_tiny(name, Path(_root().name) / name)


@cache
def warm(name: str) -> DiffusionBackbone:
    """The backbone of that name with its usual options, loaded once for all tests. Not to be changed."""
    backbone = tiny(tiny_folder(name))
    backbone.extract(scene((4, 4)))
    return backbone
