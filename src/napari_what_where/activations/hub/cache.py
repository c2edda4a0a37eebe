"""Models in the cache of the Hugging Face hub: where they are, what is there of each, which commit is pinned.

The layout is the hub's own (``blobs``, ``snapshots/COMMIT``, ``refs/BRANCH``), so that other programs find what we
downloaded and we find what they did. Our record of a model lies in its folder and goes with it.
"""

from __future__ import annotations

import json
import os
import posixpath
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from napari_what_where.activations.hub.selection import (
    Choice,
    choose,
    default_patterns,
    patterns_by_name,
    weighted_folders,
)
from napari_what_where.activations.hub.types import ModelFile, ModelOnDisk, check_repo

RECORD = "what-where.json"
MAIN = "main"
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Record(NamedTuple):
    """What the hub said of a revision when it was first downloaded: the commit it is pinned to, and all its files."""

    commit: str
    files: tuple[ModelFile, ...]
    complete: bool


def cache_folder() -> Path:
    """The hub's cache, as the environment has it now (``HF_HUB_CACHE``, ``HF_HOME``)."""
    given = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE")
    if not given:
        caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        given = os.path.join(os.environ.get("HF_HOME") or os.path.join(caches, "huggingface"), "hub")
    return Path(os.path.expandvars(given)).expanduser()


def repo_folder(repo: str) -> Path:
    """Where the cache keeps a repository."""
    return cache_folder() / f"models--{repo.replace('/', '--')}"


def snapshot_folder(repo: str, commit: str) -> Path:
    """Where the files of one commit are, as in the repository."""
    return repo_folder(repo) / "snapshots" / commit


def partial_file(blobs: Path, checksum: str) -> Path:
    """A file on its way. Not the hub's own name: since version 2 of its library those are never gone on with."""
    return blobs / f"{checksum}.what-where.incomplete"


def find_on_disk(repo: str, revision: str | None = None, files: Sequence[str] | None = None) -> ModelOnDisk | None:
    """What there is of a model in the cache, without any network.

    Parameters
    ----------
    repo
        ``organisation/model`` on the hub.
    revision
        Branch, tag or commit; None for the main branch. A branch means the commit that it was when the model was
        downloaded here, wherever it has moved since.
    files
        Patterns, as in :class:`~napari_what_where.activations.catalogue.ModelRow`; None for the usual ones.

    Returns
    -------
    None if nothing is there. A model that other programs have put there is found too; half precision is preferred,
    and whatever there is of the weights as safetensors is taken.

    Raises
    ------
    ValueError
        ``repo`` cannot be a name on the hub.
    """
    check_repo(repo)
    record = read_record(repo, revision)
    recorded = None if record is None else _recorded(repo, record, files)
    if recorded is not None and recorded.complete:
        return recorded
    other = None if record is not None and record.complete else _unrecorded(repo, revision, files)
    if recorded is None or (other is not None and other.complete):
        return other
    return recorded if recorded.done_bytes else None


def read_record(repo: str, revision: str | None) -> Record | None:
    """Our record of a revision; None if there is none that can be read."""
    try:
        entry = json.loads((repo_folder(repo) / RECORD).read_text(encoding="utf-8"))["revisions"][revision or MAIN]
        files = tuple(ModelFile(str(path), int(size), checksum) for path, size, checksum in entry["files"])
        return Record(str(entry["commit"]), files, bool(entry["complete"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_record(repo: str, revision: str | None, record: Record) -> None:
    """Pin a revision; other revisions' records stay."""
    place = repo_folder(repo) / RECORD
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        revisions = dict(content["revisions"])
    except (OSError, ValueError, KeyError, TypeError):
        revisions = {}
    revisions[revision or MAIN] = record._asdict()
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_name(f".{RECORD}.{os.getpid()}")
    draft.write_text(json.dumps({"repo": repo, "revisions": revisions}, indent=1), encoding="utf-8")
    draft.replace(place)


def size_on_disk(path: Path) -> int | None:
    """Bytes of a file, through links; None if it is not there."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError:
        return None


def kept_bytes(repo: str, commit: str, file: ModelFile) -> int:
    """Bytes of a file that need not be fetched again."""
    if size_on_disk(snapshot_folder(repo, commit) / file.path) == file.size:
        return file.size
    blobs = repo_folder(repo) / "blobs"
    if file.checksum is None:
        return 0
    if size_on_disk(blobs / file.checksum) == file.size:
        return file.size
    partial = size_on_disk(partial_file(blobs, file.checksum)) or 0
    return partial if partial <= file.size else 0


def needed_files(repo: str, record: Record, files: Sequence[str] | None) -> tuple[Choice, list[ModelFile]]:
    """What is chosen of a recorded revision."""
    paths = [file.path for file in record.files]
    choice = choose(paths, default_patterns(repo, paths) if files is None else files)
    wanted = set(choice.paths)
    return choice, [file for file in record.files if file.path in wanted]


def _recorded(repo: str, record: Record, files: Sequence[str] | None) -> ModelOnDisk:
    choice, needed = needed_files(repo, record, files)
    folder = snapshot_folder(repo, record.commit)
    missing = tuple(file.path for file in needed if size_on_disk(folder / file.path) != file.size)
    done = sum(kept_bytes(repo, record.commit, file) for file in needed)
    total = sum(file.size for file in needed)
    return ModelOnDisk(repo, folder, record.commit, done, total, missing + choice.lacking, choice.variants)


def _unrecorded(repo: str, revision: str | None, files: Sequence[str] | None) -> ModelOnDisk | None:
    """What other programs have put there: which files the repository has beside is not known."""
    commit = _commit_on_disk(repo, revision)
    folder = None if commit is None else snapshot_folder(repo, commit)
    if commit is None or folder is None or not folder.is_dir():
        return None
    paths = [path.relative_to(folder).as_posix() for path in sorted(folder.rglob("*")) if path.is_file()]
    patterns = default_patterns(repo, paths) if files is None else files
    choice = choose(paths, patterns)
    if files is None and patterns_by_name(repo) is None:
        wanted = {"unet", "transformer"} if "model_index.json" in paths else {""}
        absent = set() if wanted & set(choice.variants) else {min(wanted)}
    else:
        absent = weighted_folders(patterns) - set(choice.variants)
    configurations = {posixpath.join(component, "config.json") for component in choice.variants}
    missing = tuple(sorted(absent | set(choice.lacking) | (configurations - set(paths))))
    done = sum(size_on_disk(folder / path) or 0 for path in choice.paths)
    if not done:
        return None
    return ModelOnDisk(repo, folder, commit, done, None if missing else done, missing, choice.variants)


def _commit_on_disk(repo: str, revision: str | None) -> str | None:
    if revision is not None and _COMMIT.fullmatch(revision):
        return revision
    try:
        commit = (repo_folder(repo) / "refs" / (revision or MAIN)).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return commit if _COMMIT.fullmatch(commit) else None
