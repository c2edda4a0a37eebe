"""What diffusion models have in common: an image becomes noisy latents, which one forward pass a timestep looks at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.networks.components import load_component, read_config
from napari_what_where.activations.networks.latents import LatentEncoder
from napari_what_where.activations.networks.network import Pass
from napari_what_where.activations.networks.noise import (
    check_scheduler,
    checked_timesteps,
    diffused,
    flowed,
    standard_noise,
)
from napari_what_where.activations.networks.pretrained import PretrainedBackbone

SCHEDULER = "scheduler_config.json"


class Cells(NamedTuple):
    """Latent cells: that sides are multiples of, across the finest token, and across any (1: tokens are cells)."""

    step: int
    token: int
    patch: int


class Prepared(NamedTuple):
    """What all timesteps share: float32 latents and noise, text in the type of the weights, all on the device."""

    shape: tuple[int, int]
    latents: torch.Tensor
    noise: torch.Tensor
    text: dict[str, torch.Tensor]


class DiffusionBackbone(PretrainedBackbone):
    """A diffusion model of diffusers, in the folder of its pipeline.

    The VAE encodes the picture, noise is added as in training, and the denoiser runs once a timestep; each pass gives
    network layers of its own, such as "mid_block… t=50". Text encoders are in memory only while a prompt is read.

    Options beside those of :class:`~napari_what_where.activations.networks.network.NetworkBackbone`:

    ``timesteps``
        A whole number or several, in 0…999; see :func:`~napari_what_where.activations.networks.noise.draw_timesteps`.
        By default 50, of little noise, so that fine structure is there to be seen. Time grows with their number.
    ``prompt``
        What the image shows, for models that read text. By default nothing.
    ``noise_seed``
        Of the noise, which is the same at all timesteps and on every device.
    ``resolution``
        By default that of training.

    An adapter says where attention is, and implements :meth:`denoise` and, if it reads text, :meth:`read_prompt`.
    """

    component = "transformer"
    """Folder of the denoiser in the pipeline."""
    reads_text = True
    flow = False
    """Whether it is trained on the straight way from picture to noise (rectified flow)."""

    def __init__(
        self,
        info: BackboneInfo,
        folder: Path,
        class_name: str,
        *,
        timesteps: int | Sequence[int] | None = None,
        prompt: str = "",
        noise_seed: int = 0,
        resolution: int | None = None,
        **options: Any,
    ) -> None:
        folder = Path(folder)
        part = folder / self.component
        self.denoiser_folder = part if part.is_dir() else folder
        self.denoiser_config = read_config(self.denoiser_folder)
        self.encoder = LatentEncoder.of_pipeline(folder)
        if resolution is None:
            resolution = self.trained_cells * self.cell
        super().__init__(info, folder, class_name, resolution=resolution, **options)
        cells = self.cells()
        self.step, self.token, self.patch = cells.step * self.cell, cells.token * self.cell, cells.patch
        self.timesteps = checked_timesteps(timesteps)
        self.prompt, self.noise_seed = prompt, noise_seed
        self._scheduler = {} if self.flow else self._read_scheduler()
        self._texts: dict[str, dict[str, torch.Tensor]] = {}
        self._check()

    # What a family's adapter says

    def cells(self) -> Cells:
        """By default those of a transformer on patches of latents."""
        patch = int(self.denoiser_config.get("patch_size", 2))
        return Cells(patch, patch, patch)

    @property
    def trained_cells(self) -> int:
        """Side of the latents in training."""
        size = self.denoiser_config.get("sample_size") or 128
        return int(max(size) if isinstance(size, list | tuple) else size)

    @property
    def latent_channels(self) -> int:
        """That the denoiser takes."""
        return int(self.denoiser_config["in_channels"])

    def read_prompt(self) -> dict[str, torch.Tensor]:
        """What text encoders make of the prompt, on the CPU; zeros for an empty one where they are not there."""
        return {}

    def denoise(self, noisy: torch.Tensor, timestep: torch.Tensor, given: Prepared) -> Any:
        """One forward pass. ``noisy``: (1, channels, rows, columns) in the type of the weights; ``timestep``: (1,)."""
        raise NotImplementedError

    @contextmanager
    def at_timestep(self, timestep: int) -> Iterator[bool]:
        own, self.timesteps = self.timesteps, checked_timesteps(timestep)
        try:
            yield True
        finally:
            self.timesteps = own

    # What follows from it

    @property
    def cell(self) -> int:
        """Pixels across one cell of the latents."""
        return self.encoder.cell if self.encoder else 1

    @property
    def pass_count(self) -> int:
        return len(self.timesteps)

    def options(self) -> dict[str, Any]:
        own = {"timesteps": list(self.timesteps), "prompt": self.prompt, "noise_seed": self.noise_seed}
        return {**super().options(), **own}

    def load(self) -> torch.nn.Module:
        self.text()  # Its encoders are gone before the larger weights come.
        return load_component("diffusers", self.class_name, self.denoiser_folder, self.dtype)

    def text(self) -> dict[str, torch.Tensor]:
        """What the model gets of the prompt, read once."""
        if self.prompt not in self._texts:
            self._texts[self.prompt] = self.read_prompt()
        return self._texts[self.prompt]

    def encode(self, picture: torch.Tensor) -> torch.Tensor:
        """What the denoiser is to see of a (1, 3, rows, columns) picture in [0, 1], without noise, float32."""
        assert self.encoder is not None
        return self.encoder.encode(picture)

    def prepare(self, picture: torch.Tensor) -> Prepared:
        text = {name: each.to(self.device, self.dtype) for name, each in self.text().items()}
        latents = self.encode(picture.to(self.device))
        noise = standard_noise(tuple(latents.shape), self.noise_seed).to(self.device)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()  # Else what the encoder used would be missing to the denoiser.
        return Prepared((picture.shape[2], picture.shape[3]), latents, noise, text)

    def passes(self, prepared: Prepared) -> Iterable[Pass]:
        for timestep in self.timesteps:
            noisy = self.noisy(prepared, timestep).to(self.dtype)
            at = torch.tensor([timestep], device=self.device)
            yield Pass(f"t={timestep}", partial(self.denoise, noisy, at, prepared))

    def noisy(self, prepared: Prepared, timestep: int) -> torch.Tensor:
        """Latents as the model sees them in training at a timestep, float32."""
        if self.flow:
            return flowed(prepared.latents, prepared.noise, timestep)
        return diffused(prepared.latents, prepared.noise, timestep, self._scheduler)

    def no_text(self, *shape: int) -> torch.Tensor:
        """Zeros, where a text encoder is not there; ``ValueError`` if there is a prompt that it should read."""
        if self.prompt:
            raise ValueError(
                f"prompt is {self.prompt!r}, but the text encoder of {self.info.name} is not in {self.folder}. Leave "
                "the prompt empty, or get the text_encoder and tokenizer folders of the model."
            )
        return torch.zeros(1, *shape)

    def _read_scheduler(self) -> Mapping[str, Any]:
        places = (self.folder / "scheduler", self.folder)
        found = next((each for each in places if (each / SCHEDULER).is_file()), None)
        return read_config(found, SCHEDULER) if found else {}

    def _check(self) -> None:
        if not isinstance(self.prompt, str):
            raise TypeError(f"prompt is {self.prompt!r}; expected text.")
        if self.prompt and not self.reads_text:
            raise ValueError(f"prompt is {self.prompt!r}, but {self.info.name} reads no text; leave it empty.")
        if (
            isinstance(self.noise_seed, bool)
            or not isinstance(self.noise_seed, int)
            or not 0 <= self.noise_seed < 2**63
        ):
            raise ValueError(f"noise_seed is {self.noise_seed!r}; expected a whole number from 0.")
        check_scheduler(self._scheduler, self.timesteps, self.info.name)
        self.check_channels()

    def check_channels(self) -> None:
        """Raise ``ValueError`` where what encodes the picture does not fit the denoiser."""
        given = self.encoder.channels if self.encoder else None
        if self.latent_channels != given:
            encoder = f"its VAE gives {given}" if given else f"there is no VAE in {self.folder}"
            raise ValueError(
                f"{self.info.name} takes latents of {self.latent_channels} channels, but {encoder}. Expected the "
                "folder of a whole pipeline that makes images from noise; not one that fills in, edits or enlarges."
            )
