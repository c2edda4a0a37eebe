"""What is done to objects on the plane on screen or, of a stack, on every one: each time one step of undo."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_what_where.progress import Progress, Report
from napari_what_where.widgets.refine.editing import Change, prepare
from napari_what_where.widgets.refine.target import Plane, every_plane

if TYPE_CHECKING:
    from napari_what_where.refinement.edit import Edit

HERE, EVERYWHERE = " on this plane", " on all planes"


class Found(NamedTuple):
    """The changes of all planes, what is to be said of them, and the label that it was about."""

    changes: list[Change]
    said: str
    focus: int | None = None


def planes_of(plane: Plane, *, every: bool) -> list[Plane]:
    """The plane, or every one of its layer."""
    return list(every_plane(plane)) if every else [plane]


def where(planes: Sequence[Plane]) -> str:
    """Which planes these are, to end a sentence with; nothing where there is only one."""
    return EVERYWHERE if len(planes) > 1 else HERE if planes[0].of_several else ""


def said_where(said: str, planes: Sequence[Plane]) -> str:
    """A sentence that says on which planes."""
    return f"{said.rstrip('.')}{where(planes)}."


def delete(planes: Sequence[Plane], gone: Collection[int], said: str, report: Report) -> Found:
    """Make objects background."""
    from napari_what_where.refinement.edit import edit_where, is_among

    changes = _each(planes, lambda labels: edit_where(labels, is_among(labels, gone), 0, said), report)
    return Found(changes, said_where(said, planes) if changes else "There was nothing to delete.")


def join(
    planes: Sequence[Plane], members: Collection[int], into: int | None, locked: Collection[int], report: Report
) -> Found:
    """Make objects one: ``into``, or that which is the largest on all these planes together, of equal ones the lowest.

    Raises ``ValueError``, in words, for background and locked labels.
    """
    from napari_what_where.refinement.regions import merge

    if len(planes) == 1:
        plane, labels = planes[0], next(_read(planes, report))
        edit = merge(labels, members, into=into, locked=locked)
        change = prepare(plane, edit, labels)
        return (
            Found([], edit.said, edit.focus)
            if change is None
            else Found([change], said_where(edit.said, planes), edit.focus)
        )
    sizes = _sizes(planes, members, report)
    target = max(sizes, key=lambda label: (sizes[label], -label), default=None) if into is None else into
    changes = _each(planes, lambda labels: merge(labels, members, into=target, locked=locked), report)
    if not changes:
        return Found([], "Nothing to merge: choose at least two objects.", target)
    return Found(changes, said_where(f"{len({*sizes, target})} objects are now object {target}.", planes), target)


def _sizes(planes: Sequence[Plane], members: Collection[int], report: Report) -> Counter[int]:
    """Pixels of each of the members that there is, on all planes together."""
    from napari_what_where.refinement.edit import is_among

    sizes: Counter[int] = Counter()
    for labels in _read(planes, report):
        names, counts = np.unique(labels[is_among(labels, members)], return_counts=True)
        sizes.update(dict(zip(names.tolist(), counts.tolist(), strict=True)))
    return sizes


def others(planes: Sequence[Plane], selected: Collection[int], report: Report) -> set[int]:
    """All objects but the selected ones."""
    found: set[int] = set()
    for labels in _read(planes, report):
        found.update(np.unique(labels).tolist())
    return found - {0, *selected}


def _each(planes: Sequence[Plane], work: Callable[[np.ndarray], Edit], report: Report) -> list[Change]:
    pairs = zip(planes, _read(planes, report), strict=True)
    changes = [prepare(plane, work(labels), labels) for plane, labels in pairs]
    return [change for change in changes if change is not None]


def _read(planes: Sequence[Plane], report: Report) -> Iterator[np.ndarray]:
    for number, plane in enumerate(planes):
        report(Progress("plane", number, len(planes)))
        yield np.array(plane.read())  # the user may paint meanwhile
