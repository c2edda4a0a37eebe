"""The store's size, what goes first, where it lies, and what the command says of it."""

from __future__ import annotations

import argparse
import os
import re
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.store import folder as folder_module
from napari_what_where.store.command import add_cache, run_cache
from napari_what_where.store.folder import ActivationStore, parse_bytes, store_folder
from napari_what_where.store.stored import Stored

from ..images import scene
from .fakes import LAYER_BYTES, Fake, made_up

IMAGE = scene(channels=3)
ENTRY_BYTES = 4 * LAYER_BYTES


def keep(store: ActivationStore, *revisions: int) -> int:
    """Look at an image with models of these revisions, in turn; how many forwards that took."""
    visits = 0
    for revision in revisions:
        fake = Fake(made_up(revision), revision=revision)
        Stored(fake, store).extract(IMAGE)
        visits += fake.visits
        age(store)
    return visits


def age(store: ActivationStore) -> None:
    """A second passes: file systems may not tell shorter times apart."""
    for file in store.folder.glob("*/entry.json"):
        at = file.stat().st_mtime - 1
        os.utime(file, (at, at))


def test_those_used_longest_ago_go_first(tmp_path):
    store = ActivationStore(tmp_path, limit_bytes=3 * ENTRY_BYTES)
    assert keep(store, 1, 2, 3) == 3
    assert keep(store, 1) == 0  # used again
    assert keep(store, 4) == 1  # 2 goes
    assert store.size_bytes == 3 * ENTRY_BYTES
    assert keep(store, 1, 3, 4) == 0
    assert keep(store, 2) == 1
    assert keep(store, 3, 4) == 0
    assert keep(store, 1) == 1


def test_what_is_larger_than_the_limit_is_given_up_on_the_way(tmp_path):
    limit = 3 * ENTRY_BYTES // 2
    store, remarks, most = ActivationStore(tmp_path, limit_bytes=limit), [], 0
    keep(store, 1)

    def receive(layer):
        nonlocal most
        most = max(most, sum(file.stat().st_size for file in tmp_path.glob(".*.draft/**/0.0.0")))

    large = Fake(made_up(count=12))
    Stored(large, store, remark=remarks.append).visit(IMAGE, receive)
    assert remarks == [
        "The activations are not kept for the next run: they take more than the 1 MiB that the store may hold."
    ]
    assert 0 < most <= limit
    assert keep(store, 1) == 0, "and nothing else goes for its sake"
    assert not list(tmp_path.glob(".*"))


def test_exactly_the_limit_is_kept(tmp_path):
    assert keep(ActivationStore(tmp_path / "a", limit_bytes=ENTRY_BYTES), 1, 1) == 1
    assert keep(ActivationStore(tmp_path / "b", limit_bytes=ENTRY_BYTES - 1), 1, 1) == 2


def test_a_limit_of_nothing_keeps_nothing_and_says_nothing(tmp_path):
    store, fake = ActivationStore(tmp_path / "store", limit_bytes=0), Fake()
    for _ in range(2):
        Stored(fake, store, remark=pytest.fail).extract(IMAGE)
    assert fake.visits == 2
    assert not store.folder.exists()


def test_what_cannot_be_removed_stays_and_nothing_is_added(tmp_path, monkeypatch):
    store, remarks = ActivationStore(tmp_path, limit_bytes=ENTRY_BYTES), []
    keep(store, 1)
    monkeypatch.setattr(ActivationStore, "remove", lambda *_: False)
    Stored(Fake(made_up(2), revision=2), store, remark=remarks.append).extract(IMAGE)
    assert remarks == ["The activations are not kept for the next run: there is no room for them in the store."]
    assert len(list(tmp_path.iterdir())) == 1


def test_entries_tell_what_they_are(tmp_path):
    store = ActivationStore(tmp_path, limit_bytes=10**9)
    keep(store, 1, 2)
    latest, first = store.entries()
    assert latest.used_at > first.used_at
    assert (first.model, first.image_shape, first.size_bytes) == ("fake", IMAGE.shape, ENTRY_BYTES)
    assert first.made_at.tzinfo is not None
    assert [layer["name"] for layer in first.layers] == ["block 0", "block 1", "block 2", "block 3"]
    assert first.size_bytes == sum(file.stat().st_size for file in first.path.glob("*/*/0.0.0"))


def test_others_files_in_the_folder_are_left_alone(tmp_path):
    others = [tmp_path / "mine.activations", tmp_path / ".draft", tmp_path / ("0" * 32), tmp_path / "notes.txt"]
    for path in others:
        path.mkdir(parents=True)
        (path / "entry.json").write_text("mine")
    store = ActivationStore(tmp_path, limit_bytes=2 * ENTRY_BYTES)
    keep(store, 1, 2, 3)
    store.sweep()
    assert store.clear() == (2, 0)
    assert all((path / "entry.json").read_text() == "mine" for path in others)


def test_by_default_it_holds_a_tenth_of_what_is_free_or_ten_gigabytes(tmp_path, monkeypatch):
    monkeypatch.delenv("WHAT_WHERE_STORE_LIMIT", raising=False)
    store = ActivationStore(tmp_path / "not" / "yet")
    free = 50 * 10**9
    monkeypatch.setattr(folder_module.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(0, 0, free))
    assert store.limit_bytes == 5 * 10**9
    keep(store, 1)
    free -= ENTRY_BYTES
    assert store.limit_bytes == 5 * 10**9, "what it holds itself does not lower it"
    free = 10**12
    assert store.limit_bytes == 10**10


def test_environment_variables_say_where_and_how_much(tmp_path, monkeypatch):
    monkeypatch.setenv("WHAT_WHERE_STORE", str(tmp_path / "here"))
    monkeypatch.setenv("WHAT_WHERE_STORE_LIMIT", "20 GB")
    assert (ActivationStore().folder, ActivationStore().limit_bytes) == (tmp_path / "here", 20 * 10**9)
    monkeypatch.setenv("WHAT_WHERE_STORE_LIMIT", "0")
    assert ActivationStore().is_off
    monkeypatch.setenv("WHAT_WHERE_STORE_LIMIT", "much")
    with pytest.raises(ValueError, match=r"WHAT_WHERE_STORE_LIMIT: received 'much'; expected a size such as 20GB"):
        ActivationStore()
    with pytest.raises(ValueError, match="limit_bytes is -1; expected a number of bytes from 0 on"):
        ActivationStore(limit_bytes=-1)
    monkeypatch.delenv("WHAT_WHERE_STORE")
    assert "napari-what-where" in str(store_folder())


def test_sizes():
    sizes = {"0": 0, "12": 12, "20GB": 20 * 10**9, "1.5 GiB": 3 * 2**29, "500 mb": 5 * 10**8, "2k": 2000, "1TiB": 2**40}
    assert {text: parse_bytes(text) for text in sizes} == sizes
    for text in ("", "GB", "-1", "1e9", "1 2", "5 PB", "½", "nan"):
        with pytest.raises(ValueError, match="expected a size such as"):
            parse_bytes(text)


@given(st.text(max_size=6))
def test_any_text_is_a_size_or_refused(text):
    known = re.fullmatch(r"\s*\d+(\.\d+)?\s*([kmgt]i?)?b?\s*", text, re.IGNORECASE)
    with nullcontext() if known else pytest.raises(ValueError, match="expected a size"):
        assert parse_bytes(text) >= 0


# ---------------------------------------------------------------------------------------------------------- the command


def cache(*arguments: str) -> int:
    parser = argparse.ArgumentParser()
    add_cache(parser.add_subparsers())
    options = parser.parse_args(["cache", *arguments])
    assert options.run is run_cache
    return options.run(options)


@pytest.fixture
def store(tmp_path, monkeypatch) -> ActivationStore:
    monkeypatch.setenv("WHAT_WHERE_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("WHAT_WHERE_STORE_LIMIT", "1GiB")
    return ActivationStore()


def test_the_command_lists_what_is_kept(store, capsys):
    assert cache() == 0
    assert capsys.readouterr().out == f"0 entries, nothing of at most 1.0 GiB, in {store.folder}\n"
    assert not store.folder.exists()
    keep(store, 1, 2)
    assert cache() == 0
    head, first, second, last = capsys.readouterr().out.splitlines()
    assert head.split("  ")[0] == "MODEL"
    assert [word in head for word in ("IMAGE", "SIZE", "KEPT", "LAST USED")] == [True] * 4
    for line in (first, second):
        assert line.startswith("fake   24 × 32 × 3  1 MiB")
    assert last == f"2 entries, 1 MiB of at most 1.0 GiB, in {store.folder}"


def test_the_command_removes_all_or_what_is_beyond_a_limit(store, capsys):
    keep(store, 1, 2, 3)
    assert cache("--limit", str(2 * ENTRY_BYTES)) == 0
    assert capsys.readouterr().out.startswith("removed 1 entry, 1 MiB\n")
    assert keep(store, 2, 3) == 0
    (store.folder / ".0123456789abcdef.removed").mkdir()
    assert cache("--clear") == 0
    assert capsys.readouterr().out.startswith("removed 2 entries\n0 entries, nothing of")
    assert list(store.folder.iterdir()) == []


def test_the_command_says_what_it_could_not_remove(store, capsys, monkeypatch):
    keep(store, 1)

    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(folder_module.os, "rename", refuse)
    assert cache("--clear") == 1
    assert capsys.readouterr().out.startswith("removed 0 entries; 1 entry could not be removed\n")
    assert cache("--limit", "0") == 1
    assert "removed 0 entries, nothing" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [("--limit", "much"), ("--limit", "-1"), ("--clear", "--limit", "0")])
def test_the_command_refuses_what_it_does_not_understand(store, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        cache(*arguments)
    assert caught.value.code == 2
    assert "--limit" in capsys.readouterr().err


def test_the_command_loads_nothing_heavy():
    import subprocess
    import sys

    code = "import sys, napari_what_where.store.command; print(sys.modules.keys() & {'torch', 'zarr', 'filelock'})"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_the_tests_own_store_is_not_the_user_s():
    assert Path(os.environ["WHAT_WHERE_STORE"]).name.startswith("what-where-store-")
