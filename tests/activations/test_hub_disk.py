"""What is found on disk: our downloads, those of other programs, and which commit is kept to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap

import pytest

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.activations.hub import download_model, find_on_disk
from napari_what_where.activations.hub.cache import repo_folder
from napari_what_where.progress import Cancelled
from tests.activations.hub_case import FILES, NEEDED, REPO, WEIGHTS, empty_hub, names, put, stop_when

hub = empty_hub


def test_the_cache_is_the_hubs_own(hub):
    """What was downloaded here is found by other programs, offline."""
    hub.add(REPO, FILES)
    model = download_model(REPO)
    code = f"""
    from huggingface_hub import hf_hub_download, scan_cache_dir, try_to_load_from_cache
    print(hf_hub_download({REPO!r}, "model.safetensors"))
    print(try_to_load_from_cache({REPO!r}, "config.json"))
    print([str(warning) for warning in scan_cache_dir().warnings])
    """
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], env=environment, capture_output=True, text=True, check=True
    )
    assert said.stdout.splitlines() == [
        str(model.folder / "model.safetensors"),
        str(model.folder / "config.json"),
        "[]",
    ]


def test_a_truncated_file_on_disk_is_not_complete_and_is_fetched_again(hub):
    hub.add(REPO, FILES)
    model = download_model(REPO)
    blob = (model.folder / "model.safetensors").resolve()
    blob.write_bytes(WEIGHTS[:-5])
    short = find_on_disk(REPO)
    assert short.missing == ("model.safetensors",)
    again = download_model(REPO)
    assert again.complete
    assert (again.folder / "model.safetensors").read_bytes() == WEIGHTS


def test_a_moved_branch_does_not_change_what_is_found(hub):
    first = hub.add(REPO, FILES)
    model = download_model(REPO)
    second = hub.add(REPO, FILES | {"config.json": b'{"hidden_size": 1}'})
    assert second != first
    # Another program moves the cache's own branch.
    (repo_folder(REPO) / "refs" / "main").write_text(second)
    assert find_on_disk(REPO) == download_model(REPO) == model
    (model.folder / "config.json").unlink()
    assert download_model(REPO).commit == first
    for path in (repo_folder(REPO) / "blobs").iterdir():
        path.unlink()
    hub.pause = 0.02
    with pytest.raises(Cancelled):
        download_model(REPO, report=stop_when(1))
    put(REPO, {name: FILES[name] for name in NEEDED}, commit=second)
    assert find_on_disk(REPO).commit == first


def test_a_download_begun_before_the_branch_moved_is_finished(hub):
    first = hub.add(REPO, FILES)
    hub.pause = 0.02
    with pytest.raises(Cancelled):
        download_model(REPO, report=stop_when(1))
    hub.pause = 0.0
    hub.add(REPO, FILES | {"model.safetensors": WEIGHTS[::-1]})
    assert download_model(REPO).commit == first


def test_without_links_the_files_themselves_are_kept(hub, monkeypatch):
    hub.add(REPO, FILES)
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    model = download_model(REPO)
    assert names(model.folder) == NEEDED
    assert not any(path.is_symlink() for path in model.folder.rglob("*"))
    hub.requests.clear()
    assert download_model(REPO) == model
    assert not hub.requests


def test_revisions_are_kept_apart(hub):
    main = hub.add(REPO, FILES)
    other = hub.add(REPO, FILES | {"config.json": b"[]"}, branch="v2")
    hub.sent.clear()
    assert download_model(REPO, revision="v2").commit == other
    assert find_on_disk(REPO) is None
    assert download_model(REPO).commit == main
    assert hub.sent["model.safetensors"] == len(WEIGHTS)
    assert find_on_disk(REPO, "v2").commit == other
    assert find_on_disk(REPO, main).complete


def half_precision(name: str) -> dict[str, bytes]:
    """The files of a pipeline on the hub: full and half precision, pickles, single-file checkpoints, extras."""
    files = {"model_index.json": b"{}", "scheduler/scheduler_config.json": b"{}", "v1-5-pruned.safetensors": b"large"}
    for component, base in {
        "unet": "diffusion_pytorch_model",
        "vae": "diffusion_pytorch_model",
        "text_encoder": "model",
    }.items():
        files[f"{component}/config.json"] = name.encode()
        for suffix in (".safetensors", ".fp16.safetensors", ".non_ema.safetensors", ".bin"):
            files[f"{component}/{base}{suffix}"] = f"{component}{suffix}".encode() * 10
    return files | {"tokenizer/vocab.json": b"{}", "tokenizer/merges.txt": b"a b", "safety_checker/config.json": b"{}"}


def test_pipelines_bring_the_half_precision_of_what_is_needed(hub):
    row = CATALOGUE["stable-diffusion-1.5"]
    hub.add(row.repo, half_precision("sd"))
    model = download_model(row.repo, files=row.files)
    weights = {name for name in names(model.folder) if name.endswith(".safetensors")}
    assert weights == {
        "unet/diffusion_pytorch_model.fp16.safetensors",
        "vae/diffusion_pytorch_model.fp16.safetensors",
        "text_encoder/model.fp16.safetensors",
    }
    assert names(model.folder) - weights == {
        "model_index.json",
        "scheduler/scheduler_config.json",
        "tokenizer/merges.txt",
        "tokenizer/vocab.json",
        *(f"{component}/config.json" for component in ("unet", "vae", "text_encoder")),
    }
    assert dict(model.variants) == dict.fromkeys(("unet", "vae", "text_encoder"), "fp16")


def test_models_of_other_programs_are_found_in_the_precision_that_is_there(hub):
    row = CATALOGUE["stable-diffusion-1.5"]
    files = {name: content for name, content in half_precision("sd").items() if ".fp16." not in name}
    folder = put(row.repo, files)
    model = find_on_disk(row.repo, files=row.files)
    assert model.complete
    assert model.folder == folder
    assert set(model.variants.values()) == {None}
    (folder / "vae" / "diffusion_pytorch_model.safetensors").unlink()
    lacking = find_on_disk(row.repo, files=row.files)
    assert lacking.missing == ("vae",)
    assert lacking.status == "partly: some files are missing"


def test_models_of_other_programs_are_pinned_once_they_were_asked_for(hub, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    put(REPO, {name: FILES[name] for name in NEEDED})
    model = download_model(REPO)
    put(REPO, {name: FILES[name] for name in NEEDED}, commit="d" * 40)
    assert find_on_disk(REPO).commit == model.commit == "c" * 40


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json"])
def test_models_without_weights_or_configuration_are_not_complete(hub, lost):
    put(REPO, {name: FILES[name] for name in NEEDED - {lost}})
    model = find_on_disk(REPO)
    assert model is None or not model.complete


def test_shards_are_complete_when_all_are_there(hub):
    shards = {f"model-0000{i}-of-00003.safetensors": b"x" * 100 for i in (1, 2, 3)}
    index = {"model.safetensors.index.json": json.dumps({"weight_map": {}}).encode()}
    folder = put(REPO, {"config.json": b"{}"} | shards | index)
    assert find_on_disk(REPO).complete
    (folder / "model-00002-of-00003.safetensors").unlink()
    assert not find_on_disk(REPO).complete


def test_a_damaged_record_is_as_none(hub):
    hub.add(REPO, FILES)
    model = download_model(REPO)
    (repo_folder(REPO) / "what-where.json").write_text("{")
    assert find_on_disk(REPO).folder == model.folder
