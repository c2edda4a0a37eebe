"""Faults while writing: whatever goes wrong, and wherever, every file is as it was and nothing half-written is left."""

from __future__ import annotations

import errno
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_what_where.failures import explain
from napari_what_where.files import encoding, export
from napari_what_where.files.pictures import write_picture
from napari_what_where.pipeline import Analysis, analyze
from tests.images import scene

LABELS = np.arange(64 * 64).reshape(64, 64) % 7
LONG_NAME = "細胞" * 35  # 210 bytes, which all systems allow


@functools.cache
def analysis() -> Analysis:
    return analyze(scene((24, 32)), count=3)


def labels_layer(path: Path) -> None:
    export.write_labels_layer(str(path), LABELS, {"scale": (1, 1)})


WRITERS: dict[str, Callable[[Path], object]] = {
    "labels.tif": lambda path: export.write_labels(path, LABELS),
    "labels.png": lambda path: export.write_labels(path, LABELS),
    "layer.tif": labels_layer,
    "vectors.tif": lambda path: export.write_eigenvectors(path, np.ones((4, 64, 64), np.float32)),
    "record.json": lambda path: export.write_provenance(path, {"values": list(range(9000))}),
    "picture.png": lambda path: write_picture(path, np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)),
}
each_writer = pytest.mark.parametrize("name", WRITERS)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def save(folder: Path) -> None:
    export.save_analysis(analysis(), folder, "cells", segments=5, formats="tiff,png", objects=LABELS[:24, :32])


@pytest.fixture
def earlier(tmp_path) -> Iterator[Path]:
    """A folder that holds earlier work under every name that a writer uses; at the end it must be as it was."""
    for name in [*WRITERS, *(path.name for path in export.output_paths("", "cells", "tiff,png", objects=True))]:
        (tmp_path / name).write_text(f"earlier work: {name}")
    before = contents(tmp_path)
    yield tmp_path
    assert contents(tmp_path) == before


# ----------------------------------------------------------------------------------------------------- the disk is full


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@each_writer
def test_a_disk_that_is_full_when_asked_for_what_was_written(earlier, monkeypatch, name):
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as caught:
        WRITERS[name](earlier / name)
    assert "disk is full" in explain(caught.value)


FILL = """
import resource, signal, sys
from pathlib import Path
from tests import test_faults as faults

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # so that write() fails, as it does on a full disk
folder = Path(sys.argv[1])
faults.analysis()
before = faults.contents(folder)
for most in (0, 1, 200, 2000):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    for name, write in [*faults.WRITERS.items(), ("", faults.save)]:
        try:
            write(folder / name)
        except OSError as error:
            assert faults.contents(folder) == before, (name, most)
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
            print(most, name, error.errno)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
        else:
            before = faults.contents(folder)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files")
def test_files_that_cannot_grow_leave_what_was_there(tmp_path):
    for name in WRITERS:
        (tmp_path / name).write_text(f"earlier work: {name}")
    command = [sys.executable, "-c", FILL, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[1])
    assert done.returncode == 0, done.stderr
    failed = {tuple(line.split(" ")[:2]) for line in done.stdout.splitlines()}
    assert {(most, name) for most in ("0", "1") for name in [*WRITERS, ""]} <= failed
    assert all(line.split(" ")[2] == str(errno.EFBIG) for line in done.stdout.splitlines())


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of 64 KiB of which hardly anything is free."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = sys.platform == "linux" and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False
    )
    if not mounted or mounted.returncode:
        pytest.skip("may not mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_small_disk_that_is_really_full(small_disk):
    export.write_labels(small_disk / "labels.tif", LABELS[:8])
    sentences = []
    filler = small_disk / "filler"
    for free in (0, 4096, 12288):
        filler.write_bytes(b"")
        disk = os.statvfs(small_disk)
        filler.write_bytes(bytes(disk.f_bavail * disk.f_frsize - free))
        before = contents(small_disk)
        for name in ("labels.tif", "vectors.tif", "picture.png"):
            with pytest.raises(OSError, match="No space left") as caught:
                # A picture is compressed, and hardly smaller.
                WRITERS[name](small_disk / name) if free == 0 else save(small_disk)
            sentences.append(explain(caught.value))
            assert contents(small_disk) == before
    assert all(sentence.startswith("The disk is full") for sentence in sentences)


# --------------------------------------------------------------------------------------- the file is open in a program


def open_elsewhere(name: str, real: Callable[..., None] = os.replace) -> Callable[..., None]:
    """``os.replace`` as on Windows while another program has the file of that name open."""

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == name and Path(target).exists():
            error = PermissionError(errno.EACCES, "Access is denied", str(source), None, str(target))
            error.winerror = 5
            raise error
        real(source, target)

    return replace


@each_writer
def test_a_file_that_is_open_elsewhere_stays(earlier, monkeypatch, name):
    monkeypatch.setattr(os, "replace", open_elsewhere(name))
    with pytest.raises(PermissionError) as caught:
        WRITERS[name](earlier / name)
    assert explain(caught.value) == f"{earlier / name} is open in another program. Close it there and try again."


@pytest.mark.parametrize("which", range(6))
def test_of_files_that_belong_together_all_are_replaced_or_none(earlier, monkeypatch, which):
    name = export.output_paths("", "cells", "tiff,png", objects=True)[which].name
    monkeypatch.setattr(os, "replace", open_elsewhere(name))
    with pytest.raises(PermissionError):
        save(earlier)


def test_the_same_where_files_have_no_second_name(earlier, monkeypatch):
    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(os, "replace", open_elsewhere("cells.json"))
    with pytest.raises(PermissionError):
        save(earlier)


def test_files_that_were_not_there_before_are_gone_again(tmp_path, monkeypatch):
    (tmp_path / "cells.json").write_text("open in an editor")
    monkeypatch.setattr(os, "replace", open_elsewhere("cells.json"))
    with pytest.raises(PermissionError):
        save(tmp_path)
    assert contents(tmp_path) == {"cells.json": b"open in an editor"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, MemoryError])
def test_stopped_between_two_files_none_is_replaced(earlier, monkeypatch, stop):
    moved = []

    def replace(source, target, real=os.replace):
        moved.append(target)
        if len(moved) == 3:
            raise stop
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(stop):
        save(earlier)


def test_together_they_replace_what_was_there_and_leave_nothing_else(tmp_path):
    for path in export.output_paths(tmp_path, "cells", "tiff,png", objects=True):
        path.write_text("earlier")
    save(tmp_path)
    first = contents(tmp_path)
    assert sorted(first) == sorted(path.name for path in export.output_paths("", "cells", "tiff,png", objects=True))
    assert b"earlier" not in first.values()


# ----------------------------------------------------------------------------------------------- faults while encoding


@each_writer
@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError, RuntimeError])
def test_an_encoder_that_fails_half_way(earlier, monkeypatch, name, stop):
    import tifffile
    from PIL import Image

    def half(place: Path, *_: object, **__: object) -> None:
        Path(place).write_bytes(b"half")
        raise stop

    monkeypatch.setattr(tifffile, "imwrite", half)
    monkeypatch.setattr(Image.Image, "save", lambda self, place, **_: half(place))
    monkeypatch.setattr(Path, "write_text", lambda self, *_, **__: half(self))
    with pytest.raises(stop):
        WRITERS[name](earlier / name)


def test_a_temporary_file_that_cannot_be_removed_hides_no_error(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", full)
    monkeypatch.setattr(Path, "unlink", lambda self, **_: (_ for _ in ()).throw(PermissionError("in use")))
    with pytest.raises(OSError, match="No space left"):
        export.write_labels(tmp_path / "a.tif", LABELS)


# -------------------------------------------------------------------------------------------------- folders and names


@each_writer
def test_a_read_only_folder(earlier, name):
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    earlier.chmod(0o500)
    try:
        with pytest.raises(PermissionError) as caught:
            WRITERS[name](earlier / name)
    finally:
        earlier.chmod(0o700)
    assert explain(caught.value) == f"There is no permission to write in {earlier}. Choose another folder."


@each_writer
def test_a_folder_that_may_not_be_written_to(earlier, monkeypatch, name):
    # As above, also for root: opening for writing is refused.
    from builtins import open as real

    def guarded(file, mode="r", *rest, **options):
        if str(file).startswith(str(earlier)) and set(mode) & set("wxa+"):
            raise PermissionError(errno.EACCES, "Permission denied", str(file))
        return real(file, mode, *rest, **options)

    monkeypatch.setattr("builtins.open", guarded)
    monkeypatch.setattr("io.open", guarded)
    with pytest.raises(PermissionError) as caught:
        WRITERS[name](earlier / name)
    monkeypatch.undo()
    assert explain(caught.value) == f"There is no permission to write in {earlier}. Choose another folder."


def test_a_folder_of_that_name_stays(tmp_path):
    (tmp_path / "labels.tif").mkdir()
    with pytest.raises(OSError, match="labels.tif"):
        export.write_labels(tmp_path / "labels.tif", LABELS)
    assert os.listdir(tmp_path) == ["labels.tif"]


@pytest.mark.skipif(sys.platform == "win32", reason="a path of 260 letters in all")
def test_names_as_long_as_the_system_allows(tmp_path):
    path = export.write_labels(tmp_path / f"{LONG_NAME}.tif", LABELS)
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    save_paths = export.save_analysis(analysis(), tmp_path, LONG_NAME, segments=3)
    assert all(each.exists() for each in save_paths)


def test_what_a_killed_process_left_is_found(tmp_path):
    for stem in ("cells", LONG_NAME[:60]):
        target = tmp_path / f"{stem}.tif"
        left = encoding._beside(target)
        nested = encoding._beside(left)
        for path in (target, left, nested, tmp_path / f".{stem}.mine.tif"):
            path.write_text("half")
        assert set(encoding.leftovers(target)) == {left, nested}
