"""Downloads from a hub on this computer: whole, stopped, broken, damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from napari_what_where.activations.hub import download_model, find_on_disk
from napari_what_where.activations.hub.cache import partial_file, repo_folder
from napari_what_where.progress import Cancelled
from tests.activations.fake_hub import checksum
from tests.activations.hub_case import FILES, MEGABYTE, NEEDED, REPO, WEIGHTS, empty_hub, names, refused, stop_when

hub = empty_hub


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
    assert "3.1 of 4.2 MB are kept; the next download goes on from there" in message
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


def test_two_downloads_at_once_fetch_once(hub):
    hub.add(REPO, FILES)
    hub.pause = 0.01
    with ThreadPoolExecutor() as pool:
        models = list(pool.map(download_model, [REPO, REPO]))
    assert models[0] == models[1]
    assert hub.sent == {name: len(FILES[name]) for name in NEEDED}


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
