"""What went wrong in words: one clear sentence for every failure that people meet."""

from __future__ import annotations

import errno
import os

import pytest

from napari_what_where.estimates.resources import NotEnoughMemory
from napari_what_where.failures import explain
from napari_what_where.files.encoding import atomic_path


def of_system(number: int, *names: object) -> OSError:
    """As the system raises it, with up to two file names."""
    first, second = (*names, None, None)[:2]
    return OSError(number, os.strerror(number), first, None, second)


def test_a_full_disk_says_so_whatever_was_being_written(tmp_path):
    for problem in (of_system(errno.ENOSPC, tmp_path / ".a.0123456789ab.tif"), of_system(errno.ENOSPC)):
        assert explain(problem).startswith("The disk is full")
    assert str(tmp_path) in explain(of_system(errno.ENOSPC, tmp_path / "a.tif"))


def test_a_folder_without_permission_is_named_and_not_our_temporary_file(tmp_path):
    said = explain(of_system(errno.EACCES, tmp_path / ".a.0123456789ab.tif"))
    assert said == f"There is no permission to write in {tmp_path}. Choose another folder."
    assert explain(of_system(errno.EROFS, tmp_path / ".a.tif")).startswith(f"{tmp_path} can only be read")


def test_a_file_without_permission_is_named(tmp_path):
    (tmp_path / "a.tif").touch()
    assert str(tmp_path / "a.tif") in explain(of_system(errno.EACCES, tmp_path / "a.tif"))


@pytest.mark.parametrize("code", [5, 32])
def test_a_file_open_elsewhere_is_named(tmp_path, code):
    (tmp_path / "a.tif").touch()
    problem = of_system(errno.EACCES, tmp_path / ".a.0123456789ab.tif", tmp_path / "a.tif")
    problem.winerror = code  # as Windows has it
    assert explain(problem) == f"{tmp_path / 'a.tif'} is open in another program. Close it there and try again."


def test_a_file_where_a_folder_should_be_is_named(tmp_path):
    (tmp_path / "out").touch()
    for folder in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises((FileExistsError, NotADirectoryError)) as caught:
            folder.mkdir(parents=True, exist_ok=True)
        assert explain(caught.value).startswith(f"{tmp_path / 'out'} is a file; expected a folder")


def test_what_is_said_already_comes_through_in_one_line():
    assert explain(ValueError("has shape (3,);\n  expected two axes")) == "has shape (3,); expected two axes"
    assert explain(IsADirectoryError("is a folder; expected an image file")) == "is a folder; expected an image file"
    assert explain(KeyError("layer")) == "KeyError: 'layer'"
    assert explain(MemoryError("Unable to allocate 9 GiB for an array")).startswith(
        "There was not enough memory on this computer (9.0 GiB more were asked for); look for larger objects"
    )
    assert explain(MemoryError()) == explain(OSError(errno.ENOMEM, "Cannot allocate memory"))
    assert explain(RuntimeError("CUDA error: out of memory")).startswith("There was not enough memory on the graphics")
    assert explain(NotEnoughMemory("Nothing fits.")) == "Nothing fits."
    assert explain(ValueError()) == "ValueError: "


def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path):
    (tmp_path / "a.txt").write_text("before")

    def fill_up() -> None:
        with atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("half")
            raise of_system(errno.ENOSPC, temporary)

    with pytest.raises(OSError, match="space"):
        fill_up()
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "before"
