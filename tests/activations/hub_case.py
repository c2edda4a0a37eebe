"""A small model, and what the tests of downloading it share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from napari_what_where.activations.hub import ModelUnavailable, download_model
from napari_what_where.activations.hub.cache import repo_folder
from napari_what_where.progress import Cancelled, Progress
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


@pytest.fixture(name="hub")
def empty_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """An empty hub on this computer, that the environment points to, with an empty cache."""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    with FakeHub() as server:
        for name, value in server.environment(tmp_path / "hf").items():
            monkeypatch.setenv(name, value)
        yield server


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def stop_when(limit: int) -> Callable[[Progress], None]:
    """A ``report`` that stops the download once ``limit`` megabytes have arrived."""

    def report(progress: Progress) -> None:
        if progress.stage.startswith("downloading") and progress.done >= limit:
            raise Cancelled

    return report


def refused(reason: str, **options: str) -> str:
    with pytest.raises(ModelUnavailable) as caught:
        download_model(REPO, **options)
    assert caught.value.reason == reason
    return str(caught.value)


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
