"""Timesteps of diffusion models, and the noise that a picture has at them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from napari_what_where.activations.catalogue import DIFFUSION_TIMESTEP

TIMESTEPS = 1000
"""That models are trained with; timestep 0 has the least noise."""
BETAS = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas", "rescale_betas_zero_snr")
"""What a scheduler's configuration says about the noise; the rest is about sampling."""


def draw_timesteps(count: int, most: int = 250, seed: int = 0) -> tuple[int, ...]:
    """``count`` different timesteps of 0…``most``, each as likely, in ascending order.

    The paper draws from [0, 250] for one image and from [0, 300] for collections (Zhang et al. 2024). Raises
    ``ValueError`` if there are not so many.
    """
    import numpy as np

    if not 0 <= most < TIMESTEPS or not 1 <= count <= most + 1:
        raise ValueError(
            f"{count} different timesteps of 0…{most} were asked for; expected 1…most + 1 of 0…most, most below "
            f"{TIMESTEPS}."
        )
    return tuple(sorted(int(each) for each in np.random.default_rng(seed).choice(most + 1, count, replace=False)))


def checked_timesteps(given: Any) -> tuple[int, ...]:
    """One timestep or several, each once, in their order; the default for None. ``ValueError`` for anything else."""
    import numpy as np

    listed = (DIFFUSION_TIMESTEP,) if given is None else tuple(given) if isinstance(given, Iterable) else (given,)
    whole = all(isinstance(each, int | np.integer) and not isinstance(each, bool) for each in listed)
    if not whole or not listed or not all(0 <= each < TIMESTEPS for each in listed):
        raise ValueError(
            f"timesteps is {given!r}; expected a whole number, or several, in 0…{TIMESTEPS - 1}, such as 50."
        )
    if len(set(listed)) < len(listed):
        raise ValueError(f"timesteps is {given!r}; expected each once: the noise is the same, so are the activations.")
    return tuple(int(each) for each in listed)


def standard_noise(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Normal noise on the CPU, the same on every machine; the state of torch's own generator is not touched."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def check_scheduler(config: Mapping[str, Any], timesteps: tuple[int, ...], name: str) -> None:
    """Raise ``ValueError`` for a scheduler whose noise is not known, or has not so many timesteps."""
    if config and "beta_schedule" not in config:
        raise ValueError(
            f"The noise of {name} is that of {config.get('_class_name')}, which is not supported: expected a scheduler "
            "with betas, such as DDPMScheduler."
        )
    most = int(config.get("num_train_timesteps", TIMESTEPS)) - 1
    if max(timesteps) > most:
        raise ValueError(f"timesteps are {', '.join(map(str, timesteps))}; {name} is trained with 0…{most}.")


def diffused(latents: torch.Tensor, noise: torch.Tensor, timestep: int, config: Mapping[str, Any]) -> torch.Tensor:
    """√ᾱ latents + √(1 − ᾱ) noise (Ho et al. 2020, eq. 4).

    ``config``: of any scheduler with betas; whichever way of sampling it is for, the noise of training is the same.
    """
    from diffusers import DDPMScheduler

    scheduler = DDPMScheduler(**{name: config[name] for name in BETAS if name in config})
    noisy: torch.Tensor = scheduler.add_noise(latents, noise, torch.tensor([timestep], device=latents.device))
    return noisy


def flowed(latents: torch.Tensor, noise: torch.Tensor, timestep: int) -> torch.Tensor:
    """(1 − σ) latents + σ noise with σ = timestep / 1000, of which rectified flows are told (Liu et al. 2023)."""
    sigma = timestep / TIMESTEPS
    return (1 - sigma) * latents + sigma * noise
