"""Downloads from a hub on this computer: whole, stopped, broken, damaged, refused; and what is on disk afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.activations.hub import ModelUnavailable, cache_folder, download_model, find_on_disk
from napari_what_where.activations.hub.cache import partial_file, repo_folder
from napari_what_where.progress import Cancelled
from tests.activations.fake_hub import FakeHub, checksum

REPO = "house/model"
MEGABYTE = 1 << 20
WEIGHTS = bytes(range(256)) * (4 * MEGABYTE // 256)
FILES = {
    "config.json": b'{"hidden_size": 384}',
    "preprocessor_config.json": b"{}",
    "model.safetensors": WEIGHTS,
    "pytorch_model.bin": b"pickle" * 1000,
    "README.md": b"words",
    "modeling.py": b"raise SystemExit",
}
NEEDED = {"config.json", "preprocessor_config.json", "model.safetensors"}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with FakeHub() as server:
        for name, value in server.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        yield server


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def stop_when(limit: int):
    """A ``report`` that stops the download once ``limit`` megabytes have arrived."""

    def report(progress):
        if progress.stage.startswith("downloading") and progress.done >= limit:
            raise Cancelled

    return report


def refused(reason: str, **options) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        download_model(REPO, **options)
    assert caught.value.reason == reason
    return str(caught.value)


def test_downloads_what_is_needed_and_finds_it_without_network(hub, monkeypatch):
    commit = hub.add(REPO, FILES)
    assert find_on_disk(REPO) is None
    seen = []
    model = download_model(REPO, report=seen.append)
    assert model.complete
    assert model.status == "ready"
    assert model.commit == commit
    assert model.done_bytes == model.total_bytes == sum(len(FILES[name]) for name in NEEDED)
    assert names(model.folder) == NEEDED
    assert all((model.folder / name).read_bytes() == FILES[name] for name in NEEDED)
    assert set(hub.sent) == NEEDED
    assert {progress.stage for progress in seen} >= {f"downloading {REPO}"}
    assert seen[-1].done == seen[-1].total == 4
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub.requests.clear()
    assert find_on_disk(REPO) == model
    assert download_model(REPO) == model
    assert not hub.requests


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


def test_stopping_is_immediate_and_the_next_call_goes_on(hub):
    hub.add(REPO, FILES)
    hub.pause = 0.02
    with pytest.raises(Cancelled):
        download_model(REPO, report=stop_when(2))
    hub.pause = 0.0
    half = find_on_disk(REPO)
    assert not half.complete
    assert "model.safetensors" in half.missing
    assert 2 * MEGABYTE - 2e5 < half.done_bytes < half.total_bytes
    assert half.status == f"partly: {half.done_bytes / 1e6:.1f} of 4.2 MB"
    kept = partial_file(repo_folder(REPO) / "blobs", checksum("model.safetensors", WEIGHTS)).stat().st_size
    model = download_model(REPO)
    assert model.complete
    assert (model.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.starts["model.safetensors"] == [0, kept]
    assert hub.starts["config.json"] == [0]


@pytest.mark.parametrize("stalled", [True, False], ids=["silent hub", "slow hub"])
def test_stopping_takes_effect_within_a_second(hub, stalled):
    hub.add(REPO, FILES)
    hub.pause = 30.0 if stalled else 0.01
    asked = []

    def report(progress):
        if asked:
            return
        if ("GET", f"/storage/{REPO}/{hub.repositories[REPO].heads['main']}/model.safetensors") in hub.requests:
            asked.append(time.monotonic())
            raise Cancelled

    with pytest.raises(Cancelled):
        download_model(REPO, report=report)
    assert time.monotonic() - asked[0] < 1.0


def test_a_broken_connection_is_taken_up_again(hub):
    hub.add(REPO, FILES)
    hub.cut["model.safetensors"] = [3 * MEGABYTE]
    model = download_model(REPO)
    assert (model.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert hub.sent["model.safetensors"] < 2 * len(WEIGHTS)


def test_a_hub_that_goes_away_leaves_what_has_arrived(hub):
    hub.add(REPO, FILES)
    hub.cut["model.safetensors"] = [3 * MEGABYTE]
    hub.broken_after_cut = True
    message = refused("interrupted")
    assert "3.1 of 4.2 MB are kept; press Download again" in message
    assert "503" in message
    hub.broken = False
    hub.sent.clear()
    assert download_model(REPO).complete
    assert hub.sent["model.safetensors"] == len(WEIGHTS) - 3 * MEGABYTE


def test_a_damaged_file_is_removed_and_said(hub):
    hub.add(REPO, FILES)
    hub.damaged = {"model.safetensors"}
    message = refused("corrupt")
    assert "model.safetensors" in message
    assert "damaged" in message
    blobs = repo_folder(REPO) / "blobs"
    assert all(path.stat().st_size < 1000 for path in blobs.iterdir())
    assert not find_on_disk(REPO).complete
    hub.damaged = set()
    assert download_model(REPO).complete


def test_a_damaged_small_file_is_noticed_too(hub):
    hub.add(REPO, FILES)
    hub.damaged = {"config.json"}
    assert "config.json" in refused("corrupt")


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


def test_gated_models_say_where_to_accept_and_how_to_log_in(hub):
    hub.add(REPO, FILES, gated=True)
    message = refused("gated")
    assert f"{hub.url}/{REPO}" in message
    assert "hf auth login" in message
    assert "HF_TOKEN" in message
    hub.tokens["stranger"] = set()
    message = refused("gated", token="stranger")
    assert "account you are logged in with" in message
    assert not hub.sent


def test_a_token_opens_gated_models_and_is_shown_to_the_hub_alone(hub, monkeypatch):
    hub.add(REPO, FILES, gated=True)
    hub.tokens["secret"] = {REPO}
    monkeypatch.setenv("HF_TOKEN", "secret")
    assert download_model(REPO).complete
    assert hub.leaked_tokens == []


def test_an_unknown_token_is_said(hub):
    hub.add(REPO, FILES, gated=True)
    assert "hf auth login" in refused("token", token="wrong")


@pytest.mark.parametrize("token", [None, "member"])
def test_unknown_and_private_models_are_missing(hub, token):
    hub.tokens["member"] = set()
    assert f"no model {REPO}" in refused("missing", token=token)
    hub.add(REPO, FILES, private=True)
    assert "private" in refused("missing", token=token)
    assert not cache_folder().exists() or find_on_disk(REPO) is None


def test_unknown_revisions_are_missing(hub):
    hub.add(REPO, FILES)
    assert "'v9'" in refused("missing", revision="v9")


@pytest.mark.parametrize("repo", ["", "model", "a/b/c", "../../etc", "house/..", "house/mo del", "https://hub/model"])
def test_what_is_no_name_is_said_at_once(repo, hub):
    for call in (download_model, find_on_disk):
        with pytest.raises(ValueError, match="organisation/model"):
            call(repo)
    assert not hub.requests


def test_offline_by_environment_asks_nobody(hub, monkeypatch):
    hub.add(REPO, FILES)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE" in refused("offline")
    assert not hub.requests


def test_a_hub_out_of_reach_is_said(hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be reached" in refused("offline")
    monkeypatch.setenv("HF_ENDPOINT", hub.url)
    hub.broken = True
    assert "503" in refused("offline")


def test_repositories_without_safetensors_are_refused_before_anything_is_fetched(hub):
    hub.add(REPO, {name: content for name, content in FILES.items() if name != "model.safetensors"})
    message = refused("no safetensors")
    assert "safetensors" in message
    assert not hub.sent
    hub.add(REPO, {"README.md": b"nothing"})
    assert "no weights" in refused("no safetensors")


def test_the_hubs_own_conversion_is_taken_and_nobody_elses(hub):
    hub.add(REPO, {name: content for name, content in FILES.items() if name != "model.safetensors"})
    hub.offer(REPO, {"model.safetensors": b"not to be trusted"}, author="somebody")
    refused("no safetensors")
    hub.offer(REPO, {"model.safetensors": b"withdrawn"}, author="SFconvertbot", status="closed")
    refused("no safetensors")
    commit = hub.offer(REPO, {"model.safetensors": WEIGHTS}, author="SFconvertbot")
    model = download_model(REPO)
    assert model.commit == commit
    assert (model.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert find_on_disk(REPO) == model


def test_a_small_disk_is_refused_before_anything_is_fetched(hub, monkeypatch):
    hub.add(REPO, FILES)
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_200_000))
    message = refused("disk full")
    assert "4.2 MB" in message
    assert "1.2 MB free" in message
    assert "HF_HOME" in message
    assert not hub.sent


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


def test_a_commit_that_has_gone_says_how_to_begin_anew(hub):
    first = hub.add(REPO, FILES)
    hub.pause = 0.02
    with pytest.raises(Cancelled):
        download_model(REPO, report=stop_when(1))
    hub.pause = 0.0
    second = hub.add(REPO, FILES | {"config.json": b"[]"})
    del hub.repositories[REPO].commits[first]
    message = refused("missing")
    assert str(repo_folder(REPO)) in message
    assert "begin anew" in message
    shutil.rmtree(repo_folder(REPO))
    assert download_model(REPO).commit == second


def test_a_refused_download_pins_nothing(hub):
    hub.add(REPO, FILES, gated=True)
    refused("gated")
    assert find_on_disk(REPO) is None
    second = hub.add(REPO, FILES | {"config.json": b"[]"})
    assert download_model(REPO).commit == second


def test_two_downloads_at_once_fetch_once(hub):
    hub.add(REPO, FILES)
    hub.pause = 0.01
    with ThreadPoolExecutor() as pool:
        models = list(pool.map(download_model, [REPO, REPO]))
    assert models[0] == models[1]
    assert hub.sent == {name: len(FILES[name]) for name in NEEDED}


def test_without_links_the_files_themselves_are_kept(hub, monkeypatch):
    hub.add(REPO, FILES)
    monkeypatch.setenv("HF_HUB_DISABLE_SYMLINKS", "1")
    model = download_model(REPO)
    assert names(model.folder) == NEEDED
    assert not any(path.is_symlink() for path in model.folder.rglob("*"))
    hub.requests.clear()
    assert download_model(REPO) == model
    assert not hub.requests


def test_a_cache_that_cannot_be_written_is_said(hub, monkeypatch, tmp_path):
    hub.add(REPO, FILES)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    assert "Set HF_HOME" in refused("not allowed")


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


PARENT = """
import sys
from napari_what_where.activations.hub import download_model
download_model({repo!r}, report=lambda progress: print(progress.done, flush=True))
"""


def test_the_child_ends_with_its_parent(hub):
    import psutil

    hub.add(REPO, FILES)
    hub.pause = 0.05
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(repo=REPO)], stdout=subprocess.PIPE, text=True)
    try:
        while int(parent.stdout.readline()) < 1:
            pass
        children = psutil.Process(parent.pid).children(recursive=True)
        assert children
    finally:
        os.kill(parent.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        parent.wait()
        parent.stdout.close()
    gone, alive = psutil.wait_procs(children, timeout=3)
    assert not alive
    assert gone


def test_a_child_that_dies_is_said(hub, monkeypatch):
    hub.add(REPO, FILES)
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    assert "unexpectedly" in refused("interrupted")


def test_files_that_lead_out_of_their_folder_are_left_alone(hub, tmp_path):
    hub.add(REPO, FILES | {"../../../../escaped.json": b"{}", "/tmp/escaped.json": b"{}"})
    download_model(REPO, files=("*",))
    assert not list(tmp_path.rglob("escaped.json"))


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


def put(repo: str, files: dict[str, bytes], commit: str = "c" * 40) -> Path:
    """A model in the cache as another program leaves it."""
    folder = repo_folder(repo)
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(commit)
    for name, content in files.items():
        blob = folder / "blobs" / checksum(name, content)
        pointer = folder / "snapshots" / commit / name
        for place in (blob, pointer):
            place.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        pointer.unlink(missing_ok=True)
        pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    return folder / "snapshots" / commit


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
