"""Write a trained model as users get it: ``python -m training.export training/runs/base --to FOLDER``.

A folder as ``save_pretrained`` makes it, with averaged weights in float16, the noise that they were trained with, the
curve of the training, and a model card filled in from it.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path
from string import Template
from typing import Any

from training.model import new_model, new_scheduler

CARD = Path(__file__).with_name("model_card.md")
MOST_BYTES = 15_000_000


def export(run: Path, folder: Path, *, average: bool = True, most_bytes: float = MOST_BYTES) -> None:
    """Write the model of a run into ``folder``, replacing what is there of an earlier one.

    ``average``: the exponential moving average of the weights, or the last ones. ``most_bytes``: more than what is
    shipped may take, for models that are only compared. Raises ``FileNotFoundError`` if the run has no state yet,
    ``ValueError`` if the weights would take more than ``most_bytes``.
    """
    import torch

    state: dict[str, Any] = torch.load(run / "state.pt", map_location="cpu", weights_only=True)
    model = new_model(state["size"])
    model.load_state_dict(state["average" if average else "model"])
    write_model(model, folder, most_bytes=most_bytes)
    curve = list(csv.DictReader((run / "log.csv").open()))
    shutil.copy(run / "log.csv", folder / "training.csv")
    parameters = sum(each.numel() for each in model.parameters())
    (folder / "README.md").write_text(model_card(state, curve, parameters=parameters))


def write_model(model: Any, folder: Path, *, most_bytes: float = MOST_BYTES) -> None:
    """Write a ``UNet2DModel`` in float16, with its noise, as a folder that runs as a backbone."""
    size = 2 * sum(each.numel() for each in model.parameters())
    if size > most_bytes:
        raise ValueError(f"The weights take {size} bytes as float16; expected at most {most_bytes}.")
    if folder.exists():
        shutil.rmtree(folder)
    model.half().save_pretrained(folder / "unet")
    new_scheduler().save_pretrained(folder / "scheduler")
    _write_index(folder)


def model_card(state: dict[str, Any], curve: list[dict[str, str]], *, parameters: int) -> str:
    """The card's text, with the figures of this run."""
    return Template(CARD.read_text()).substitute(
        parameters=f"{parameters / 1e6:.1f} million",
        steps=f"{state['step']:,}",
        scenes=f"{state['scenes']:,}",
        hours=f"{state['seconds'] / 3600:.1f}",
        seed=state["seed"],
        first=curve[0]["held_out"],
        last=curve[-1]["held_out"],
        first_step=curve[0]["step"],
        last_step=curve[-1]["step"],
    )


def _write_index(folder: Path) -> None:
    from importlib.metadata import version

    parts = {"unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}
    index = {"_class_name": "DDPMPipeline", "_diffusers_version": version("diffusers"), **parts}
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--to", type=Path, required=True, help="folder; an earlier model in it is replaced")
    parser.add_argument("--any-size", action="store_true", help="also a model that is too large to be shipped")
    given = parser.parse_args()
    export(given.run, given.to, most_bytes=float("inf") if given.any_size else MOST_BYTES)
    print(f"{given.to}: {sum(each.stat().st_size for each in given.to.rglob('*') if each.is_file()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
