"""A Hugging Face hub on this computer: the part of its HTTP interface that downloads need, and its misbehaviour.

    with FakeHub() as hub:
        hub.add("org/model", {"config.json": b"{}", "model.safetensors": random_bytes})
        environment.update(hub.environment(folder))

Large files (``.safetensors``, ``.bin``) are answered as the hub does: by a redirection to another host, here another
name of the same one, that must not be shown the token.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin")
PIECE = 1 << 16


@dataclass
class Repository:
    """``commits``: the files of each; ``heads``: the commit of each branch."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False
    offers: list[dict[str, object]] = field(default_factory=list)


class FakeHub:
    """The server, and what it has been asked: ``sent`` (bytes of each path), ``starts`` (first byte of each answer).

    Attributes that make it misbehave: ``cut`` (bytes of a path after which the connection breaks, once for each entry
    of the list), ``damaged`` (paths that arrive with a changed byte), ``broken`` (every request is answered 503),
    ``broken_after_cut``, ``pause`` (seconds between pieces of 64 kB).
    """

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.tokens: dict[str, set[str]] = {}
        self.sent: Counter[str] = Counter()
        self.starts: dict[str, list[int]] = defaultdict(list)
        self.requests: list[tuple[str, str]] = []
        self.leaked_tokens: list[str] = []
        self.cut: dict[str, list[int]] = {}
        self.damaged: set[str] = set()
        self.broken = False
        self.broken_after_cut = False
        self.pause = 0.0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    def __enter__(self) -> FakeHub:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.pause = 0.0
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, folder: Path) -> dict[str, str]:
        """Variables that make huggingface_hub talk to this server and keep everything in ``folder``."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(folder),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "no_proxy": "127.0.0.1,localhost",
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def add(
        self,
        repo: str,
        files: Mapping[str, bytes],
        *,
        branch: str = "main",
        gated: bool = False,
        private: bool = False,
    ) -> str:
        """Commit ``files`` to a branch of a repository and return the commit."""
        repository = self.repositories.setdefault(repo, Repository())
        repository.gated, repository.private = gated, private
        digest = hashlib.sha1(repr((repo, branch, sorted(files.items()))).encode())
        commit = digest.hexdigest()
        repository.commits[commit] = dict(files)
        repository.heads[branch] = commit
        return commit

    def offer(self, repo: str, files: Mapping[str, bytes], *, author: str, status: str = "open") -> str:
        """Open a pull request with these files beside those of the main branch; return its commit."""
        repository = self.repositories[repo]
        number = len(repository.offers) + 1
        main = repository.commits[repository.heads["main"]]
        commit = self.add(repo, main | dict(files), branch=f"refs/pr/{number}")
        repository.offers.append(
            {
                "num": number,
                "title": "Adding `safetensors` variant of this model",
                "author": {"name": author},
                "status": status,
                "isPullRequest": True,
                "createdAt": "2024-01-01T00:00:00.000Z",
                "repo": {"name": repo, "type": "model"},
            }
        )
        return commit


def checksum(path: str, content: bytes) -> str:
    """As the hub has it: SHA-256 of a large file, else the git object's SHA-1."""
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = urlsplit(self.path).path
        self.hub.requests.append((self.command, path))
        if self.hub.broken:
            return self._refuse(503, None, "out of order")
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/discussions", path):
            offers = self.hub.repositories[match[1]].offers
            return self._json({"discussions": offers, "count": len(offers), "start": 0})
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/([^/]+))?", path):
            return self._info(match[1], unquote(match[2] or "main"))
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            return self._resolve(match[1], unquote(match[2]), unquote(match[3]))
        if match := re.fullmatch(r"/storage/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            if "Authorization" in self.headers:
                self.hub.leaked_tokens.append(path)
            return self._content(unquote(match[3]), self.hub.repositories[match[1]].commits[match[2]])
        return self._refuse(404, None, "no such page")

    def _allowed(self, repo: str, listing: bool) -> bool:
        """Refuse as the hub does: it lists gated models to everyone and keeps their files."""
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if given and given not in self.hub.tokens:
            self._refuse(401, None, "Invalid credentials in Authorization header")
            return False
        repository = self.hub.repositories.get(repo)
        member = repo in self.hub.tokens.get(given, set())
        if repository is None or (repository.private and not member):
            self._refuse(404 if given else 401, "RepoNotFound", "Repository not found")
            return False
        if repository.gated and not member and not listing:
            self._refuse(403 if given else 401, "GatedRepo", f"Access to model {repo} is restricted.")
            return False
        return True

    def _commit(self, repo: str, revision: str) -> str | None:
        repository = self.hub.repositories[repo]
        commit = repository.heads.get(revision, revision)
        if commit not in repository.commits:
            self._refuse(404, "RevisionNotFound", "Invalid rev id")
            return None
        return commit

    def _info(self, repo: str, revision: str) -> None:
        if not self._allowed(repo, listing=True) or (commit := self._commit(repo, revision)) is None:
            return
        siblings = []
        for path, content in self.hub.repositories[repo].commits[commit].items():
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            entry: dict[str, object] = {"rfilename": path, "size": len(content), "blobId": git}
            if path.endswith(LARGE):
                entry["lfs"] = {"sha256": checksum(path, content), "size": len(content), "pointerSize": 134}
            siblings.append(entry)
        gated = "manual" if self.hub.repositories[repo].gated else False
        self._json({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings, "gated": gated, "private": False})

    def _resolve(self, repo: str, revision: str, path: str) -> None:
        if not self._allowed(repo, listing=False) or (commit := self._commit(repo, revision)) is None:
            return
        files = self.hub.repositories[repo].commits[commit]
        if path not in files:
            return self._refuse(404, "EntryNotFound", "Entry not found")
        about = {"X-Repo-Commit": commit, "ETag": f'"{checksum(path, files[path])}"'}
        if not path.endswith(LARGE):
            return self._content(path, files, about)
        about |= {
            "X-Linked-Size": str(len(files[path])),
            "X-Linked-ETag": about["ETag"],
            "Location": f"http://localhost:{self.hub.port}/storage/{repo}/{commit}/{path}",
        }
        return self._start(302, about, b"")

    def _content(self, path: str, files: Mapping[str, bytes], about: Mapping[str, str] | None = None) -> None:
        content = files[path]
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        if self.command == "GET":
            self.hub.starts[path].append(start)
        if path in self.hub.damaged:
            content = content[:-1] + bytes([content[-1] ^ 1])
        headers = {"Accept-Ranges": "bytes"} | dict(about or {})
        if match:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._start(206 if match else 200, headers, content[start:], path)

    def _json(self, content: object) -> None:
        self._start(200, {"Content-Type": "application/json"}, json.dumps(content).encode())

    def _refuse(self, status: int, code: str | None, message: str) -> None:
        headers = {"X-Error-Message": message} | ({"X-Error-Code": code} if code else {})
        self._start(status, headers, json.dumps({"error": message}).encode())

    def _start(self, status: int, headers: Mapping[str, str], body: bytes, path: str | None = None) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            self._send(body, path)
        except OSError:
            # The other side has gone.
            self.close_connection = True

    def _send(self, body: bytes, path: str | None) -> None:
        cuts = self.hub.cut.get(path or "", [])
        end = cuts.pop(0) if cuts else None
        for start in range(0, len(body), PIECE):
            piece = body[start : start + PIECE]
            if end is not None:
                piece = piece[: end - start]
            self.wfile.write(piece)
            if path is not None:
                self.hub.sent[path] += len(piece)
            if end is not None and start + len(piece) >= end:
                self.hub.broken = self.hub.broken or self.hub.broken_after_cut
                self.close_connection = True
                self.connection.close()
                return
            if start + PIECE < len(body):
                time.sleep(self.hub.pause)
