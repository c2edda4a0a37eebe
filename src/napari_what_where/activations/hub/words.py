"""What a failure to download means and what to do about it, in the words of this plugin."""

from __future__ import annotations

import errno
from typing import Any

from napari_what_where.activations.hub.types import ModelUnavailable, Reason

LOG_IN = "log in with the command 'hf auth login', or set HF_TOKEN"
_NETWORK = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "ssl", "socket")
_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))


def in_words(problem: Exception, repo: str, revision: str | None, token: str | None) -> tuple[Reason, str]:
    """The reason and the message of :class:`ModelUnavailable` for a problem met while talking to the hub."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

    page = _page(repo)
    if isinstance(problem, ModelUnavailable):
        return problem.reason, str(problem)
    if isinstance(problem, HfHubHTTPError):
        status = problem.response.status_code
        known = bool(token or get_token())
        if status == 401 and known:
            return "token", f"The hub does not know the token it was given. Make a new one, then {LOG_IN}."
        if isinstance(problem, GatedRepoError):
            return "gated", _gated(repo, page, known)
        if isinstance(problem, RevisionNotFoundError):
            return "missing", f"{repo} has no revision {revision!r} on the hub. See {page}."
        if isinstance(problem, RepositoryNotFoundError) or status == 404:
            return "missing", f"The hub has no model {repo}. Check the name; if it is private, {LOG_IN}."
        if status == 403:
            return "token", f"The token may not read {repo}. Allow it to on the hub's settings page, or {LOG_IN}."
        return "offline", f"The hub answers with error {status}. Try again later."
    if is_passing(problem):
        return "offline", f"The hub cannot be reached ({_first_line(problem)}). Check the connection and any proxy."
    return _of_the_disk(problem)


def is_passing(problem: Exception) -> bool:
    """Whether a later try may succeed: the network, or the hub itself, failed."""
    from huggingface_hub.errors import HfHubHTTPError

    if isinstance(problem, HfHubHTTPError):
        return problem.response.status_code in (403, 408, 429) or problem.response.status_code >= 500
    if isinstance(problem, ConnectionError | TimeoutError):
        return True
    # The libraries below the hub's differ with its version; a truncated file is its own plain OSError.
    modules = {kind.__module__.partition(".")[0] for kind in type(problem).__mro__}
    return bool(modules & set(_NETWORK)) or "Consistency check failed" in str(problem)


def _page(repo: str) -> str:
    from huggingface_hub import constants

    return f"{constants.ENDPOINT}/{repo}"


def _gated(repo: str, page: str, known: bool) -> str:
    if known:
        return f"{repo} asks for its licence to be accepted: do so at {page} with the account you are logged in with."
    return f"{repo} asks for its licence to be accepted: do so at {page}, then {LOG_IN}."


def _of_the_disk(problem: Exception) -> tuple[Reason, str]:
    if isinstance(problem, OSError) and problem.errno in _DISK_FULL:
        return "disk full", "The disk is full. What has arrived is kept; free some space and press Download again."
    if isinstance(problem, PermissionError):
        return "not allowed", f"There is no permission to write {problem.filename}. Set HF_HOME to a folder of yours."
    return "interrupted", f"The download failed ({type(problem).__name__}: {_first_line(problem)})."


def _first_line(problem: Any) -> str:
    return " ".join(str(problem).split())[:200] or type(problem).__name__
