"""What cannot be downloaded, and in which words that is said."""

from __future__ import annotations

import shutil

import pytest

from napari_what_where.activations.hub import cache_folder, download_model, find_on_disk
from napari_what_where.activations.hub.cache import repo_folder
from napari_what_where.progress import Cancelled
from tests.activations.hub_case import FILES, REPO, WEIGHTS, empty_hub, refused, stop_when

hub = empty_hub


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


def test_a_cache_that_cannot_be_written_is_said(hub, monkeypatch, tmp_path):
    hub.add(REPO, FILES)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    assert "Set HF_HOME" in refused("not allowed")


def test_files_that_lead_out_of_their_folder_are_left_alone(hub, tmp_path):
    hub.add(REPO, FILES | {"../../../../escaped.json": b"{}", "/tmp/escaped.json": b"{}"})
    download_model(REPO, files=("*",))
    assert not list(tmp_path.rglob("escaped.json"))
