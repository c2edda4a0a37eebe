"""An entry in the making: invisible until it is complete, and told from one whose process was killed."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.memory import readable_bytes
from napari_what_where.store.entry import layer_bytes, write_layer, write_record

if TYPE_CHECKING:
    from napari_what_where.activations.types import TokenActivations

_DRAFT, _LOCK = ".draft", ".lock"


class TooLarge(ValueError):
    """An entry that the store has no room for, however much is removed."""


class Draft:
    """Takes network layers as they come; :meth:`finish` makes them an entry, :meth:`abandon` leaves nothing.

    Parameters
    ----------
    target : Path
        Folder of the entry, in the store's folder.
    about : mapping
        What the record says besides its layers.
    limit_bytes : int
        The most that it may take.

    The system drops the lock of a process that ends, in whatever way: see :func:`remove_abandoned`. Raises ``OSError``
    where the folder cannot be written.
    """

    def __init__(self, target: Path, about: Mapping[str, Any], *, limit_bytes: int) -> None:
        self.target, self.limit_bytes, self.size_bytes = target, limit_bytes, 0
        self._about, self._layers = dict(about), list[dict[str, Any]]()
        self._path = target.with_name(f".{uuid.uuid4().hex[:16]}{_DRAFT}")
        target.parent.mkdir(parents=True, exist_ok=True)
        self._lock = _lock(self._path)
        self._lock.acquire(timeout=0)
        try:
            self._path.mkdir()
        except BaseException:
            self.abandon()
            raise

    def add(self, layer: TokenActivations) -> None:
        """Write one more network layer. Raises :class:`TooLarge`, or ``OSError``, such as for a full disk."""
        self.size_bytes += layer_bytes(layer)
        if self.size_bytes > self.limit_bytes:
            raise TooLarge(f"they take more than the {readable_bytes(self.limit_bytes)} that the store may hold.")
        self._layers.append(write_layer(self._path, len(self._layers), layer))

    def finish(self, make_room: Callable[[int], None]) -> None:
        """Make it an entry, in one step, after ``make_room`` for its bytes; another's of that signature stays."""
        try:
            if not self._layers:
                return
            made = {"made_at": datetime.now(UTC).isoformat(), "bytes": self.size_bytes, "layers": self._layers}
            write_record(self._path, self._about | made)
            make_room(self.size_bytes)
            try:
                os.rename(self._path, self.target)
            except OSError:
                if not self.target.is_dir():
                    raise
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Remove what was written so far, if it is no entry yet."""
        shutil.rmtree(self._path, ignore_errors=True)
        _release(self._lock)


def remove_abandoned(folder: Path) -> None:
    """Remove drafts in a store's folder whose process was killed; those of living ones stay."""
    from filelock import Timeout

    stems: set[str] = set()
    with suppress(OSError):
        stems = {path.stem for kind in (_DRAFT, _LOCK) for path in folder.glob(f".*{kind}")}
    for draft in (folder / f"{stem}{_DRAFT}" for stem in sorted(stems)):
        lock = _lock(draft)
        with suppress(Timeout, OSError, NotImplementedError):
            lock.acquire(timeout=0)
            shutil.rmtree(draft, ignore_errors=True)
            _release(lock)


def _lock(draft: Path) -> Any:
    from filelock import FileLock

    return FileLock(draft.with_suffix(_LOCK), thread_local=False)


def _release(lock: Any) -> None:
    if lock.is_locked:
        # Windows removes no file that is open, other systems may while it is locked.
        with suppress(OSError):
            os.unlink(lock.lock_file)
        lock.release()
        with suppress(OSError):
            os.unlink(lock.lock_file)
