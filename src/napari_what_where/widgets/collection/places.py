"""Where what is computed of a collection is kept, so that a run goes on, and another number of kinds is quick; no Qt.

Each choice of images and of settings, but for those of kinds, has a folder of its own. Of a folder of files they lie
where the user says; of layers in a temporary folder, which goes when neither the dock nor a layer needs it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.collection.kept import ACTIVATIONS, forget
from napari_what_where.failures import Explained

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.widgets.collection.pool import Pool

MOST = 3
"""Choices of settings whose results are kept beside each other; those that were used longest ago go."""
MARK, LOCK = "settings.json", "lock"
"""What says that a folder is ours, and with which settings it was made; who works in it."""
_OWN_NAME = "napari-what-where"
_shown: weakref.WeakSet[CollectionAnalysis] = weakref.WeakSet()
"""What layers of this process may still read."""


class Places:
    """The folders of one dock's runs."""

    def __init__(self) -> None:
        self._temporary: _Temporary | None = None

    @contextmanager
    def place(self, pool: Pool, settings: Mapping[str, Any]) -> Iterator[Path]:
        """The folder of a run, in which nobody else works within the block; off the GUI thread.

        Others of the same images are removed beyond the last ``MOST``; only those that are ours, that nobody works in,
        and that no layer here reads from. Raises ``Explained`` where another window works in it.
        """
        root = pool.working
        if root is None:
            self._temporary = held = self._temporary or _Temporary()
            root = held.path
        folder = root / pool.name_for(settings)
        _mark(folder, settings)
        with _alone(folder):
            tidy(root, folder)
            yield folder

    def hold(self, analysis: CollectionAnalysis) -> None:
        """Keep the folder of what was found for as long as it is used."""
        _shown.add(analysis)
        weakref.finalize(analysis, _let_go, self._temporary)

    def close(self) -> None:
        """The dock needs them no more."""
        self._temporary = None


class _Temporary:
    """A temporary folder, removed when nobody holds this any more."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="what-where-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def _let_go(_: _Temporary | None) -> None:
    """Of what was held until now."""


def tidy(root: Path, current: Path) -> None:
    """Of the folders in ``root`` leave ``current`` and the last others; of runs that were stopped, one to go on with.

    Activations take most: of the other runs only the last one that was stopped keeps them.
    """
    others = sorted((each for each in root.iterdir() if each != current and is_ours(each)), key=_used, reverse=True)
    unfinished = [each for each in others if (each / ACTIVATIONS).is_dir()]
    for folder in unfinished[1:]:
        with suppress(Explained, OSError), _alone(folder):
            shutil.rmtree(folder / ACTIVATIONS, ignore_errors=True)
    shown = {analysis.folder for analysis in _shown}
    for folder in others[MOST - 1 :]:
        if folder not in shown:
            with suppress(Explained, OSError):
                _remove(folder)


def is_ours(folder: Path) -> bool:
    """Whether a folder was made by us, under that name."""
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
        return bool(mark["made_by"] == _OWN_NAME and mark["name"] == folder.name) and not folder.is_symlink()
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _mark(folder: Path, settings: Mapping[str, Any]) -> None:
    """Make a folder, and say in it that we did; note that it is used."""
    mark = folder / MARK
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):  # one that was there without our mark stays without
        folder.mkdir()
        said = {"made_by": _OWN_NAME, "name": folder.name, "settings": dict(settings)}
        mark.write_text(json.dumps(said, indent=2, default=str) + "\n", encoding="utf-8")
    with suppress(OSError):
        os.utime(mark)


def _used(folder: Path) -> float:
    return (folder / MARK).stat().st_mtime


def _remove(folder: Path) -> None:
    """Remove what we have put in a folder, and the folder if that was all."""
    with _alone(folder):
        shutil.rmtree(folder / ACTIVATIONS, ignore_errors=True)
        forget(folder)
        (folder / MARK).unlink()
    (folder / LOCK).unlink(missing_ok=True)
    folder.rmdir()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Within the block no other window works in the folder."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Explained(f"Another window works in {folder}. Wait for it, or keep results elsewhere.") from None
    try:
        yield
    finally:
        lock.release()
