"""The catalogue against the true classes in their published configurations, without weights."""

from __future__ import annotations

import fnmatch
import re

import pytest

from napari_what_where.activations.catalogue import CATALOGUE
from tests.activations.true_configs import MODELS, count, parts
from tests.activations.true_models import backbone_of, gigaflops


@pytest.fixture(scope="module")
def counted():
    known: dict[str, tuple[int, int]] = {}

    def of(class_name, config):
        key = f"{class_name}{config}"
        if key not in known:
            known[key] = count(class_name, config)
        return known[key]

    return of


@pytest.mark.parametrize("name", CATALOGUE)
def test_numbers_are_those_of_the_true_class(name, counted):
    row = CATALOGUE[name]
    components = parts(name)
    assert components[0][0] == row.class_name
    assert counted(*components[0][:2])[0] == row.parameters
    assert sum(counted(kind, config)[1] * size for kind, config, size in components) == row.size_bytes


@pytest.mark.parametrize("name", CATALOGUE)
def test_tokens_are_those_of_the_adapter(name, tmp_path):
    assert backbone_of(name, 512, tmp_path, empty=True).token == CATALOGUE[name].token


@pytest.mark.parametrize(
    "name", ["stable-diffusion-1.5", "stable-diffusion-3-medium", "dit-xl-2-512", "mae-base", "dinov2-small"]
)
def test_operations_are_those_of_a_forward_pass(name, tmp_path):
    row = CATALOGUE[name]
    assert round(gigaflops(name, 512, tmp_path)) == row.gigaflops_512
    assert round(gigaflops(name, 1024, tmp_path)) == row.gigaflops_1024


def test_every_published_configuration_is_listed():
    assert set(MODELS) == set(CATALOGUE)


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.name)
def test_rows_are_well_formed(row):
    assert re.fullmatch(r"[a-z0-9.-]+", row.name)
    assert re.fullmatch(r"[\w.-]+/[\w.-]+", row.repo)
    assert row.url == f"https://huggingface.co/{row.repo}"
    assert row.licence
    assert row.description
    assert row.resolution % 2 == 0


@pytest.mark.parametrize("row", CATALOGUE.values(), ids=lambda row: row.name)
@pytest.mark.parametrize(
    "file",
    [
        "pytorch_model.bin",
        "model.ckpt",
        "model.pt",
        "model.pkl",
        "modeling.py",
        "unet/diffusion_pytorch_model.bin",
        "v1-5-pruned.safetensors",
        "flux1-dev.safetensors",
        "transformer/diffusion_pytorch_model.fp16.bin",
        "text_encoder_3/model-00001-of-00002.safetensors",
    ],
)
def test_patterns_take_no_pickles_no_code_and_no_single_file_checkpoints(row, file):
    assert not any(fnmatch.fnmatch(file, pattern) for pattern in row.files)
