"""A Stable Diffusion pipeline in a folder, all the way: Python and command line, and what is kept between runs."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from skimage.io import imread, imsave

import napari_what_where as ww
from napari_what_where import cli

from ..images import scene
from .tiny_diffusion import tiny_folder

OPTIONS = {"resolution": 64, "timesteps": (50, 150)}
FLAGS = ("--resolution=64", "--timesteps=50,150")


@pytest.fixture(autouse=True)
def own_store(tmp_path, monkeypatch):
    monkeypatch.setenv("WHAT_WHERE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("WHAT_WHERE_STORE_LIMIT", "1GiB")


@pytest.fixture
def image(tmp_path) -> Path:
    imsave(tmp_path / "image.png", scene((48, 64), channels=3), check_contrast=False)
    return tmp_path / "image.png"


@pytest.fixture
def forwards(monkeypatch) -> list[int]:
    """Grows by one at each pass through a UNet."""
    from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

    passes: list[int] = []
    forward = UNet2DConditionModel.forward

    def counted(self, *args, **kwargs):
        passes.append(len(passes))
        return forward(self, *args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "forward", counted)
    return passes


def folder() -> str:
    return str(tiny_folder("stable-diffusion"))


def segment(image: Path, out: Path, *flags: str, backbone: str | None = None) -> int:
    return cli.main(
        ["segment", str(image), f"--out={out}", f"--backbone={backbone or folder()}", "--segments=6", *flags]
    )


@pytest.mark.parametrize("pathway", ["what", "where", "both"])
def test_python_and_the_command_line_give_the_same_bit_for_bit(image, tmp_path, pathway):
    analysis = ww.analyze(imread(image), backbone=folder(), backbone_options=OPTIONS, pathway=pathway)
    assert segment(image, tmp_path / "out", f"--pathway={pathway}", *FLAGS) == 0
    assert np.array_equal(imread(tmp_path / "out" / "image_labels.tif"), analysis.tree.labels(6))
    assert np.array_equal(imread(tmp_path / "out" / "image_eigenvectors.tif"), analysis.embedding.vectors)
    told = json.loads((tmp_path / "out" / "image.json").read_text())
    assert told["options"]["backbone"] == folder()
    assert told["model"] == json.loads(json.dumps(analysis.provenance["model"]))
    assert told["model"]["options"]["timesteps"] == [50, 150]
    assert len(told["network_layers"]) == 2 * len(ww.load_backbone(folder()).network_layers)


def test_what_follows_the_activations_never_repeats_a_forward(image, tmp_path, forwards):
    assert segment(image, tmp_path / "one", *FLAGS) == 0
    assert len(forwards) == 2
    # Every option of what follows; an object size at which the picture is as large as before among them.
    for flags in (["--count=5"], ["--pathway=where"], ["--pathway=both", "--normalization=none"], ["--seed=1"]):
        assert segment(image, tmp_path / "more", *FLAGS, *flags) == 0
    assert segment(image, tmp_path / "more", *FLAGS, "--smallest-object=60") == 0
    assert len(forwards) == 2


@pytest.mark.parametrize(
    "flags", [("--timesteps=51",), ("--prompt=a cell",), ("--noise-seed=1",), ("--resolution=80",), ("--layers=up*",)]
)
def test_what_decides_the_activations_does(image, tmp_path, forwards, flags):
    assert segment(image, tmp_path / "one", "--resolution=64") == 0
    before = len(forwards)
    assert segment(image, tmp_path / "two", "--resolution=64", *flags) == 0
    assert len(forwards) > before


def test_the_cache_is_listed_and_emptied(image, tmp_path, forwards, capsys):
    assert segment(image, tmp_path / "out", *FLAGS) == 0
    capsys.readouterr()
    assert cli.main(["cache"]) == 0
    assert Path(folder()).name in capsys.readouterr().out
    assert cli.main(["cache", "--clear"]) == 0
    assert segment(image, tmp_path / "out", *FLAGS) == 0
    assert len(forwards) == 4


def test_resume_skips_what_is_there_and_only_that(image, tmp_path, capsys):
    assert segment(image, tmp_path / "out", *FLAGS) == 0
    written = (tmp_path / "out" / "image_labels.tif").stat().st_mtime_ns
    assert segment(image, tmp_path / "out", *FLAGS, "--resume") == 0
    assert (tmp_path / "out" / "image_labels.tif").stat().st_mtime_ns == written
    assert segment(image, tmp_path / "out", "--resolution=64", "--timesteps=60", "--resume") == 0
    assert (tmp_path / "out" / "image_labels.tif").stat().st_mtime_ns > written


def half_deleted(tmp_path: Path) -> str:
    there = shutil.copytree(folder(), tmp_path / "half")
    next((there / "unet").glob("*.safetensors")).unlink()
    return str(there)


REFUSED = {
    "layers": (["--layers=nothing*"], None, "of which .* has none"),
    "timesteps": (["--timesteps=1000"], None, "0…999"),
    "a model that is nowhere": ([], "org/model", "not on disk"),
    "no name": ([], "stable-confusion", "stable-confusion"),
    "a folder without weights": ([], half_deleted, "unet"),
}


@pytest.mark.parametrize(("flags", "backbone", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_is_one_line_and_nothing_is_written(image, tmp_path, capsys, flags, backbone, words):
    given = backbone(tmp_path) if callable(backbone) else backbone
    assert segment(image, tmp_path / "out", *flags, backbone=given) == 1
    said = [line for line in capsys.readouterr().err.splitlines() if "image.png" in line or "what-where" in line]
    assert len(said) == 1
    assert re.search(words, said[0]), said[0]
    assert not list((tmp_path / "out").glob("*"))


@pytest.mark.parametrize(
    "options",
    [{"prompt": 3}, {"layers": ("nothing",)}, {"timesteps": "soon"}, {"strength": 1}],
    ids=lambda o: next(iter(o)),
)
def test_wrong_options_are_said_in_python(options):
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        ww.analyze(scene((48, 64), channels=3), backbone=folder(), backbone_options={"resolution": 64, **options})
