"""Draw what docs/built-in.md shows of the built-in model, from its own files and the package's samples.

Usage: ``python scripts/make_model_figures.py [FOLDER [FIGURE …]]`` (default docs/images, all of "curve", "scenes",
"samples", "sheet", "claim"). No image from elsewhere is needed: photographs are scikit-image's.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib import pyplot as plt

mpl.use("Agg")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
sys.path[:0] = [str(Path(__file__).parents[1])]

CLAIM = Path(__file__).parents[1] / "docs" / "benchmarks" / "claim.json"
IMAGES = ("coffee", "chelsea", "astronaut", "camera", "rocket", "coins", "immunohistochemistry", "cell")
"""Six photographs and two micrographs of ``skimage.data``."""


def curve(path: Path) -> None:
    """Loss by step, of the training as it went."""
    from napari_what_where.activations.registry import BUILT_IN_FOLDER

    with (BUILT_IN_FOLDER / "training.csv").open() as opened:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(opened)]
    steps = [row["step"] for row in rows]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    axes.plot(steps, [row["loss"] for row in rows], color="0.7", label="training scenes, weights as they are")
    axes.plot(steps, [row["held_out"] for row in rows], color="C0", label="held-out scenes, averaged weights")
    axes.set(xlabel="step", ylabel="mean squared error of v", ylim=(0, None), xlim=(0, None))
    hours = axes.secondary_xaxis("top", functions=(_interpolated(steps, rows), lambda x: x))
    hours.set_xlabel("hours on two cores")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def _interpolated(steps: list[float], rows: list[dict[str, float]]) -> Callable[[Any], Any]:
    hours = [row["seconds"] / 3600 for row in rows]
    return lambda x: np.interp(x, steps, hours)


def scenes(path: Path) -> None:
    """Scenes as the model was trained on."""
    from training.pool import training_scene

    _tiles([training_scene(number, seed=0, size=(128, 128)) for number in range(24)], path)


def samples(path: Path) -> None:
    """Pictures that the model makes of noise: 50 steps of DDIM, without any choice among them."""
    import torch
    from diffusers import DDIMScheduler, UNet2DModel

    from napari_what_where.activations.networks.built_in import repeat_borders
    from napari_what_where.activations.registry import BUILT_IN_FOLDER
    from training.model import CELL, pictures_of

    model = repeat_borders(UNet2DModel.from_pretrained(BUILT_IN_FOLDER / "unet", torch_dtype=torch.float32).eval())
    noise = DDIMScheduler.from_pretrained(BUILT_IN_FOLDER / "scheduler", clip_sample=False)
    noise.set_timesteps(50)
    cells = torch.randn(12, 3 * CELL**2, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        for timestep in noise.timesteps:
            cells = noise.step(model(cells, timestep).sample, timestep, cells).prev_sample
    _tiles([(255 * each).round().byte().permute(1, 2, 0).numpy() for each in pictures_of(cells)], path)


def _tiles(pictures: list[np.ndarray], path: Path, columns: int = 6) -> None:
    from skimage.io import imsave
    from skimage.util import montage

    rows = -(-len(pictures) // columns)
    tiled = montage(np.stack(pictures), grid_shape=(rows, columns), channel_axis=3, padding_width=2, fill=[255] * 3)
    imsave(path, tiled.astype(np.uint8), check_contrast=False)


def sheet(path: Path) -> None:
    """Eigenvectors of both pathways, three at a time as red, green and blue; and segments."""
    import skimage.data

    import napari_what_where as ww
    from napari_what_where.files.pictures import composite, overlay

    titles = ["image", "what: 2, 3, 4", "what: 5, 6, 7", "where: 2, 3, 4", "where: 5, 6, 7", "what", "where"]
    figure, all_axes = plt.subplots(
        len(IMAGES), len(titles), figsize=(14, 1.75 * len(IMAGES)), layout="constrained", squeeze=False
    )
    backbone = ww.load_backbone("built-in")
    for name, axes in zip(IMAGES, all_axes, strict=True):
        image = getattr(skimage.data, name)()
        shape, shown = image.shape[:2], [image]
        analyses = [ww.analyze(image, backbone=backbone, pathway=pathway) for pathway in ("what", "where")]
        for analysis in analyses:
            shown += [composite(analysis.embedding.vectors, shape, first=first) for first in (1, 4)]
        shown += [overlay(image, analysis.tree.labels("auto")) for analysis in analyses]
        for picture, title, one in zip(shown, titles, axes, strict=True):
            one.imshow(picture, cmap="gray")
            one.set_axis_off()
            if name == IMAGES[0]:
                one.set_title(f"segments ({title})" if title in ("what", "where") else title, fontsize=10)
    figure.savefig(path, dpi=80)


def claim(path: Path) -> None:
    """What values, and what queries with keys, tell across images: as ``benchmarks/claim.py`` measured it."""
    results = json.loads(CLAIM.read_text())["results"]
    worlds = list(dict.fromkeys(case.partition(": ")[0] for case in results))
    measures = list(next(iter(results.values())))
    sources = ["trained t=5", "trained t=50", "trained t=200", "zeros around t=5", "random t=5", "pixels t=5"]
    figure, all_axes = plt.subplots(
        len(worlds), len(measures), figsize=(14, 3 * len(worlds)), layout="constrained", sharex=True, sharey="col"
    )
    for world, row in zip(worlds, all_axes, strict=True):
        for measure, axes in zip(measures, row, strict=True):
            for shift, (pathway, colour) in zip((-0.3, 0.1), (("what", "C1"), ("where", "C0")), strict=True):
                for further, kind, alpha in ((0, "neighbours", 1.0), (0.2, "full", 0.5)):
                    cases = [f"{world}: {source} {kind} {pathway}" for source in sources]
                    shown = [(x, results[case][measure]) for x, case in enumerate(cases) if case in results]
                    height = [each["mean"] for _, each in shown]
                    error = [
                        [y - each["low"] for y, (_, each) in zip(height, shown, strict=True)],
                        [each["high"] - y for y, (_, each) in zip(height, shown, strict=True)],
                    ]
                    axes.bar(
                        [x + shift + further for x, _ in shown],
                        height,
                        0.2,
                        yerr=error,
                        color=colour,
                        alpha=alpha,
                        label=f"{pathway}, {kind}",
                        error_kw={"elinewidth": 0.8},
                    )
            axes.axhline(0, color="0.5", linewidth=0.6)
            axes.set_xticks(
                range(len(sources)),
                [source.removesuffix(" t=5") if "trained" not in source else source for source in sources],
                rotation=40,
                ha="right",
            )
            if world == worlds[0]:
                axes.set_title(measure if "ARI" in measure else f"{measure}, R²")
        row[0].set_ylabel(world)
    all_axes[0, -1].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=80)


FIGURES: dict[str, Callable[[Path], None]] = {
    "curve": curve,
    "scenes": scenes,
    "samples": samples,
    "sheet": sheet,
    "claim": claim,
}


def main() -> None:
    """The command line."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/images")
    for name in sys.argv[2:] or FIGURES:
        FIGURES[name](folder / f"built_in_{name}.png")
        print(folder / f"built_in_{name}.png", flush=True)


if __name__ == "__main__":
    main()
