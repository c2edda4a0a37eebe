"""The built-in model: a small UNet of diffusers that works on cells of 4 × 4 pixels, of any number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

CELL = 4
"""Pixels across a cell, whose 3·CELL² values are the channels of the network's input."""
SIZES: dict[str, dict[str, Any]] = {
    "base": {"block_out_channels": (64, 96, 128, 128), "attention_head_dim": 32, "norm_num_groups": 16},
    "small": {"block_out_channels": (32, 48, 64, 64), "attention_head_dim": 16, "norm_num_groups": 8},
    "large": {"block_out_channels": (128, 192, 256, 256), "attention_head_dim": 32, "norm_num_groups": 16},
    "tiny": {"block_out_channels": (16, 16, 32, 32), "attention_head_dim": 16, "norm_num_groups": 8},
}
"""Base is what is shipped; small and large, half and twice its width, are there to compare with it; tiny is for tests.

No attention among the cells themselves; then at tokens of 8, 16 and 32 pixels: 64 × 64 and coarser at 512²."""


def new_model(size: str = "base", seed: int = 0) -> Any:
    """A ``UNet2DModel`` with random weights, decided by the seed; torch's own generator is left as it was.

    Its convolutions repeat the border, as they do where the model is used; that is not part of its configuration.
    """
    import torch
    from diffusers.models.unets.unet_2d import UNet2DModel

    from napari_what_where.activations.networks.built_in import repeat_borders

    options = SIZES[size]
    attends = [False, *[True] * (len(options["block_out_channels"]) - 1)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = UNet2DModel(
            in_channels=3 * CELL**2,
            out_channels=3 * CELL**2,
            layers_per_block=1,
            down_block_types=tuple("AttnDownBlock2D" if attention else "DownBlock2D" for attention in attends),
            up_block_types=tuple("AttnUpBlock2D" if attention else "UpBlock2D" for attention in reversed(attends)),
            **options,
        )
    return repeat_borders(model)


def new_scheduler() -> Any:
    """The noise: the cosine schedule (Nichol & Dhariwal 2021); the network predicts v (Salimans & Ho 2022)."""
    from diffusers.schedulers.scheduling_ddpm import DDPMScheduler

    return DDPMScheduler(num_train_timesteps=1000, beta_schedule="squaredcos_cap_v2", prediction_type="v_prediction")


def cells_of(pictures: torch.Tensor) -> torch.Tensor:
    """(n, 3, rows, columns) in [0, 1] → (n, 3·CELL², rows / CELL, columns / CELL) in [-1, 1]."""
    import torch

    return torch.nn.functional.pixel_unshuffle(2 * pictures - 1, CELL)


def pictures_of(cells: torch.Tensor) -> torch.Tensor:
    """The inverse of :func:`cells_of`, clipped to [0, 1]."""
    import torch

    return (torch.nn.functional.pixel_shuffle(cells, CELL) / 2 + 0.5).clamp(0, 1)
