"""Train the built-in model: ``python -m training.train --run training/runs/base --steps 40000``.

Stops cleanly at Ctrl-C or SIGTERM, and goes on where it was when started again with the same options. Steps are
decided by their number alone, so a run that was stopped ends with the weights of one that was not.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from training.model import SIZES, cells_of, new_model, new_scheduler
from training.pool import HELD_OUT, ScenePool, training_scene

SHAPES = ((16, (128, 128)),) * 6 + ((8, (128, 256)), (4, (256, 256)))
"""Scenes of a step and their size, in turn: so the network meets more than one size and aspect."""
WARM_UP = 500
COLUMNS = ("step", "loss", "held_out", "learning_rate", "seconds", "scenes")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights.

    ``steps`` in all, in the last ``decay`` of which the learning rate falls to 0: the rate is constant before, so that
    a run can be made longer at any time.
    """

    size: str = "base"
    steps: int = 40_000
    decay: int = 4_000
    rate: float = 4e-4
    seed: int = 0
    average: float = 0.9995
    chunks: int = 32
    chunk: int = 512

    def learning_rate(self, step: int) -> float:
        return self.rate * min(1.0, (step + 1) / WARM_UP, (self.steps - step) / max(1, self.decay))


class Trainer:
    """Model, its exponential moving average, and optimiser; on the CPU in bfloat16, or on a GPU where there is one."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = new_model(settings.size, settings.seed).to(self.device)
        self.average = new_model(settings.size, settings.seed).to(self.device).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=settings.rate, weight_decay=0.01)
        self.remaining = new_scheduler().alphas_cumprod.to(self.device)
        self.step = 0
        self.seconds = 0.0
        self.scenes = 0

    def train(self, pictures: np.ndarray) -> float:
        """One step on (n, rows, columns, 3) uint8 pictures; the loss."""
        began = time.perf_counter()
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate(self.step)
        loss = self._loss(self.model, pictures, self.step)
        self.optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        self.seconds += time.perf_counter() - began
        self.scenes += len(pictures)
        return float(loss.detach())

    def held_out_loss(self) -> float:
        """Of the averaged weights, on scenes, timesteps and noise that are always the same."""
        scenes = [training_scene(HELD_OUT + n, seed=self.settings.seed, size=(128, 128)) for n in range(64)]
        with torch.no_grad():
            parts = [float(self._loss(self.average, np.stack(scenes[n::4]), HELD_OUT + n)) for n in range(4)]
        return sum(parts) / 4

    def _loss(self, model: Any, pictures: np.ndarray, draw: int) -> torch.Tensor:
        """Mean squared error of v, timesteps spread evenly over the batch (Kingma et al. 2021)."""
        given = torch.Generator().manual_seed(self.settings.seed * 2**40 + draw)
        clean = cells_of(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255)
        noise = torch.randn(clean.shape, generator=given)
        even = (torch.arange(len(clean)) + torch.rand(1, generator=given)) / len(clean)
        timesteps = (even * len(self.remaining)).long().to(self.device)
        clean, noise = clean.to(self.device), noise.to(self.device)
        signal_part = self.remaining[timesteps].sqrt()[:, None, None, None]
        noise_part = (1 - self.remaining[timesteps]).sqrt()[:, None, None, None]
        with torch.autocast(self.device.type, torch.bfloat16):
            predicted = model(signal_part * clean + noise_part * noise, timesteps).sample
        return torch.nn.functional.mse_loss(predicted.float(), signal_part * noise - noise_part * clean)

    def state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "scenes": self.scenes,
            "size": self.settings.size,
            "seed": self.settings.seed,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Raises ``ValueError`` if the state is of another size of model or another seed."""
        for name in ("size", "seed"):
            if state[name] != getattr(self.settings, name):
                raise ValueError(f"The run has {name} {state[name]}; {getattr(self.settings, name)} was asked for.")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds, self.scenes = state["step"], state["seconds"], state["scenes"]


def train(
    run: Path, settings: Settings, *, stop: Any = lambda: False, log_every: int = 500, save_every: int = 500
) -> Trainer:
    """Train to ``settings.steps``, or until ``stop()``; the folder ``run`` then holds the state and the log."""
    run.mkdir(parents=True, exist_ok=True)
    trainer, checkpoint = Trainer(settings), run / "state.pt"
    if checkpoint.exists():
        trainer.restore(torch.load(checkpoint, map_location=trainer.device, weights_only=True))
    pool = ScenePool(run / "scenes", seed=settings.seed, chunks=settings.chunks, chunk=settings.chunk)
    recent: list[float] = []
    try:
        while trainer.step < settings.steps and not stop():
            if trainer.step == settings.steps - settings.decay:
                save(trainer.state(), run / "before-decay.pt")
            count, size = SHAPES[trainer.step % len(SHAPES)]
            recent.append(trainer.train(pool.batch(trainer.step, count, size)))
            if trainer.step % log_every == 0 or trainer.step == settings.steps:
                log(run / "log.csv", trainer, recent)
                recent = []
            if trainer.step % save_every == 0:
                save(trainer.state(), checkpoint)
    finally:
        pool.close()
    save(trainer.state(), checkpoint)
    return trainer


def save(state: dict[str, Any], file: Path) -> None:
    """Write a state whole or not at all."""
    unfinished = file.with_suffix(".part")
    torch.save(state, unfinished)
    os.replace(unfinished, file)


def log(file: Path, trainer: Trainer, recent: list[float]) -> None:
    """Append a line to the curve; lines of steps that a resumed run repeats come again with the same numbers."""
    is_new = not file.exists()
    with file.open("a", newline="") as opened:
        writer = csv.writer(opened)
        if is_new:
            writer.writerow(COLUMNS)
        rate = trainer.settings.learning_rate(trainer.step - 1)
        row = (np.mean(recent), trainer.held_out_loss(), rate, trainer.seconds)
        writer.writerow([trainer.step, *(f"{value:.6g}" for value in row), trainer.scenes])
    print(f"step {trainer.step}: loss {row[0]:.4f}, held out {row[1]:.4f}, {trainer.seconds:.0f} s", flush=True)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", type=Path, required=True, help="folder of the run: scenes, states and log")
    parser.add_argument("--size", choices=SIZES, default=Settings.size)
    parser.add_argument("--steps", type=int, default=Settings.steps, help="in all, those already done included")
    parser.add_argument(
        "--decay", type=int, default=Settings.decay, help="last steps, in which the learning rate falls"
    )
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--minutes", type=float, help="stop after so long, to go on another time")
    given = parser.parse_args()
    torch.set_flush_denormal(True)  # denormals are a hundred times slower
    stopped: list[int] = []
    for caught in (signal.SIGINT, signal.SIGTERM):
        signal.signal(caught, lambda number, frame: stopped.append(number))
    ends = time.monotonic() + 60 * given.minutes if given.minutes else float("inf")
    settings = Settings(size=given.size, steps=given.steps, decay=given.decay, seed=given.seed)
    trainer = train(given.run, settings, stop=lambda: bool(stopped) or time.monotonic() > ends)
    print(f"{trainer.step} steps, {trainer.scenes} scenes, {trainer.seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
