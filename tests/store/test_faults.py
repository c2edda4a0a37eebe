"""Whatever happens to the disk or to the process, a run goes on, and an entry is there as a whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest

from napari_what_where.progress import Cancelled
from napari_what_where.store import arrays, draft
from napari_what_where.store.entry import Entry
from napari_what_where.store.folder import ActivationStore
from napari_what_where.store.stored import Stored

from ..images import scene
from .fakes import LAYER_BYTES, Fake, bits, made_up

IMAGE = scene(channels=3)
CAPTURED = made_up()


@pytest.fixture
def store(tmp_path) -> ActivationStore:
    return ActivationStore(tmp_path / "store", limit_bytes=10**9)


def kept(store: ActivationStore) -> Path:
    """Keep one image; the entry's folder."""
    Stored(Fake(CAPTURED), store, remark=pytest.fail).extract(IMAGE)
    (entry,) = store.entries()
    return entry.path


def sees_it_right(store: ActivationStore, visits: int, *words: str) -> None:
    """Whatever lies in the store: one image gives what it should, with so many forwards and remarks on them."""
    fake, remarks = Fake(CAPTURED), []
    backbone = Stored(fake, store, remark=remarks.append)
    assert bits(backbone.extract(IMAGE)) == bits(CAPTURED)
    assert fake.visits == visits
    assert len(remarks) == len(words), remarks
    for remark, word in zip(remarks, words, strict=True):
        assert word in remark


def nothing_left(store: ActivationStore) -> bool:
    return not store.folder.exists() or not any(store.folder.iterdir())


# --------------------------------------------------------------------------------------------------------------- damage


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


def longer(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0" * 8)


def swap(file: Path) -> None:
    """Another array of the same size: right in itself, but not what was written here."""
    other = file.parents[1] / ("key" if file.parent.name == "query" else "query") / file.name
    shutil.copy(other, file)


def huge(file: Path) -> None:
    """A shape, or a chunk, of terabytes."""
    text = file.read_text()
    file.write_text(text.replace("12", "1200000000000"))


DAMAGES: list[tuple[str, Callable[[Path], None]]] = [
    *((name, act) for name in ("entry.json", "0/query/0.0.0") for act in (truncate, flip)),
    ("3/value/.zarray", truncate),
    ("3/value/.zarray", lambda file: file.write_text(file.read_text().replace("f4", "f8"))),
    *((name, Path.unlink) for name in ("entry.json", "2/key/0.0.0", "3/value/.zarray")),
    *((name, shutil.rmtree) for name in ("0", "2", "3/value")),
    ("1/query/0.0.0", longer),
    ("1/query/0.0.0", swap),
    ("2/value/.zarray", huge),
    ("entry.json", lambda file: file.write_text(file.read_text().replace("block 2", "block 9"))),
    ("entry.json", lambda file: file.write_text("[]")),
    ("entry.json", lambda file: file.write_text("")),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_entry_is_dropped_and_the_model_runs_again(store, name, damage):
    path = kept(store)
    damage(path / name)
    # Without its record it is no entry; there is nothing to remark.
    gone = name == "entry.json" and damage is Path.unlink
    sees_it_right(store, 1, *([] if gone else ["cannot be read any more; the model runs again"]))
    sees_it_right(store, 0)
    assert len(store.entries()) == 1


def test_every_single_byte_counts(store):
    path = kept(store)
    file = path / "1" / "value" / "0.0.0"
    data = file.read_bytes()
    for place in range(0, len(data), 37):
        file.write_bytes(data[:place] + bytes([data[place] ^ 128]) + data[place + 1 :])
        (entry,) = store.entries()
        with pytest.raises(arrays.Damaged, match="checksum"):
            entry.read(1)


@pytest.mark.parametrize(("field", "value"), [("shape", [2, 10**12, 5]), ("chunks", [2, 10**12, 5]), ("dtype", "<f2")])
def test_nothing_larger_than_what_was_written_is_allocated(store, field, value):
    file = kept(store) / "1" / "value" / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | {field: value}))
    (entry,) = store.entries()
    with pytest.raises(arrays.Damaged, match="was written"):
        entry.read(1)


def test_an_entry_that_goes_while_it_is_read(store):
    kept(store)
    fake, received, remarks = Fake(CAPTURED), [], []

    def receive(layer):
        received.append(layer)
        if len(received) == 2:
            store.clear()

    Stored(fake, store, remark=remarks.append).visit(IMAGE, receive)
    assert bits(received) == bits(CAPTURED), "none twice, none left out"
    assert (fake.visits, len(remarks)) == (1, 1)
    sees_it_right(store, 0)


def test_running_out_of_memory_is_no_damage(store, monkeypatch):
    kept(store)

    def no_memory(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Entry, "read", no_memory)
        with pytest.raises(MemoryError):
            Stored(Fake(), store, remark=pytest.fail).extract(IMAGE)
    sees_it_right(store, 0)


# ------------------------------------------------------------------------------------------------- runs that do not end


@pytest.mark.parametrize("error", [Cancelled, ValueError, KeyboardInterrupt, OSError])
@pytest.mark.parametrize("last", [0, 1, 3])
@pytest.mark.parametrize("by", ["receiver", "report"])
def test_a_run_that_is_stopped_leaves_no_entry(store, error, last, by):
    seen = []

    def stop(step):
        seen.append(step)
        if len(seen) > last:
            raise error

    backbone = Stored(Fake(CAPTURED), store, remark=pytest.fail)
    with pytest.raises(error):
        backbone.visit(
            IMAGE,
            *((stop,) if by == "receiver" else (lambda layer: None,)),
            **({"report": stop} if by == "report" else {}),
        )
    assert len(seen) == last + 1
    assert nothing_left(store)
    sees_it_right(store, 1)


def test_a_replay_that_is_stopped_keeps_its_entry(store):
    kept(store)

    def stop(layer):
        raise ValueError("of the receiver")

    with pytest.raises(ValueError, match="of the receiver"):
        Stored(Fake(), store, remark=pytest.fail).visit(IMAGE, stop)
    sees_it_right(store, 0)


WORK = """
import sys
from pathlib import Path
from napari_what_where.store.folder import ActivationStore
from napari_what_where.store.stored import Stored
from tests.images import scene
from tests.store.fakes import Slow
store = ActivationStore(sys.argv[1], limit_bytes=10**9)
Stored(Slow(Path(sys.argv[2]), float(sys.argv[3])), store, remark=print).extract(scene(channels=3))
"""


def process(store: ActivationStore, told: Path, pause: float) -> subprocess.Popen:
    command = [sys.executable, "-c", WORK, str(store.folder), str(told), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])


def test_what_a_killed_process_left_is_ignored_and_swept_and_that_of_a_living_one_stays(store, tmp_path):
    told = [tmp_path / "killed", tmp_path / "living"]
    killed, living = (process(store, file, 0.1) for file in told)
    for _ in range(600):
        if all(file.exists() for file in told):
            break
        time.sleep(0.1)
    assert len(list(store.folder.glob(".*.draft"))) == 2
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    killed.stdout.close()
    assert len(list(store.folder.glob(".*.draft"))) == 2
    assert store.entries() == []
    store.sweep()
    assert len(list(store.folder.glob(".*.draft"))) == 1
    assert len(list(store.folder.glob(".*.lock"))) == 1
    assert living.communicate() == ("", None)
    (entry,) = store.entries()
    assert len(entry.layers) == 60
    assert list(store.folder.iterdir()) == [entry.path]


def test_two_processes_write_one_entry(store, tmp_path):
    both = [process(store, tmp_path / name, 0.02) for name in "ab"]
    assert [each.communicate() for each in both] == [("", None)] * 2
    (entry,) = store.entries()
    assert bits([entry.read(number) for number in range(60)]) == bits(made_up(count=60))
    assert list(store.folder.iterdir()) == [entry.path]


def test_two_writers_in_one_process(store):
    inner = Stored(Fake(CAPTURED), store, remark=pytest.fail)
    outer = Stored(Fake(CAPTURED), store, remark=pytest.fail)
    received = []

    def receive(layer):
        received.append(layer)
        if len(received) == 2:
            inner.extract(IMAGE)

    outer.visit(IMAGE, receive)
    assert bits(received) == bits(CAPTURED)
    assert len(list(store.folder.iterdir())) == 1
    sees_it_right(store, 0)


def test_many_threads_and_little_room(store):
    small = ActivationStore(store.folder, limit_bytes=10 * LAYER_BYTES)
    wrong = []

    def work(number: int) -> None:
        for turn in range(6):
            captured = made_up((number + turn) % 4)
            backbone = Stored(Fake(captured, revision=(number + turn) % 4), small)
            if bits(backbone.extract(IMAGE)) != bits(captured):
                wrong.append((number, turn))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert small.entries()
    assert not [path for path in small.folder.iterdir() if path.name.startswith(".")]


# ------------------------------------------------------------------------------------ disks that are full, or read-only


@contextmanager
def mounted(folder: Path, options: str):
    """A small file system of its own, where this process may have one."""
    folder.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run([mount, "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True).returncode
    ):
        pytest.skip("this process may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up(tmp_path):
    with mounted(tmp_path / "disk", "size=64k"):
        store = ActivationStore(tmp_path / "disk", limit_bytes=10**9)
        captured, fake, remarks = made_up(count=200), None, []
        fake = Fake(captured)
        assert bits(Stored(fake, store, remark=remarks.append).extract(IMAGE)) == bits(captured)
        assert fake.visits == 1
        assert len(remarks) == 1
        assert "not kept for the next run: The disk is full" in remarks[0]
        assert nothing_left(store), "and is as empty as before"


def test_a_disk_that_can_only_be_read(tmp_path):
    with mounted(tmp_path / "disk", "size=4m"):
        store = ActivationStore(tmp_path / "disk", limit_bytes=10**9)
        path = kept(store)
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        sees_it_right(store, 0)
        Stored(Fake(CAPTURED, revision=2), store).extract(IMAGE)
        subprocess.run(["mount", "-o", "remount,rw", tmp_path / "disk"], check=True)
        flip(path / "1" / "key" / "0.0.0")
        subprocess.run(["mount", "-o", "remount,ro", tmp_path / "disk"], check=True)
        sees_it_right(store, 1, "cannot be read any more", "can only be read")


FULL = [
    ("write_layer", errno.ENOSPC, "The disk is full"),
    ("write_record", errno.ENOSPC, "The disk is full"),
    ("write_layer", errno.EROFS, "Read-only"),
    ("write_layer", errno.EIO, "Input/output error"),
]


@pytest.mark.parametrize(("name", "number", "words"), FULL)
def test_a_disk_that_fails(store, monkeypatch, name, number, words):
    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(draft, name, fail)
        sees_it_right(store, 1, words)
        assert nothing_left(store)
    sees_it_right(store, 1)
    sees_it_right(store, 0)


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("earlier work")
    sees_it_right(ActivationStore(tmp_path / "file", limit_bytes=10**9), 1, "expected a folder")
    sees_it_right(ActivationStore(tmp_path / "file" / "store", limit_bytes=10**9), 1, "expected a folder")
    assert (tmp_path / "file").read_text() == "earlier work"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_folder_without_permission(store):
    store.folder.mkdir()
    store.folder.chmod(0o500)
    sees_it_right(store, 1, "no permission")
    store.folder.chmod(0o700)


def test_a_record_is_written_last(store, monkeypatch):
    """So that a folder which lost its name, as some systems copy what they move, is no entry by halves."""
    written = []
    write_layer, write_record = draft.write_layer, draft.write_record
    monkeypatch.setattr(draft, "write_layer", lambda *given: (written.append("layer"), write_layer(*given))[1])
    monkeypatch.setattr(draft, "write_record", lambda *given: (written.append("record"), write_record(*given))[1])
    path = kept(store)
    assert written == ["layer"] * 4 + ["record"]
    assert json.loads((path / "entry.json").read_text())["record"]["bytes"] == 4 * LAYER_BYTES
