"""Which files in a folder of results earlier runs wrote, so that those which the next one does not replace can go.

Its record says so when a run is complete. While one is at work there is none, so names are noted in its working folder:
those of the runs before, and its own, each before the file is there.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_what_where.collection.outputs import RECORD, joined_names
from napari_what_where.files.encoding import atomic_path, discard
from napari_what_where.files.export import output_paths
from napari_what_where.files.formats.registry import check_replaceable, parse_formats

_NOTE = "written.txt"


@dataclass(frozen=True, eq=False)
class EarlierFiles:
    """Results in the folder ``out``, noted in the folder ``working``; ``inputs`` are never among them."""

    out: Path
    working: Path
    inputs: Sequence[Path]

    @property
    def note(self) -> Path:
        """One name a line, as JSON."""
        return self.working / _NOTE

    def begin(self) -> frozenset[str]:
        """The names of all that earlier runs wrote and that may be there, noted from now on."""
        names = frozenset(self._recorded() | self._noted())
        with atomic_path(self.note) as temporary:
            temporary.write_text(_lines(names), encoding="utf-8")
        return names

    def claim(self, paths: Iterable[Path], earlier: Collection[str]) -> None:
        """Note what is about to be written; but what is there and not of an earlier run, which is someone else's."""
        names = [path.name for path in paths if path.name in earlier or not path.exists()]
        with self.note.open("a", encoding="utf-8") as file:
            file.write(_lines(names))

    def remove(self, names: Iterable[str], kept: Iterable[str]) -> None:
        """Remove files of these names but for those ``kept``, or whose names differ from theirs in case alone.

        Raises ``OSError`` for one that cannot be removed.
        """
        spared, taken = {name.casefold() for name in kept}, self._taken_over(names := frozenset(names))
        inputs = {os.path.realpath(path) for path in self.inputs}
        for path in (self.out / name for name in sorted(names) if name.casefold() not in spared):
            if path.name.startswith(taken):
                continue
            if os.path.realpath(path) not in inputs and _is_result(path):
                discard(path)

    def _taken_over(self, names: Collection[str]) -> tuple[str, ...]:
        """How the names of images begin whose record is not a collection's now: another command wrote there since."""
        stems = [name.removesuffix("_eigenvectors.tif") for name in names if name.endswith("_eigenvectors.tif")]
        return tuple(
            f"{stem}{sign}" for stem in stems if not _is_collections(self.out / f"{stem}.json") for sign in "._"
        )

    def end(self) -> None:
        """The record names them now."""
        self.note.unlink(missing_ok=True)

    def _recorded(self) -> set[str]:
        try:
            return names_in(json.loads((self.out / RECORD).read_text(encoding="utf-8")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):  # no record of ours
            return set()

    def _noted(self) -> set[str]:
        names = set()
        try:
            lines = self.note.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            return set()
        for line in lines:
            try:
                names.add(json.loads(line))
            except ValueError:  # the process was killed while it wrote it
                continue
        return {name for name in names if _is_name(name)}


def names_in(record: Mapping[str, Any]) -> set[str]:
    """The names of all results of images that a run's record vouches for. Raises what reading another's raises."""
    formats = parse_formats(record["request"]["formats"])
    good = [about for about in record["images"] if not {"failed", "unwritten"} & about.keys()]
    names = {
        path.name for about in good if _is_name(about["stem"]) for path in output_paths("", about["stem"], formats)
    }
    return names | (set(joined_names(formats)) if len(good) > 1 else set())


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", ".", "..") and Path(name).name == name and "\\" not in name


def _is_collections(record: Path) -> bool:
    """Whether the record of an image is of a collection, or there is none."""
    try:
        return "collection" in json.loads(record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True
    except (OSError, ValueError, TypeError):
        return False


def _is_result(path: Path) -> bool:
    """A file, or a folder that was exported from here."""
    try:
        check_replaceable([path])
    except ValueError:
        return False
    return path.is_symlink() or path.is_file() or path.name.lower().endswith(".zarr")


def _lines(names: Iterable[str]) -> str:
    return "".join(f"{json.dumps(name)}\n" for name in sorted(names))
