"""Download a model: what is needed and no more, with progress, in a child process that can be stopped at any time."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, NoReturn

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.activations.hub import cache
from napari_what_where.activations.hub.cache import Record, find_on_disk, kept_bytes, needed_files
from napari_what_where.activations.hub.process import Died, child
from napari_what_where.activations.hub.selection import refuse_without_safetensors
from napari_what_where.activations.hub.types import (
    ModelFile,
    ModelOnDisk,
    ModelUnavailable,
    bytes_in_words,
    check_repo,
    is_offline,
    of_total,
)
from napari_what_where.progress import Progress, Report, ignore_progress

PATIENCE = 0.1
"""Seconds between calls of ``report`` while nothing arrives."""

SPARE_BYTES = 250_000_000
"""Left free on the disk."""

MEGABYTE = 1_000_000


def download_model(
    repo: str,
    *,
    revision: str | None = None,
    files: Sequence[str] | None = None,
    token: str | None = None,
    report: Report = ignore_progress,
) -> ModelOnDisk:
    """Download what is missing of a model into the hub's cache, check it, and pin its commit.

    Parameters
    ----------
    repo
        ``organisation/model`` on the hub.
    revision
        Branch, tag or commit; None for the main branch. A branch that was downloaded before stays at the commit that
        it was then.
    files
        Patterns, as in :class:`~napari_what_where.activations.catalogue.ModelRow`; None for the usual ones.
    token
        Of the hub; None for the one of ``HF_TOKEN`` or ``hf auth login``, if any.
    report
        Called about ten times a second with megabytes done and in all. What it raises stops the download at once:
        what has arrived is kept, and gone on with by the next call.

    Raises
    ------
    ModelUnavailable
        In words; see its ``reason``.
    ValueError
        ``repo`` cannot be a name on the hub.
    """
    check_repo(repo)
    before = find_on_disk(repo, revision, files)
    if before is not None and before.complete:
        _pin(before, revision)
        return before
    if is_offline():
        message = f"{repo} is not on this computer, and HF_HUB_OFFLINE forbids downloads. Unset it and try again."
        raise ModelUnavailable("offline", message)
    with child() as process:
        _Conversation(process, repo, revision, files, report).hold(token)
    after = find_on_disk(repo, revision, files)
    if after is None or not after.complete:
        raise ModelUnavailable("interrupted", f"{repo} is not complete after its download. Press Download again.")
    return after


def _pin(model: ModelOnDisk, revision: str | None) -> None:
    """Keep to the commit of a model that other programs brought here."""
    if cache.read_record(model.repo, revision) is None:
        present = [path for path in sorted(model.folder.rglob("*")) if path.is_file()]
        files = [ModelFile(path.relative_to(model.folder).as_posix(), path.stat().st_size) for path in present]
        cache.write_record(model.repo, revision, Record(model.commit, tuple(files), True))


class _Conversation:
    """One download, as the parent sees it."""

    def __init__(
        self,
        process: subprocess.Popen[str],
        repo: str,
        revision: str | None,
        files: Sequence[str] | None,
        report: Report,
    ):
        self.process, self.repo, self.revision, self.files, self.report = process, repo, revision, files, report
        self.name = next((row.name for row in CATALOGUE.values() if row.repo == repo), repo)
        self.progress = Progress(f"downloading {self.name}", 0, 1)
        self.lines: queue.Queue[str | None] = queue.Queue()
        self.begun: str | None = None
        self.pinned = False
        self.needed: list[ModelFile] = []
        self.commit = ""
        self.done: dict[str, int] = {}
        self.total = 0

    def hold(self, token: str | None) -> None:
        """From the request to the last file; the child has ended afterwards."""
        listener = threading.Thread(target=self._listen, daemon=True)
        listener.start()
        try:
            self._hold(token)
        finally:
            self.process.kill()
            listener.join()

    def _hold(self, token: str | None) -> None:
        self.begun = self._begun()
        self._send(repo=self.repo, revision=self.begun or self.revision, token=token)
        listing = self._next()
        record = Record(str(listing["commit"]), tuple(_files(listing["files"])), self.pinned)
        needed = self._plan(record)
        self._send(get=[file.path for file in needed])
        while (message := self._next())["event"] == "progress":
            self._advance(message)
        cache.write_record(self.repo, self.revision, record._replace(complete=True))
        self._remember_branch(record.commit)

    def _begun(self) -> str | None:
        """The commit that is pinned, or of which something is here: it is gone on with, wherever the branch is now."""
        record = cache.read_record(self.repo, self.revision)
        if record is None:
            return None
        self.pinned = record.complete
        kept = any(kept_bytes(self.repo, record.commit, file) for file in record.files)
        return record.commit if record.complete or kept else None

    def _plan(self, record: Record) -> list[ModelFile]:
        """What is needed; refuse what cannot be loaded or has no room, before anything large is fetched."""
        choice, needed = needed_files(self.repo, record, self.files)
        refuse_without_safetensors(self.repo, [file.path for file in record.files], choice)
        self.done = {file.path: kept_bytes(self.repo, record.commit, file) for file in needed}
        self.total = sum(file.size for file in needed)
        _refuse_without_room(self.repo, self.total - sum(self.done.values()))
        try:
            cache.write_record(self.repo, self.revision, record)
        except OSError as problem:
            message = (
                f"{cache.cache_folder()} cannot be written ({problem.strerror}). Set HF_HOME to a folder of yours."
            )
            raise ModelUnavailable("not allowed", message) from problem
        self.needed, self.commit = needed, record.commit
        return needed

    def _advance(self, message: dict[str, Any]) -> None:
        doing, path = message["doing"], message["path"]
        if doing == "downloading":
            self.done[path] = message["done"]
        self.progress = Progress(f"{doing} {self.name}", *self._megabytes())
        self.report(self.progress)

    def _megabytes(self) -> tuple[int, int]:
        return sum(self.done.values()) // MEGABYTE, max(1, self.total // MEGABYTE)

    def _send(self, **message: Any) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(message) + "\n")
            self.process.stdin.flush()
        except OSError:
            raise Died from None

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _next(self) -> dict[str, Any]:
        """The child's next message; ``report`` is called while waiting, as it may stop the download."""
        while True:
            try:
                line = self.lines.get(timeout=PATIENCE)
            except queue.Empty:
                self.report(self.progress)
                continue
            if line is None:
                raise Died
            message: dict[str, Any] = json.loads(line)
            if message["event"] == "failed":
                self._fail(message)
            return message

    def _fail(self, message: dict[str, Any]) -> NoReturn:
        reason, words = message["reason"], message["message"]
        if self.needed and reason in ("offline", "interrupted"):
            kept = of_total(sum(kept_bytes(self.repo, self.commit, file) for file in self.needed), self.total)
            raise ModelUnavailable("interrupted", f"{words} {kept} are kept; the next download goes on from there.")
        if reason == "missing" and self.begun not in (None, self.revision):
            words += f" An earlier download began with it: delete {cache.repo_folder(self.repo)} to begin anew."
        raise ModelUnavailable(reason, words)

    def _remember_branch(self, commit: str) -> None:
        """Let other programs find the model by its branch, unless they have a commit of their own."""
        name = self.revision or cache.MAIN
        place = cache.repo_folder(self.repo) / "refs" / name
        if re.fullmatch(r"[\w.-]+", name) and name != commit and not place.exists():
            place.parent.mkdir(exist_ok=True)
            place.write_text(commit, encoding="utf-8")


def _files(listed: Sequence[Sequence[Any]]) -> Iterator[ModelFile]:
    """Files of a listing, without names that would lead out of their folder."""
    for path, size, checksum in listed:
        parts = PurePosixPath(path).parts
        plain = parts and ".." not in parts and "\\" not in path and ":" not in path and not path.startswith("/")
        if plain and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", checksum):
            yield ModelFile(path, size, checksum)


def _refuse_without_room(repo: str, need: int) -> None:
    place = cache.cache_folder()
    existing = next(folder for folder in (place, *place.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    if need + SPARE_BYTES > free:
        message = f"{repo} needs {bytes_in_words(need)}; the disk of {place} has {bytes_in_words(free)} free. "
        message += "Free some space, or set HF_HOME to a folder on a larger disk."
        raise ModelUnavailable("disk full", message)
