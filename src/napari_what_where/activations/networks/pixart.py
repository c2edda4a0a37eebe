"""PixArt-α and -Σ: a DiT with cross-attention to text that T5 has read (Chen et al. 2024)."""

from __future__ import annotations

from typing import Any

import torch

from napari_what_where.activations.networks.diffusion import DiffusionBackbone, Prepared
from napari_what_where.activations.networks.prompts import t5_text

TEXT_TOKENS = 300
"""At most; padding is left out instead of masked, which is the same."""


class PixArt(DiffusionBackbone):
    """PixArtTransformer2DModel."""

    attention = r"transformer_blocks\.\d+\.attn1"

    @property
    def sized(self) -> bool:
        """Whether the model is told the size and aspect of the picture, as α at 1024 pixels is."""
        asked = self.denoiser_config.get("use_additional_conditions")
        return self.trained_cells == 128 if asked is None else bool(asked)

    def read_prompt(self) -> dict[str, torch.Tensor]:
        prompt = self.prompt.lower().strip()
        text = t5_text(self.folder, 1, prompt, self.device, self.dtype, length=TEXT_TOKENS, pad=False)
        return {"states": self.no_text(1, self.denoiser_config["caption_channels"]) if text is None else text}

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        size: dict[str, torch.Tensor | None] = {"resolution": None, "aspect_ratio": None}
        if self.sized:
            rows, columns = given.shape
            size["resolution"] = torch.tensor([[rows, columns]], device=noisy.device).repeat(len(noisy), 1)
            size["aspect_ratio"] = torch.tensor([[rows / columns]], device=noisy.device).repeat(len(noisy), 1)
        return self.module(noisy, given.text["states"], timestep=timestep, added_cond_kwargs=size)
