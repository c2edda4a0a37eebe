"""What reading a pretrained model's attention costs beside the model itself, at its true size.

Usage: ``python benchmarks/networks.py [--json FILE] [--only TEXT] [--device cpu|cuda]``. Models have the published
configuration and random weights, as none can be had here: time and memory do not depend on the weights, but the solver
does on the affinity. So queries and keys are, in one run, those of the random weights, and in another the same with
twenty planted regions. Each run has a process of its own; memory is its peak beyond the loaded model, Linux only.
Encoding the picture and its text is not counted, on either side. Takes half an hour on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from environment import describe_environment, peak_memory
from gradient import regions
from skimage.data import astronaut

from napari_what_where.activations.networks.pictures import picture_shape
from napari_what_where.activations.networks.pretrained import PretrainedBackbone
from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.joint import JointFold
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.grids import area_mean
from napari_what_where.image import PerceptualScale
from napari_what_where.segments.tree import region_tree
from tests.activations.true_models import backbone_of

CASES = [
    ("stable-diffusion-1.5", 512),
    ("dinov2-large", 512),
    ("dit-xl-2-512", 512),
    ("stable-diffusion-xl", 512),
    ("stable-diffusion-3-medium", 512),
    ("stable-diffusion-1.5", 1024),
    ("dinov2-large", 1024),
    ("dit-xl-2-512", 1024),
    ("stable-diffusion-xl", 1024),
    ("stable-diffusion-3-medium", 1024),
]
COUNT = 20
SHARE_WANTED, MEMORY_WANTED, GPU_SECONDS_WANTED = 0.2, 2**29, 0.5
"""Of one forward pass; bytes; seconds."""


def planted(layer: TokenActivations, number: int) -> TokenActivations:
    """The layer with queries and keys of twenty regions, and as much noise again."""
    heads, tokens, width = layer.query.shape
    rng = np.random.default_rng(number)
    means = rng.normal(size=(heads, 20, width)).astype(np.float32)
    shared = np.stack([area_mean(head[regions()], layer.grid).reshape(tokens, width) for head in means])
    query, key = (shared + rng.normal(size=shared.shape).astype(np.float32) for _ in range(2))
    dtype, device = layer.query.dtype, layer.query.device
    return replace(layer, query=torch.from_numpy(query).to(device, dtype), key=torch.from_numpy(key).to(device, dtype))


class Stopwatch:
    """Seconds by stage, with nothing left to do on the device at either end."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seconds = device, dict[str, float]()

    def __call__(self, stage: str, work: Callable[[], Any]) -> Any:
        self._settle()
        started = time.perf_counter()
        answer = work()
        self._settle()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - started
        return answer

    def _settle(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def measure(name: str, side: int, mode: str, device: torch.device) -> dict[str, Any]:
    """One process: "plain", the forward pass, or all that we do, with "random" or "planted" queries and keys."""
    image, timed = astronaut(), Stopwatch(device)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        backbone = backbone_of(name, side, Path(folder))
        backbone.use(device)
        # Kernels are chosen, and weights in place, after a small picture.
        backbone.view(image[:64, :64], lambda layer: None) if device.type == "cuda" else backbone._place()
        loaded = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            loaded = torch.cuda.memory_allocated()
        with peak_memory() as peak:
            if mode == "plain":
                picture = torch.rand(1, 3, *picture_shape(image.shape[:2], side, backbone.step))
                one = next(iter(backbone.passes(backbone.prepare(picture))))
                timed("forward", one.run)
                again = Stopwatch(device)
                again("forward", one.run)
                timed.seconds["forward"] = min(timed.seconds["forward"], again.seconds["forward"])
            else:
                run_ours(backbone, image, mode == "planted", timed)
            used = torch.cuda.max_memory_allocated() - loaded if device.type == "cuda" else peak()
    return {"seconds": timed.seconds, "bytes": used}


def run_ours(backbone: PretrainedBackbone, image: np.ndarray, plant: bool, timed: Stopwatch) -> None:
    """Capture, collapse, solve and the tree of one image, as ``analyze`` does, each stage timed by itself."""
    fold = JointFold("where", device=timed.device)

    def receive(layer: TokenActivations) -> None:
        number = len(fold.layers)
        given = timed("planting", lambda: planted(layer, number)) if plant else layer
        timed("collapse", lambda: fold.add(given))

    timed("visit", lambda: backbone.visit(image, receive))
    spent = timed.seconds
    spent["forward"] = spent.pop("visit") - spent["collapse"] - spent.pop("planting", 0.0)
    affinity = timed("collapse", fold.finish)
    embedding = timed("solve", lambda: spectral_embedding(affinity, COUNT))
    timed("tree", lambda: region_tree(embedding, image, scale=PerceptualScale.fit([image])))
    spent["network layers"] = len(affinity.layers)


def in_process(name: str, side: int, mode: str, device: str) -> dict[str, Any]:
    command = [sys.executable, __file__, "--case", json.dumps([name, side, mode]), "--device", device]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def row_of(name: str, side: int, device: str) -> dict[str, Any]:
    """What one model takes at one size."""
    plain, random, plant = (in_process(name, side, mode, device) for mode in ("plain", "random", "planted"))
    forward = plain["seconds"]["forward"]
    row = {"name": name, "side": side, "network layers": random["seconds"].pop("network layers"), "forward": forward}
    plant["seconds"].pop("network layers")
    for mode, found in (("random", random), ("planted", plant)):
        spent = found["seconds"]
        after = spent["collapse"] + spent["solve"] + spent["tree"]
        row[mode] = {**spent, "after": after, "share": after / forward}
    return {**row, "forward bytes": plain["bytes"], "bytes beyond": random["bytes"] - plain["bytes"]}


HEADING = (
    "| model | side | layers | forward, s | watched, s | collapse, s | solve, s | tree, s | after / forward | random "
    "weights: solve, s | after / forward | forward, MiB | beyond it, MiB |\n" + 13 * "|---" + "|"
)


def line(row: dict[str, Any]) -> str:
    one, other = row["planted"], row["random"]
    cells = [row["name"], row["side"], row["network layers"], f"{row['forward']:.2f}", f"{other['forward']:.2f}"]
    cells += [f"{one[stage]:.2f}" for stage in ("collapse", "solve", "tree")]
    cells += [f"{one['share']:.0%}", f"{other['solve']:.2f}", f"{other['share']:.0%}"]
    cells += [f"{row['forward bytes'] / 2**20:.0f}", f"{row['bytes beyond'] / 2**20:.0f}"]
    return "| " + " | ".join(map(str, cells)) + " |"


def markdown(rows: list[dict[str, Any]]) -> str:
    """All models."""
    return "\n".join([HEADING, *map(line, rows)])


def verdict(record: dict[str, Any]) -> str:
    """What was wanted of Stable Diffusion 1.5 at 512², and what came out."""
    row = next(row for row in record["rows"] if (row["name"], row["side"]) == CASES[0])
    share, beyond = row["planted"]["share"], row["bytes beyond"]
    return (
        f"Wanted of {row['name']} at {row['side']}²: at most {record['wanted']['share']:.0%} of a forward pass after "
        f"it; it is {share:.0%}, {row['planted']['after']:.1f} s beside a pass of {row['forward']:.1f} s. And at most "
        f"{record['wanted']['bytes beyond'] / 2**20:.0f} MiB beyond the forward pass; it is {beyond / 2**20:.0f}."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="with --only, other models that are in it are kept")
    parser.add_argument("--only", default="", help="models whose name and side hold this text, such as 'sion-1.5 512'")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        print(json.dumps(measure(*json.loads(options.case), torch.device(options.device))))
        return
    device = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    wanted = {"share": SHARE_WANTED, "bytes beyond": MEMORY_WANTED, "GPU seconds": GPU_SECONDS_WANTED}
    record: dict[str, Any] = {"environment": {**describe_environment(), "device": device}, "wanted": wanted, "rows": []}
    kept = (
        json.loads(options.json.read_text())["rows"] if options.only and options.json and options.json.exists() else []
    )
    rows = {(row["name"], row["side"]): row for row in kept}
    print(HEADING)
    for name, side in CASES:
        if options.only in f"{name} {side}":
            rows[name, side] = row_of(name, side, options.device)
            record["rows"] = [rows[case] for case in CASES if case in rows]
            print(line(rows[name, side]), flush=True)
            if options.json:  # after each, as the last take long
                options.json.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
