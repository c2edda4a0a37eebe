"""The process that talks to the hub, so that the window never waits for it and stopping it is stopping a process.

Run as ``python -m napari_what_where.activations.hub.child``; see :mod:`~napari_what_where.activations.hub.download`.
Lines of JSON: it reads a request, writes the listing of the repository, reads the paths to fetch, writes progress, and
last "done" or "failed". The end of its standard input means that the parent has gone: it ends then too.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from napari_what_where.activations.hub.cache import kept_bytes, partial_file, repo_folder, size_on_disk, snapshot_folder
from napari_what_where.activations.hub.types import ModelFile, ModelUnavailable, is_set
from napari_what_where.activations.hub.words import in_words, is_passing

CHUNK = 1 << 20
EVERY = 0.1
"""Seconds between reports."""

CONVERTER = "SFconvertbot"
"""The hub's own account that offers safetensors versions of weights, as a pull request to their repository."""


def main() -> int:
    """Serve one download."""
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    request = requests.get()
    repo, token = request["repo"], request["token"]
    try:
        commit, files = _listing(repo, request["revision"], token)
        _tell(event="listing", commit=commit, files=files)
        wanted = set(requests.get()["get"])
        _Download(repo, commit, token).run([file for file in files if file.path in wanted])
        _tell(event="done")
        return 0
    except Exception as problem:
        reason, message = in_words(problem, repo, request["revision"], token)
        _tell(event="failed", reason=reason, message=message)
        return 1


def _listen(requests: queue.Queue[dict[str, Any]]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(1)


def _tell(**message: Any) -> None:
    print(json.dumps(message), flush=True)


def _listing(repo: str, revision: str | None, token: str | None) -> tuple[str, list[ModelFile]]:
    """The commit of a revision and its files; where it has no safetensors, those of the hub's own conversion."""
    from huggingface_hub import HfApi

    api = HfApi(token=token)
    info = api.model_info(repo, revision=revision, files_metadata=True)
    if revision is None and not any(file.rfilename.endswith(".safetensors") for file in info.siblings or ()):
        offered = _conversion(api, repo)
        info = info if offered is None else api.model_info(repo, revision=offered, files_metadata=True)
    files = []
    for file in info.siblings or ():
        checksum = file.lfs["sha256"] if file.lfs else file.blob_id
        if file.size is not None and checksum:
            files.append(ModelFile(file.rfilename, file.size, checksum))
    return str(info.sha), files


def _conversion(api: Any, repo: str) -> str | None:
    """The reference of an open pull request with safetensors by the hub's own account."""
    try:
        offers = [
            offer
            for offer in api.get_repo_discussions(repo)
            if offer.is_pull_request and offer.author == CONVERTER and offer.status == "open"
        ]
    except Exception:
        return None
    return f"refs/pr/{max(offer.num for offer in offers)}" if offers else None


class _Download:
    """The files of one commit, one after the other, each checked before it takes its place in the cache."""

    def __init__(self, repo: str, commit: str, token: str | None):
        self.repo, self.commit, self.token = repo, commit, token
        self.folder = repo_folder(repo)
        self.said = 0.0

    def run(self, files: list[ModelFile]) -> None:
        from huggingface_hub.utils import WeakFileLock

        for file in files:
            locks = self.folder.parent / ".locks" / self.folder.name
            locks.mkdir(parents=True, exist_ok=True)
            # The hub's own lock: another program that fetches the same file is waited for.
            with WeakFileLock(locks / f"{file.checksum}.lock"):
                self._fetch(file)
            self._say("downloading", file, file.size, always=True)

    def _fetch(self, file: ModelFile) -> None:
        pointer = snapshot_folder(self.repo, self.commit) / file.path
        if size_on_disk(pointer) == file.size:
            return
        blob = self.folder / "blobs" / str(file.checksum)
        if size_on_disk(blob) != file.size:
            blob.parent.mkdir(parents=True, exist_ok=True)
            partial = partial_file(blob.parent, str(file.checksum))
            if not kept_bytes(self.repo, self.commit, file):
                partial.unlink(missing_ok=True)
            self._receive(file, partial)
            self._check(file, partial)
            os.replace(partial, blob)
        _link(blob, pointer)

    def _receive(self, file: ModelFile, partial: Path) -> None:
        """The rest of a file. A connection that breaks is taken up again as long as each gets further."""
        partial.touch()
        while (have := partial.stat().st_size) < file.size:
            try:
                self._request(file, partial, have)
            except Exception as problem:
                if not is_passing(problem) or partial.stat().st_size <= have:
                    raise

    def _request(self, file: ModelFile, partial: Path, have: int) -> None:
        from urllib.parse import urlsplit

        from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        # What is lost when the connection breaks, and how often progress is said, on a slow one.
        constants.DOWNLOAD_CHUNK_SIZE = CHUNK
        url = hf_hub_url(self.repo, file.path, revision=self.commit)
        place = get_hf_file_metadata(url, token=self.token).location
        headers = build_hf_headers(token=self.token)
        if urlsplit(place).netloc != urlsplit(url).netloc:
            headers.pop("authorization", None)
        with partial.open("ab") as stream:
            watched: Any = _Watched(stream, lambda done: self._say("downloading", file, done))
            http_get(place, watched, headers=headers, resume_size=have, expected_size=file.size)

    def _check(self, file: ModelFile, partial: Path) -> None:
        """Compare the checksum; a file that is not what the hub says is removed."""
        digest = hashlib.sha256() if len(str(file.checksum)) == 64 else hashlib.sha1(b"blob %d\0" % file.size)
        with partial.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                self._say("checking", file, stream.tell())
        if digest.hexdigest() != file.checksum:
            partial.unlink()
            message = (
                f"{file.path} of {self.repo} arrived damaged: its checksum is not the hub's. It has been removed; "
            )
            raise ModelUnavailable("corrupt", message + "press Download again.")

    def _say(self, doing: str, file: ModelFile, done: int, always: bool = False) -> None:
        if always or time.monotonic() - self.said >= EVERY:
            self.said = time.monotonic()
            _tell(event="progress", doing=doing, path=file.path, done=done)


def _link(blob: Path, pointer: Path) -> None:
    """Make a file of the snapshot: a link, or, on Windows without the right to make them, the file itself."""
    pointer.parent.mkdir(parents=True, exist_ok=True)
    pointer.unlink(missing_ok=True)
    if not is_set("HF_HUB_DISABLE_SYMLINKS"):
        with suppress(OSError):
            return pointer.symlink_to(os.path.relpath(blob, pointer.parent))
    os.replace(blob, pointer)


class _Watched:
    """A file that says how far it is after every chunk, and keeps every chunk."""

    def __init__(self, stream: BinaryIO, say: Any):
        self._stream, self._say = stream, say

    def write(self, chunk: bytes) -> int:
        written = self._stream.write(chunk)
        self._stream.flush()
        self._say(self._stream.tell())
        return written

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


if __name__ == "__main__":
    sys.exit(main())
