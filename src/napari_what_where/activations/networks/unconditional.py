"""Diffusion models without text or classes: UNets on pixels, or on latents."""

from __future__ import annotations

from math import isqrt
from typing import Any

import torch

from napari_what_where.activations.networks.diffusion import Cells, DiffusionBackbone, Prepared
from napari_what_where.activations.networks.stable_diffusion import unet_cells


class UnconditionalUNet(DiffusionBackbone):
    """UNet2DModel. Without an autoencoder its 3·p² channels are the p × p pixels of a cell, p = 1 in most models."""

    component = "unet"
    reads_text = False
    attention = r".*\.attentions\.\d+"

    def cells(self) -> Cells:
        return unet_cells(self.denoiser_config)

    @property
    def cell(self) -> int:
        return super().cell if self.encoder else max(1, isqrt(self.latent_channels // 3))

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        if self.encoder:
            return super().encode(picture)
        return torch.nn.functional.pixel_unshuffle(2 * picture - 1, self.cell)

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        return self.module(noisy, timestep)

    def check_channels(self) -> None:
        if self.denoiser_config.get("class_embed_type") or self.denoiser_config.get("num_class_embeds"):
            raise ValueError(f"{self.info.name} wants to know the class of the picture; expected one without classes.")
        if self.encoder:
            super().check_channels()
        elif self.latent_channels != 3 * self.cell**2:
            raise ValueError(
                f"{self.info.name} takes {self.latent_channels} channels and there is no autoencoder in {self.folder}; "
                "expected 3, or 3·p² for p × p pixels in each cell."
            )
