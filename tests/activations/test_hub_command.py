"""The subcommand ``download``, and the words of the other small parts."""

from __future__ import annotations

import argparse
import errno
import subprocess
import sys
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.activations.hub.command import add_download, run_download
from napari_what_where.activations.hub.selection import PICKLED, choose
from napari_what_where.activations.hub.types import ModelUnavailable, bytes_in_words, of_total
from napari_what_where.activations.hub.words import in_words
from tests.activations.hub_case import empty_hub

hub = empty_hub


def download(*arguments: str):
    """Run the subcommand; return what it told and the progress it drew."""
    told, drawn = [], []

    @contextmanager
    def bar(title):
        yield drawn.append

    parser = argparse.ArgumentParser()
    add_download(parser.add_subparsers(), lambda options: run_download(options, progress_bar=bar, tell=told.append))
    options = parser.parse_args(["download", *arguments])
    assert options.run(options) == 0
    return told, drawn


def test_by_name_and_by_repository(hub):
    files = {"config.json": b"{}", "preprocessor_config.json": b"{}", "model.safetensors": b"w" * 2_000_000}
    row = CATALOGUE["dinov2-small"]
    commit = hub.add(row.repo, files)
    told, drawn = download("dinov2-small")
    assert told[0].startswith("dinov2-small -> ")
    assert f"2.0 MB, commit {commit[:10]}" in told[0]
    assert drawn[-1].stage == "downloading dinov2-small"
    hub.add("house/other", files)
    assert download("house/other")[0][0].startswith("house/other -> ")
    hub.add("house/other", files | {"config.json": b"[]"}, branch="v2")
    assert download("house/other", "--revision", "v2")[0] != download("house/other")[0]


def test_unknown_names_list_the_known_ones():
    with pytest.raises(ValueError, match="'dino'.*ORG/MODEL.*dinov2-small"):
        download("dino")


@pytest.mark.parametrize(
    ("problem", "reason", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk full", "free some space"),
        (PermissionError(errno.EACCES, "Permission denied", "/models"), "not allowed", "/models"),
        (ConnectionResetError(errno.ECONNRESET, "reset"), "offline", "reset"),
        (ModelUnavailable("corrupt", "as it says"), "corrupt", "as it says"),
        (ZeroDivisionError("by zero"), "interrupted", "ZeroDivisionError: by zero"),
    ],
)
def test_failures_in_words(problem, reason, words):
    known, message = in_words(problem, "house/model", None, None)
    assert known == reason
    assert words in message


def test_nothing_heavy_is_imported():
    code = (
        "import sys, napari_what_where.activations.hub; print({'huggingface_hub', 'torch', 'numpy'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("done", "total", "words"),
    [
        (0, 900, "0 of 1 kB"),
        (1_234, 56_789, "1 of 57 kB"),
        (1_200_000_000, 3_400_000_000, "1.2 of 3.4 GB"),
        (40_000_000, 3_400_000_000, "0.0 of 3.4 GB"),
        (40_000_000, 86_662_656, "40 of 87 MB"),
        (12_000_000_000, 24_196_117_446, "12 of 24 GB"),
    ],
)
def test_bytes_in_words(done, total, words):
    assert of_total(done, total) == words
    assert words.endswith(bytes_in_words(total))


NAMES = st.sampled_from(
    [
        f"{base}{variant}{shard}{suffix}"
        for base in ("model", "diffusion_pytorch_model", "pytorch_model", "lora")
        for variant in ("", ".fp16", ".non_ema")
        for shard in ("", "-00001-of-00002", "-00002-of-00002")
        for suffix in (".safetensors", *PICKLED, ".py")
    ]
    + ["config.json", "model.safetensors.index.json", "model.safetensors.index.fp16.json", "vocab.txt", "a.onnx"]
)
PATHS = st.lists(
    st.builds(lambda folder, name: folder + name, st.sampled_from(["", "unet/", "vae/"]), NAMES), unique=True
)


@given(PATHS)
def test_a_choice_is_safe_whole_and_of_one_precision(paths):
    choice = choose(paths, ("*",))
    assert set(choice.paths) <= set(paths)
    assert not [path for path in choice.paths if path.endswith((*PICKLED, ".py", ".onnx"))]
    for folder, variant in choice.variants.items():
        weights = [path for path in choice.paths if path.endswith(".safetensors") and path.rpartition("/")[0] == folder]
        assert len(weights) in (1, 2)
        assert len(weights) == 2 or "-of-" not in weights[0]
        assert len({".fp16" in path for path in weights}) == 1
        assert (".fp16" in weights[0]) == (variant == "fp16")
        assert "non_ema" not in weights[0]
    assert choose(choice.paths, ("*",)).paths == choice.paths
