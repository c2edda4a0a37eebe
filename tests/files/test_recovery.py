"""Kept edits: lossless, bounded, of the dead only, and whole whenever the process is killed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, integer_dtypes, unsigned_integer_dtypes

from napari_what_where.files import recovery
from napari_what_where.files.ownership import is_alive, owner_name

PLACE = {"scale": [2.0, 0.5], "units": ["pixel", "micrometer"], "metadata": {"made_by": "a test"}}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(recovery.FOLDER_VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept"


def dead_session():
    """A session of a process that is gone: ended in the regular way, with entries left."""
    return recovery.recovery_folder() / f"{owner_name().split('-')[0]}-{2**22 + 1}-1000000000-abcdef"


def labels(value: int = 7) -> np.ndarray:
    return np.full((20, 30), value, np.int32)


def keep(session, key="one", array=None, name="cells"):
    return recovery.save(session, key, labels() if array is None else array, name=name, layer=PLACE)


@given(
    array=arrays(
        st.one_of(integer_dtypes(endianness="?"), unsigned_integer_dtypes(endianness="?")),
        array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=5),
    ),
    name=st.text(max_size=30),
    fortran=st.booleans(),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_saved_is_what_is_loaded(array, name, fortran):
    array = np.asfortranarray(array) if fortran and array.ndim else array
    entry = keep(recovery.open_session(), "any", array, name)
    loaded = recovery.load(entry)
    assert loaded.dtype == array.dtype
    assert np.array_equal(loaded, array)
    assert (entry.name, entry.shape, entry.dtype) == (name, array.shape, array.dtype.str)


def test_entries_of_the_dead_come_back_with_all_that_a_layer_needs():
    before = datetime.now(UTC)
    keep(dead_session(), name='a/b "c" \N{MICROSCOPE}')
    (entry,) = recovery.abandoned()
    assert (entry.name, entry.layer) == ('a/b "c" \N{MICROSCOPE}', PLACE)
    assert before <= entry.saved_at <= datetime.now(UTC)
    assert np.array_equal(recovery.load(entry), labels())


def test_entries_of_the_living_are_not_offered():
    keep(recovery.open_session())
    assert recovery.abandoned() == []


def test_what_is_left_when_a_session_is_closed_is_offered():
    session = recovery.open_session()
    entry = keep(session, "kept")
    recovery.discard(keep(session, "exported"))
    recovery.close(session)
    assert [left.path.name for left in recovery.abandoned()] == [entry.path.name]
    assert not session.exists()


def test_closing_with_nothing_left_leaves_nothing(folder):
    session = recovery.open_session()
    recovery.close(session)
    recovery.discard(keep(session))
    recovery.close(session)
    assert list(folder.glob("*")) == []


def test_a_second_save_takes_the_place_of_the_first():
    session = dead_session()
    keep(session)
    keep(session, array=labels(8))
    (entry,) = recovery.abandoned()
    assert recovery.load(entry).max() == 8


def test_an_adopted_entry_is_offered_to_nobody_else():
    keep(dead_session())
    (entry,) = recovery.abandoned()
    mine = recovery.adopt(entry, recovery.open_session(), "mine")
    assert recovery.abandoned() == []
    assert np.array_equal(recovery.load(mine), labels())
    with pytest.raises(OSError, match="No such file"):
        recovery.adopt(entry, recovery.open_session(), "again")


@given(where=st.floats(0, 1, exclude_max=True), flip=st.integers(0, 255))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_a_damaged_entry_is_not_offered_and_never_read_wrong(where, flip):
    """A byte is changed, or, with a ``flip`` of 0, the end is missing."""
    rng = np.random.default_rng(0)
    entry = keep(dead_session(), array=rng.integers(0, 5, (9, 11)))
    content = bytearray(entry.path.read_bytes())
    place = int(where * len(content))
    if flip:
        content[place] ^= flip
    else:
        del content[place:]
    entry.path.write_bytes(content)
    offered = recovery.abandoned()
    try:
        loaded = recovery.load(entry)
    except OSError:
        loaded = None
    # A byte of no account, a time of day of the zip format, say, may change.
    assert loaded is None or np.array_equal(loaded, np.random.default_rng(0).integers(0, 5, (9, 11)))
    assert not offered or loaded is not None


def test_strange_files_are_passed_over(folder):
    keep(dead_session())
    folder.joinpath("notes.txt").write_text("mine")
    folder.joinpath("a-b-c-d").mkdir()
    folder.joinpath("a-b-c-d", "x.npz").write_bytes(b"")
    folder.joinpath("closed-1").mkdir()
    np.savez(folder / "closed-1" / "other.npz", labels=labels())
    assert len(recovery.abandoned()) == 1
    assert folder.joinpath("notes.txt").read_text() == "mine"


def test_unfinished_files_of_the_dead_are_swept():
    entry = keep(dead_session())
    half = entry.path.with_name(".one.0123456789ab.npz")
    half.write_bytes(b"half")
    assert len(recovery.abandoned()) == 1
    assert not half.exists()


def test_stale_entries_go():
    entry = keep(dead_session())
    old = time.time() - recovery.STALE_SECONDS - 60
    os.utime(entry.path, (old, old))
    assert recovery.abandoned() == []
    assert not entry.path.exists()


def test_entries_of_another_computer_are_left_until_they_are_stale(folder):
    keep(folder / "00000000-1-1-abc")
    assert recovery.abandoned() == []
    old = time.time() - recovery.STALE_SECONDS - 60
    for path in folder.rglob("*.npz"):
        os.utime(path, (old, old))
    assert recovery.abandoned() == []
    assert not list(folder.rglob("*.npz"))


def test_the_oldest_that_nobody_owns_make_room(monkeypatch):
    monkeypatch.setattr(recovery, "MOST_ENTRIES", 3)
    for index in range(3):
        entry = keep(dead_session(), f"old{index}")
        os.utime(entry.path, (1e9 + index, 1e9 + index))
    monkeypatch.setattr(recovery, "STALE_SECONDS", 1e12)
    session = recovery.open_session()
    keep(session)
    assert {entry.path.stem for entry in recovery.abandoned()} == {"old1", "old2"}
    keep(session, array=labels(9))
    assert len(recovery.abandoned()) == 2


def test_edits_of_the_living_never_make_room(monkeypatch):
    session = recovery.open_session()
    first = keep(session, "first")
    monkeypatch.setattr(recovery, "MOST_BYTES", first.path.stat().st_size + 10)
    with pytest.raises(recovery.RecoveryRefused, match=r"With 'large', edits would take .* Export them"):
        keep(session, "second", name="large")
    assert np.array_equal(recovery.load(first), labels())
    assert [path.name for path in session.iterdir()] == ["first.npz"]
    monkeypatch.setattr(recovery, "MOST_RAW_BYTES", 100)
    with pytest.raises(recovery.RecoveryRefused, match="Export"):
        keep(session, "first")


def test_only_integers_are_labels():
    with pytest.raises(TypeError, match="float64; expected integers"):
        keep(recovery.open_session(), array=np.zeros((2, 2)))


def test_a_full_disk_leaves_what_was_there(monkeypatch):
    session = dead_session()
    keep(session)

    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(OSError, match="No space left"):
        keep(session, array=labels(8))
    monkeypatch.undo()
    os.environ[recovery.FOLDER_VARIABLE] = str(session.parent)
    assert [path.name for path in session.iterdir()] == ["one.npz"]


def test_who_is_alive():
    assert is_alive(owner_name()) is True
    computer, pid, started = owner_name().split("-")
    assert is_alive(f"{computer}-{pid}-{int(started) - 1000}") is False
    assert is_alive(f"{computer}-{2**22 + 1}-{started}") is False
    assert is_alive(f"0000abcd-{pid}-{started}") is None
    for other in ("", "closed", "a-b-c", "1-2"):
        assert is_alive(other) is False


SAVE_FOREVER = """
import itertools, numpy as np
from napari_what_where.files import recovery
session = recovery.open_session()
for number in itertools.count(1):
    labels = np.full((300, 300), number, np.int32)
    labels[0, 0] += 1
    recovery.save(session, "edited", labels, name="cells", layer={})
    print(number, flush=True)
"""


def test_killed_at_any_moment_there_is_the_state_that_was_saved_last(folder, rng):
    for _ in range(8):
        process = subprocess.Popen([sys.executable, "-c", SAVE_FOREVER], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        last = int((process.communicate()[0].split() or ["1"])[-1])
        (entry,) = recovery.abandoned()
        found = recovery.load(entry)
        assert found[0, 1] in (last, last + 1)
        assert (found.ravel()[1:] == found[0, 1]).all()
        assert found[0, 0] == found[0, 1] + 1
        recovery.discard(entry)
    assert list(folder.glob("*")) == []
