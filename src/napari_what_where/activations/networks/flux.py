"""Flux.1: a transformer in which text and image attend to each other, apart at first, then as one sequence."""

from __future__ import annotations

from typing import Any

import torch

from napari_what_where.activations.capture import AttentionCall
from napari_what_where.activations.networks.diffusion import Cells, DiffusionBackbone, Prepared
from napari_what_where.activations.networks.noise import TIMESTEPS
from napari_what_where.activations.networks.prompts import clip_text, t5_text
from napari_what_where.activations.types import Grid

TEXT_TOKENS = 256
PATCH = 2
"""Cells of the latents that are packed into one token."""
GUIDANCE = 3.5
"""That distilled models are told, as diffusers does."""


class Flux(DiffusionBackbone):
    """FluxTransformer2DModel, schnell and dev. Text stands before the image, in single blocks too."""

    flow = True
    half = torch.bfloat16
    attention = r"(single_)?transformer_blocks\.\d+\.attn"
    image_tokens = "last"

    def cells(self) -> Cells:
        return Cells(PATCH, PATCH, PATCH)

    @property
    def latent_channels(self) -> int:
        return super().latent_channels // PATCH**2

    def token_grid(self, call: AttentionCall, picture: torch.Tensor) -> Grid:
        """From the picture: the model is given a sequence."""
        return picture.shape[2] // self.step, picture.shape[3] // self.step

    def read_prompt(self) -> dict[str, torch.Tensor]:
        """CLIP's summary and T5's states; only one of them has to be there to read a prompt."""
        clip = clip_text(self.folder, 1, self.prompt, self.device)
        t5 = t5_text(self.folder, 2, self.prompt, self.device, self.dtype, length=TEXT_TOKENS, pad=True)
        if clip is None and t5 is None:
            self.no_text()
        pooled, width = (self.denoiser_config[name] for name in ("pooled_projection_dim", "joint_attention_dim"))
        return {
            "states": torch.zeros(1, TEXT_TOKENS, width) if t5 is None else t5,
            "pooled": torch.zeros(1, pooled) if clip is None else clip.pooled,
        }

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        packed = torch.nn.functional.pixel_unshuffle(noisy, PATCH).flatten(2).transpose(1, 2)
        rows, columns = (size // PATCH for size in noisy.shape[2:])
        image_ids = torch.cartesian_prod(torch.arange(1), torch.arange(rows), torch.arange(columns)).to(noisy.device)
        states = given.text["states"]
        guided = self.denoiser_config.get("guidance_embeds")
        return self.module(
            packed,
            encoder_hidden_states=states,
            pooled_projections=given.text["pooled"],
            timestep=timestep.to(noisy.dtype) / TIMESTEPS,
            img_ids=image_ids.float(),
            txt_ids=torch.zeros(states.shape[1], 3, device=noisy.device),
            guidance=torch.full((1,), GUIDANCE).to(noisy) if guided else None,
        )
