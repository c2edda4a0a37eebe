"""Edits that outlive a crash: label images kept in the user's data folder until they are exported or discarded.

A *session* is a folder of the process that owns it; an *entry* one file in it: a zip, readable as ``.npz``, of the
labels and of what a layer needs to be made again. It is moved into place when it is complete (the one commit point),
and every part has its checksum, so an entry is there as a whole or not at all.
"""

from __future__ import annotations

import json
import os
import time
import uuid
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_what_where.files.encoding import atomic_path, plain
from napari_what_where.files.ownership import is_alive, owner_name

FOLDER_VARIABLE = "WHAT_WHERE_RECOVERY"
"""Environment variable: a folder to keep entries in, instead of the user's data folder."""

MOST_ENTRIES = 50
MOST_BYTES = 2 * 2**30
"""Of all entries together; the oldest that no living process owns go first."""
MOST_RAW_BYTES = 4 * 2**30
"""Of one entry's labels before compression: some ten seconds of work for one core."""
STALE_SECONDS = 28 * 24 * 3600

_SUFFIX, _LABELS, _RECORD = ".npz", "labels.npy", "entry.json"
_CLOSED = "closed"
_BROKEN = (OSError, EOFError, ValueError, KeyError, TypeError, RuntimeError, zipfile.BadZipFile, zlib.error)
"""What reading a damaged entry may raise."""


class RecoveryRefused(ValueError):
    """The labels take more room than edits may; its text says how much, and what to do."""


@dataclass(frozen=True)
class Entry:
    """One label image that was kept.

    Attributes
    ----------
    path : Path
        The file.
    name : str
        Of the layer.
    layer : dict
        JSON-ready attributes of the layer: scale, translate, … as the caller of :func:`save` gave them.
    saved_at : datetime
        With its time zone.
    shape, dtype :
        Of the labels.
    """

    path: Path
    name: str
    layer: dict[str, Any]
    saved_at: datetime
    shape: tuple[int, ...]
    dtype: str


def recovery_folder() -> Path:
    """Where entries are kept: ``$WHAT_WHERE_RECOVERY``, or in the user's data folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_data_dir("napari-what-where", appauthor=False), "recovery")


def open_session() -> Path:
    """A new session of this process; its folder is made when the first entry is saved."""
    return recovery_folder() / f"{owner_name()}-{uuid.uuid4().hex[:12]}"


def close(session: Path) -> None:
    """End a session in the regular way: what is left in it was neither exported nor discarded, and is offered again.

    A closed window takes unsaved edits with it just as a crash does; who wants them no longer discards them once.
    """
    with suppress(OSError):
        _sweep(session)
        if any(session.iterdir()):
            session.rename(session.with_name(f"{_CLOSED}-{uuid.uuid4().hex[:12]}"))
        else:
            session.rmdir()


def save(session: Path, key: str, labels: np.ndarray, *, name: str, layer: Mapping[str, Any]) -> Entry:
    """Keep labels, in place of what was kept under ``key`` before.

    Parameters
    ----------
    session : Path
        From :func:`open_session`.
    key : str
        One a layer, fit for a file name.
    labels : (…) array of any integer dtype and number of axes
        Not to be written to meanwhile.
    name, layer
        Of the layer, see :class:`Entry`.

    Raises
    ------
    TypeError
        Labels are not integers.
    RecoveryRefused
        They take more room than there is for edits; nothing has changed.
    OSError
        The file cannot be written; the entry from before, if any, is as it was.

    Notes
    -----
    Cost: about 0.1 s for 4096² labels, nearly all of it in zlib, which releases the interpreter lock.
    """
    if labels.dtype.kind not in "iu":
        raise TypeError(f"The labels are {labels.dtype}; expected integers. Convert them, for example to int32.")
    if labels.nbytes > MOST_RAW_BYTES:
        raise RecoveryRefused(_too_large(name, labels.nbytes, MOST_RAW_BYTES))
    record = {
        "name": name,
        "layer": plain(layer),
        "saved_at": datetime.now(UTC).isoformat(),
        "shape": list(labels.shape),
        "dtype": labels.dtype.str,
    }
    path = session / f"{key}{_SUFFIX}"
    with atomic_path(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(_RECORD, json.dumps(record))
            with archive.open(_LABELS, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, labels, allow_pickle=False)
        _make_room(temporary.stat().st_size, path, name)
    return _entry(path, record)


def abandoned() -> list[Entry]:
    """Whole entries that no living process owns, the latest first; damaged ones are passed over.

    Removes stale entries, and unfinished files of sessions whose process is gone. Never raises for what it finds.
    Cost: reads every entry, some 0.1 s for 4096² labels.
    """
    entries = []
    for session in _dead_sessions():
        _sweep(session)
        for path in _files(session):
            if time.time() - _modified(path) > STALE_SECONDS:
                _remove(path)
                continue
            with suppress(*_BROKEN), zipfile.ZipFile(path) as archive:
                if archive.namelist() == [_RECORD, _LABELS] and archive.testzip() is None:
                    entries.append(_entry(path, json.loads(archive.read(_RECORD))))
    return sorted(entries, key=lambda entry: entry.saved_at, reverse=True)


def load(entry: Entry) -> np.ndarray:
    """The labels of an entry, as they were saved.

    Raises
    ------
    OSError
        The entry is gone, or damaged; the text says which.
    """
    try:
        with zipfile.ZipFile(entry.path) as archive, archive.open(_LABELS) as file:
            labels = np.lib.format.read_array(file, allow_pickle=False)
            file.read(1)  # past the end, where the checksum is compared
            return labels
    except FileNotFoundError:
        raise
    except _BROKEN as error:
        raise OSError(f"The kept edits of {entry.name!r} in {entry.path} are damaged ({error}).") from error


def discard(entry: Entry) -> None:
    """Remove an entry for good; that it is gone already is no error."""
    _remove(entry.path)


def adopt(entry: Entry, session: Path, key: str) -> Entry:
    """Make another session's entry one of this session, in one step, so that nobody else is offered it.

    Raises ``OSError`` where it is gone.
    """
    session.mkdir(parents=True, exist_ok=True)
    path = session / f"{key}{_SUFFIX}"
    os.replace(entry.path, path)
    with suppress(OSError):
        entry.path.parent.rmdir()
    return Entry(path, entry.name, entry.layer, entry.saved_at, entry.shape, entry.dtype)


def _entry(path: Path, record: Mapping[str, Any]) -> Entry:
    return Entry(
        path,
        str(record["name"]),
        dict(record["layer"]),
        datetime.fromisoformat(record["saved_at"]),
        tuple(int(size) for size in record["shape"]),
        str(record["dtype"]),
    )


def _make_room(size: int, path: Path, name: str) -> None:
    """Remove the oldest entries that nobody owns until one more of ``size`` bytes may stay, at ``path``."""
    files = {file: file_size for file, file_size in _sizes() if file != path}
    orphans = sorted((file for session in _dead_sessions() for file in _files(session)), key=_modified)
    while len(files) >= MOST_ENTRIES or sum(files.values()) + size > MOST_BYTES:
        oldest = next((file for file in orphans if file in files), None)
        if oldest is None or size > MOST_BYTES:
            raise RecoveryRefused(_too_large(name, sum(files.values()) + size, MOST_BYTES))
        _remove(oldest)
        del files[oldest]


def _too_large(name: str, size: int, most: int) -> str:
    return (
        f"With {name!r}, edits would take {size / 2**20:,.0f} MB; the most that is kept is {most / 2**20:,.0f} MB, of "
        f"{MOST_ENTRIES} layers. Export them from time to time."
    )


def _sizes() -> Iterator[tuple[Path, int]]:
    for session in recovery_folder().glob("*"):
        for file in _files(session):
            with suppress(OSError):
                yield file, file.stat().st_size


def _files(session: Path) -> list[Path]:
    """Entries of a session; unfinished files begin with a dot."""
    return sorted(file for file in session.glob(f"*{_SUFFIX}") if not file.name.startswith("."))


def _dead_sessions() -> list[Path]:
    """Sessions that were closed or whose process is gone; of another computer only when they are stale."""
    folder = recovery_folder()
    return [session for session in sorted(folder.glob("*")) if session.is_dir() and not _is_owned(session)]


def _is_owned(session: Path) -> bool:
    alive = is_alive(session.name.rpartition("-")[0])
    if alive is None:  # of another computer
        newest = max(map(_modified, _files(session)), default=_modified(session))
        return time.time() - newest < STALE_SECONDS
    return alive


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _sweep(session: Path) -> None:
    """Remove what a killed process did not finish."""
    for file in session.glob(".*"):
        with suppress(OSError):
            file.unlink()


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
    with suppress(OSError):
        path.parent.rmdir()
