"""Results that are folders are whole or not there, as files are."""

from __future__ import annotations

import os

import pytest

from napari_what_where.files.encoding import atomic_path, atomic_paths, discard, leftovers


def fill(folder, text):
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "file").write_text(text)


def texts(folder) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_takes_the_place_of_an_earlier_one_whole(tmp_path):
    fill(tmp_path / "a.zarr", "old")
    (tmp_path / "a.zarr" / "more").write_text("old")
    with atomic_path(tmp_path / "a.zarr") as temporary:
        fill(temporary, "new")
        assert texts(tmp_path / "a.zarr") == {"deep/file": "old", "more": "old"}
    assert texts(tmp_path) == {"a.zarr/deep/file": "new"}


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("failing", range(4))
def test_whatever_move_fails_all_is_as_it_was(tmp_path, monkeypatch, earlier, failing):
    if earlier:
        fill(tmp_path / "a.zarr", "old")
        (tmp_path / "b.json").write_text("old")
    before, moves, whole = texts(tmp_path), iter(range(100)), os.replace

    def move(source, target):
        if next(moves) == failing:
            raise OSError("no")
        whole(source, target)

    monkeypatch.setattr(os, "replace", move)
    try:
        with atomic_paths([tmp_path / "a.zarr", tmp_path / "b.json"]) as (folder, file):
            fill(folder, "new")
            file.write_text("new")
    except OSError:
        assert texts(tmp_path) == before
    else:
        assert texts(tmp_path) == {"a.zarr/deep/file": "new", "b.json": "new"}
    assert {path.name for path in tmp_path.iterdir()} <= {"a.zarr", "b.json"}


def test_interrupted_while_it_is_made_nothing_is_left(tmp_path):
    def write_half():
        with atomic_path(tmp_path / "a.zarr") as temporary:
            fill(temporary, "new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_is_found_and_removed(tmp_path):
    fill(tmp_path / ".a.ome.0123456789ab.zarr", "half")
    (left,) = leftovers(tmp_path / "a.ome.zarr")
    discard(left)
    discard(left)
    assert list(tmp_path.iterdir()) == []
