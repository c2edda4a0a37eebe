"""What there is to say of each kind of things in a collection."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_what_where.collection.kept import Kept
from napari_what_where.files.encoding import atomic_path
from napari_what_where.progress import Progress, Report

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.collection.report.types import Box


class Kind(NamedTuple):
    """One cluster.

    ``share``: part of all images that it covers, each weighing the same; ``images``: in how many it is;
    ``typical``: number of the image, and rows and columns in it, where it is most itself, None if it is nowhere.
    """

    number: int
    share: float
    images: int
    typical: tuple[int, Box] | None


def describe_kinds(analysis: CollectionAnalysis, names: Sequence[str], report: Report) -> list[Kind]:
    """All clusters of a collection, by number; kept beside its labels, and read from there when they are asked again.

    Cost: one pass over what is kept of the images; for a worker thread. ``report`` may raise ``Cancelled``.
    """
    if analysis.folder is None:
        raise LookupError("Only the projection was loaded, without the images that it was made from.")
    path = Kept.of(analysis.folder, analysis.provenance["options"]).kinds
    made_at = analysis.provenance["made_at"]
    kinds = _read(path, made_at)
    if kinds is None:
        kinds = _describe(analysis, names, report)
        _write(path, made_at, kinds)
    return kinds


def _describe(analysis: CollectionAnalysis, names: Sequence[str], report: Report) -> list[Kind]:
    from napari_what_where.collection.report.typical import Example, shares_of, typical_regions
    from napari_what_where.collection.summary import image_of

    good = [number for number in range(len(analysis)) if number not in analysis.failures]
    count, centres = analysis.clusters, analysis.projector.clusters.centres
    shares = np.zeros((len(good), count))
    best: dict[int, Example] = {}
    for done, number in enumerate(good):
        report(Progress("kinds", done, len(good)))
        image = image_of(analysis, number, names[number], partial(analysis.images.__getitem__, number))
        shares[done] = shares_of(image.labels, count)
        for cluster, example in typical_regions(image, number, centres):
            best[cluster] = min(example, best.get(cluster, example))
    return [
        Kind(
            number=cluster + 1,
            share=float(shares[:, cluster].mean()),
            images=int(np.count_nonzero(shares[:, cluster])),
            typical=(best[cluster + 1].image, best[cluster + 1].box) if cluster + 1 in best else None,
        )
        for cluster in range(count)
    ]


def _write(path: Path, made_at: str, kinds: Sequence[Kind]) -> None:
    """Keep them with the run that they are of; where that cannot be written they are found again."""
    told: list[dict[str, Any]] = []
    for kind in kinds:
        image, box = kind.typical or (None, ())
        typical = [image, *(edge for lines in box for edge in (lines.start, lines.stop))] if box else None
        told.append({**kind._asdict(), "typical": typical})
    with suppress(OSError), atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"made_at": made_at, "kinds": told}) + "\n", encoding="utf-8")


def _read(path: Path, made_at: str) -> list[Kind] | None:
    """Those of the run that was ``made_at`` that time, if they were kept."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["made_at"] != made_at:
            return None
        kinds = []
        for each in kept["kinds"]:
            typical = None
            if each["typical"] is not None:
                image, top, bottom, left, right = each["typical"]
                typical = image, (slice(top, bottom), slice(left, right))
            kinds.append(Kind(each["number"], each["share"], each["images"], typical))
        return kinds
    except (OSError, ValueError, KeyError, TypeError):  # nothing there, or nothing of ours
        return None
