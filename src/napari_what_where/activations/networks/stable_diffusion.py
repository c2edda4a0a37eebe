"""Stable Diffusion 1, 2 and XL: a UNet with self-attention among cells and cross-attention to text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from napari_what_where.activations.networks.diffusion import Cells, DiffusionBackbone, Prepared
from napari_what_where.activations.networks.prompts import clip_text

TEXT_TOKENS = 77


def unet_cells(config: Mapping[str, Any]) -> Cells:
    """Sides are halved between blocks; the finest tokens are the cells of the first block with attention."""
    blocks = config["down_block_types"]
    finest = next((level for level, block in enumerate(blocks) if "Attn" in block), len(blocks) - 1)
    return Cells(2 ** (len(blocks) - 1), 2**finest, 1)


class StableDiffusionUNet(DiffusionBackbone):
    """UNet2DConditionModel with one CLIP (Stable Diffusion 1 and 2) or two (XL)."""

    component = "unet"
    attention = r".*\.transformer_blocks\.\d+\.attn1"

    def cells(self) -> Cells:
        return unet_cells(self.denoiser_config)

    @property
    def sized(self) -> bool:
        """Whether the model is told the size of the picture, and what its text means as a whole (XL)."""
        return self.denoiser_config.get("addition_embed_type") == "text_time"

    def read_prompt(self) -> dict[str, torch.Tensor]:
        texts = [clip_text(self.folder, number, self.prompt, self.device) for number in (1, 2)[: 1 + self.sized]]
        found = [text for text in texts if text is not None]
        if len(found) < len(texts):
            zeros = {"states": self.no_text(TEXT_TOKENS, self.denoiser_config["cross_attention_dim"])}
            return zeros | ({"pooled": self.no_text(self._pooled_channels)} if self.sized else {})
        if not self.sized:
            return {"states": found[0].last}
        return {"states": torch.cat([text.penultimate for text in found], dim=-1), "pooled": found[-1].pooled}

    @property
    def _pooled_channels(self) -> int:
        sizes = 6 * int(self.denoiser_config["addition_time_embed_dim"])
        return int(self.denoiser_config["projection_class_embeddings_input_dim"]) - sizes

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        more = {}
        if self.sized:  # The picture is the original, nothing is cropped.
            sizes = torch.tensor([[*given.shape, 0, 0, *given.shape]], device=noisy.device).repeat(len(noisy), 1)
            more = {"added_cond_kwargs": {"text_embeds": given.text["pooled"], "time_ids": sizes}}
        return self.module(noisy, timestep, encoder_hidden_states=given.text["states"], **more)
