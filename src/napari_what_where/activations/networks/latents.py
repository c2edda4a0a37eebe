"""The autoencoder of a latent diffusion model: from a picture to its latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.networks.components import interruptible, load_component, read_config
from napari_what_where.activations.networks.placement import place

FOLDERS = ("vae", "vqvae")
CLASSES = ("AutoencoderKL", "VQModel")


class LatentEncoder:
    """The encoder that lies in a pipeline's folder; its weights are read at first use, those of its decoder dropped.

    Runs in float32 always: in half precision some overflow (``force_upcast``), and it is a small part of the time.
    """

    untiled = 1024**2
    """Pixels that are encoded in one piece; larger pictures go tile by tile, in bounded memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = read_config(folder)
        self._model: torch.nn.Module | None = None

    @classmethod
    def of_pipeline(cls, folder: Path) -> LatentEncoder | None:
        """That of a pipeline; None for one that works on pixels."""
        found = next((folder / name for name in FOLDERS if (folder / name).is_dir()), None)
        return cls(found) if found else None

    @property
    def channels(self) -> int:
        """Of the latents."""
        return int(self.config.get("latent_channels", 4))

    @property
    def cell(self) -> int:
        """Pixels across one cell of the latents."""
        return int(2 ** (len(self.config.get("block_out_channels", (64,))) - 1))

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        """Latents of a (1, 3, rows, columns) picture in [0, 1]: (1, channels, rows / cell, columns / cell), float32.

        The mode of the posterior, as the denoiser knows it. On the device of the picture; every module is a checkpoint.
        """
        model: Any = place(self._model or self._load(), picture.device, torch.float32)
        self._model = model
        model.use_tiling = picture.shape[2] * picture.shape[3] > self.untiled
        with torch.no_grad(), interruptible(model):
            encoded = model.encode(2 * picture.float() - 1)
        latents = encoded.latent_dist.mode() if hasattr(encoded, "latent_dist") else encoded.latents
        shifted: torch.Tensor = latents - (model.config.get("shift_factor") or 0)
        return shifted * model.config.scaling_factor

    def _load(self) -> torch.nn.Module:
        name = self.config.get("_class_name")
        if name not in CLASSES:
            raise ValueError(f"{self.folder} holds a {name}; expected {' or '.join(CLASSES)}.")
        model: Any = load_component("diffusers", name, self.folder, torch.float32)
        model.decoder = model.post_quant_conv = None
        return model
