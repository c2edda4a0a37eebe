"""DiT: a transformer on patches of latents that knows ImageNet's classes (Peebles & Xie 2023)."""

from __future__ import annotations

from typing import Any

import torch

from napari_what_where.activations.networks.diffusion import DiffusionBackbone, Prepared


class DiT(DiffusionBackbone):
    """DiTTransformer2DModel, told that the class is unknown. A pass ends early: it puts square images together only."""

    reads_text = False
    attention = r"transformer_blocks\.\d+\.attn1"
    ends_early = True

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        unknown = self.denoiser_config.get("num_embeds_ada_norm", 1000)
        return self.module(noisy, timestep, class_labels=torch.full_like(timestep, unknown))
