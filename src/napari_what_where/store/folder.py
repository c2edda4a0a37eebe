"""The store: a folder of entries, found by signature, of limited size."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_what_where.store.arrays import Damaged
from napari_what_where.store.draft import Draft, TooLarge, remove_abandoned
from napari_what_where.store.entry import Entry, read_entry

FOLDER_VARIABLE = "WHAT_WHERE_STORE"
"""Environment variable: where the store lies, instead of the user's cache folder."""
LIMIT_VARIABLE = "WHAT_WHERE_STORE_LIMIT"
"""Environment variable: the most that the store may hold, such as "20GB"; "0" keeps nothing."""
MOST_BYTES = 10 * 10**9
MOST_OF_FREE_DISK = 0.1

_ENTRY, _REMOVED = ".activations", ".removed"
_UNITS = {"": 1, "k": 1, "m": 2, "g": 3, "t": 4}


def store_folder() -> Path:
    """``$WHAT_WHERE_STORE``, or in the user's cache folder."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("napari-what-where", appauthor=False), "activations")


class ActivationStore:
    """Activations of images on disk.

    Parameters
    ----------
    folder : path, optional
        Made when the first entry is written; by default :func:`store_folder`.
    limit_bytes : int, optional
        The most that its entries may take; 0 keeps nothing. By default ``$WHAT_WHERE_STORE_LIMIT``, or 10 GB or a
        tenth of what is free on the disk without them, whichever is less.

    Raises ``ValueError`` for a limit that is none. Any number of processes and threads may use one folder. While an
    entry is written, it takes its room besides the limit.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None, *, limit_bytes: int | None = None) -> None:
        self.folder = store_folder() if folder is None else Path(folder)
        if limit_bytes is None and os.environ.get(LIMIT_VARIABLE):
            try:
                limit_bytes = parse_bytes(os.environ[LIMIT_VARIABLE])
            except ValueError as problem:
                raise ValueError(f"The environment variable {LIMIT_VARIABLE}: {problem}") from None
        if limit_bytes is not None and limit_bytes < 0:
            raise ValueError(f"limit_bytes is {limit_bytes}; expected a number of bytes from 0 on.")
        self._limit = limit_bytes

    @property
    def is_off(self) -> bool:
        """Whether it was told to keep nothing."""
        return self._limit == 0

    @property
    def limit_bytes(self) -> int:
        """The most that its entries may take, now."""
        if self._limit is not None:
            return self._limit
        free = shutil.disk_usage(next(part for part in (self.folder, *self.folder.parents) if part.is_dir())).free
        return int(min(MOST_BYTES, MOST_OF_FREE_DISK * (free + self.size_bytes)))

    @property
    def size_bytes(self) -> int:
        """What its entries take."""
        return sum(entry.size_bytes for entry in self.entries())

    def entries(self) -> list[Entry]:
        """Complete entries, the last used first; what cannot be read is passed over."""
        found = []
        for path in self._entry_folders():
            with suppress(OSError, Damaged):
                found.append(read_entry(path))
        return sorted(found, key=lambda entry: entry.used_at, reverse=True)

    def find(self, signature: str) -> Entry | None:
        """The entry of that signature, if there is one. Raises ``Damaged`` or ``OSError`` where it cannot be read."""
        with suppress(FileNotFoundError, NotADirectoryError):
            entry = read_entry(self._place(signature))
            return entry if entry.signature == signature else None
        return None

    def draft(self, signature: str, about: Mapping[str, Any]) -> Draft:
        """An entry in the making; ``about``: model and image_shape. Raises ``OSError`` where nothing can be written."""
        self.sweep()
        record = {"signature": signature} | dict(about)
        return Draft(self._place(signature), record, limit_bytes=self.limit_bytes)

    def make_room(self, size: int) -> None:
        """Remove the entries used longest ago until one of ``size`` bytes fits. Raises ``TooLarge`` if it never will.

        Threads and processes that make room at once may, together, go beyond the limit; the next one mends it.
        """
        limit = self.limit_bytes
        if size > limit or self.shrink(limit - size)[1] > limit - size:
            raise TooLarge("there is no room for them in the store.")

    def shrink(self, most: int) -> tuple[list[Entry], int]:
        """Remove the entries used longest ago until they take at most so many bytes; those removed, and what is left.

        What cannot be removed stays, and counts.
        """
        entries, gone = self.entries(), []
        left = sum(entry.size_bytes for entry in entries)
        for entry in reversed(entries):
            if left <= most:
                break
            if self.remove(entry.signature):
                left -= entry.size_bytes
                gone.append(entry)
        return gone, left

    def remove(self, signature: str) -> bool:
        """Remove an entry, in one step, so that none is ever there by halves. Whether it is gone."""
        return self._remove(self._place(signature))

    def clear(self) -> tuple[int, int]:
        """Remove all entries and all that is left of any. How many there were, and how many could not be removed."""
        results = [self._remove(path) for path in self._entry_folders()]
        self.sweep()
        return len(results), results.count(False)

    def sweep(self) -> None:
        """Remove what killed processes left, and entries that are damaged. Never raises for what it finds."""
        remove_abandoned(self.folder)
        for path in self._folders(f".*{_REMOVED}"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self._entry_folders():
            try:
                read_entry(path)
            except (Damaged, FileNotFoundError):
                self._remove(path)
            except OSError:
                continue

    def _place(self, signature: str) -> Path:
        # Half of the digits: some systems limit a path to 260 characters.
        return self.folder / f"{signature[:32]}{_ENTRY}"

    def _remove(self, path: Path) -> bool:
        aside = self.folder / f".{uuid.uuid4().hex[:16]}{_REMOVED}"
        try:
            os.rename(path, aside)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def _entry_folders(self) -> list[Path]:
        return [path for path in self._folders(f"*{_ENTRY}") if re.fullmatch(r"[0-9a-f]{32}", path.stem)]

    def _folders(self, pattern: str) -> list[Path]:
        try:
            return [path for path in sorted(self.folder.glob(pattern)) if path.is_dir()]
        except OSError:
            return []


def parse_bytes(text: str) -> int:
    """Bytes of a size such as "20GB", "1.5 GiB", "500 MB" or "0"; ``ValueError`` in words for anything else."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(?:([kmgt])(i?))?b?\s*", text, re.IGNORECASE)
    if not found:
        raise ValueError(f"received {text!r}; expected a size such as 20GB, 1.5 GiB, 500 MB, or 0.")
    number, prefix, binary = found.groups(default="")
    return int(float(number) * (1024 if binary else 1000) ** _UNITS[prefix.lower()] if prefix else float(number))
