"""What went wrong, in words: the same for the command's complaints and the dock's messages."""

from __future__ import annotations

import errno
from pathlib import Path

from napari_what_where.memory import MemoryProblem, as_out_of_memory, is_out_of_memory

_DISK_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
_NO_PERMISSION = (errno.EACCES, errno.EPERM)
_SHARING_VIOLATION, _LOCK_VIOLATION = 32, 33
"""Of Windows: another program has the file open."""


class Explained(RuntimeError):
    """A problem whose message is a sentence for the user: what is wrong, and what to do."""


def explain(problem: BaseException) -> str:
    """What an exception means and, where that is known, what to do: one line, whatever its message looks like.

    Files that cannot be read or written are explained by what the system says of them (disk full, no permission, open
    elsewhere, a file where a folder should be). Messages of ``ValueError``, ``TypeError``, :class:`Explained` and our
    own ``OSError`` are clear already and come through; others come with the name of their type.
    """
    text = " ".join(str(problem).split())
    if isinstance(problem, MemoryProblem):
        return text
    if is_out_of_memory(problem):
        return str(as_out_of_memory(problem))
    if isinstance(problem, OSError):
        return _explain_file(problem, text)
    return (
        text
        if text and isinstance(problem, ValueError | TypeError | Explained)
        else f"{type(problem).__name__}: {text}"
    )


def _explain_file(problem: OSError, text: str) -> str:
    target = problem.filename2 if problem.filename2 is not None else problem.filename
    place = None if target is None else Path(str(target))
    if problem.errno in _DISK_FULL:
        where = f" ({_folder(place)})" if place is not None else ""
        return f"The disk is full{where}. Nothing was half-written; free some space or choose another folder."
    if place is None:
        return text or type(problem).__name__
    if problem.errno in _NO_PERMISSION:
        return _explain_permission(problem, place)
    if problem.errno == errno.EROFS:
        return f"{_folder(place)} can only be read. Choose another folder."
    if isinstance(problem, FileExistsError | NotADirectoryError):
        file = next((part for part in (place, *place.parents) if part.is_file()), place)
        return f"{file} is a file; expected a folder. Choose another name."
    return f"{problem.strerror}: {place}" if problem.strerror else text


def _explain_permission(problem: OSError, place: Path) -> str:
    """What may not be done: replace a file that is open, read a file, or write into a folder."""
    windows = getattr(problem, "winerror", None)
    if windows in (_SHARING_VIOLATION, _LOCK_VIOLATION) or (windows is not None and problem.filename2 is not None):
        return f"{place} is open in another program. Close it there and try again."
    if place.is_file() and not _temporary(place):
        return f"There is no permission to use {place}. Change its permissions, or choose another file."
    return f"There is no permission to write in {_folder(place)}. Choose another folder."


def _folder(place: Path) -> Path:
    """The folder that a path is in, or is: a name of ours that is not there to stay says nothing to anyone."""
    return place if place.is_dir() else place.parent


def _temporary(place: Path) -> bool:
    return place.name.startswith(".")
