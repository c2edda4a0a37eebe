"""What there is to say of each kind of things in a collection; no Qt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from napari_what_where.progress import Progress, Report

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.collection.report.types import Box, ReportImage


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
    """All clusters of a collection, by number. Cost: two passes over what is kept of the images; for a worker thread.

    ``report`` may raise ``Cancelled``.
    """
    from napari_what_where.collection.report.typical import Example, overview, typical_regions
    from napari_what_where.collection.summary import image_of

    good = [number for number in range(len(analysis)) if number not in analysis.failures]

    def images(done: int) -> Iterator[ReportImage]:
        for number in good:
            report(Progress("kinds", done, 2 * len(good)))
            yield image_of(analysis, number, names[number], partial(analysis.images.__getitem__, number))
            done += 1

    seen = overview(images(0), analysis.clusters)
    best: dict[int, Example] = {}
    for number, image in zip(good, images(len(good)), strict=True):
        for cluster, example in typical_regions(image, number, seen.centres):
            best[cluster] = min(example, best.get(cluster, example))
    return [
        Kind(
            number=cluster + 1,
            share=float(seen.shares[:, cluster].mean()),
            images=int(np.count_nonzero(seen.shares[:, cluster])),
            typical=(best[cluster + 1].image, best[cluster + 1].box) if cluster + 1 in best else None,
        )
        for cluster in range(analysis.clusters)
    ]
