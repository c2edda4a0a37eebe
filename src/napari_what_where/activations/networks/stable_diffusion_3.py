"""Stable Diffusion 3 and 3.5: a transformer in which image and text attend to each other (Esser et al. 2024)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.networks.diffusion import DiffusionBackbone, Prepared
from napari_what_where.activations.networks.prompts import clip_text, t5_text

TEXT_TOKENS = {"clip": 77, "t5": 256}


class StableDiffusion3(DiffusionBackbone):
    """SD3Transformer2DModel. Text stands behind the image; ``attn2``, of 3.5, is among the image's tokens alone."""

    flow = True
    attention = r"transformer_blocks\.\d+\.attn2?"
    image_tokens = "first"

    def __init__(self, info: BackboneInfo, folder: Path, class_name: str, **options: Any) -> None:
        super().__init__(info, folder, class_name, **options)
        self.longest = int(self.denoiser_config["pos_embed_max_size"]) * self.step

    def read_prompt(self) -> dict[str, torch.Tensor]:
        """States of two CLIPs side by side, widened to T5's, and T5's behind them; zeros for what is not there."""
        width = self.denoiser_config["joint_attention_dim"]
        texts = [clip_text(self.folder, number, self.prompt, self.device) for number in (1, 2)]
        found = [text for text in texts if text is not None]
        if len(found) == len(texts):
            states = torch.cat([text.penultimate for text in found], dim=-1)
            states = torch.nn.functional.pad(states, (0, width - states.shape[-1]))
            pooled = torch.cat([text.pooled for text in found], dim=-1)
        else:
            states = self.no_text(TEXT_TOKENS["clip"], width)
            pooled = self.no_text(self.denoiser_config["pooled_projection_dim"])
        length = TEXT_TOKENS["t5"]
        t5 = t5_text(self.folder, 3, self.prompt, self.device, self.dtype, length=length, pad=True)
        t5 = torch.zeros(1, length, width) if t5 is None else t5
        return {"states": torch.cat([states, t5], dim=1), "pooled": pooled}

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        text = {"encoder_hidden_states": given.text["states"], "pooled_projections": given.text["pooled"]}
        return self.module(noisy, timestep=timestep, **text)
