"""One image's figures: what is kept of each, ready for JSON, so that a data set's follow without its images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_what_where.evaluation.datasets.types import Sample, Truth
    from napari_what_where.evaluation.segmenters import Candidate, Segmenter
    from napari_what_where.progress import Report


def measure_sample(sample: Sample, segmenter: Segmenter, measures: Sequence[str], report: Report) -> dict[str, Any]:
    """Segment one image and measure it.

    Returns ``{"image", "seconds", "scales", group: …}`` with one entry for each group of measures: ``regions`` and
    ``boundaries`` hold ``chosen`` and ``sweep``, scores or counts in the order of their tuples, None where there is
    no such segmentation; ``classes`` the confusions by decoder; ``instances`` the masks and matches.
    Raises ``ValueError`` where truth and segmentation differ in shape, and what reading and segmenting raise.
    """
    started = time.perf_counter()
    truth = sample.read()
    candidate = segmenter.segment(sample, report)
    if "instances" in measures and candidate.objects is not None:
        found = candidate.objects()  # here, so that its time counts as segmentation
        candidate = candidate._replace(objects=lambda: found)
    segmented = time.perf_counter()
    _check_shapes(candidate, truth)
    record: dict[str, Any] = {"image": sample.name, "scales": None}
    if candidate.hierarchy is not None:
        record["scales"] = candidate.hierarchy.parameters.tolist()
    for group in measures:
        record[group] = _GROUPS[group](candidate, truth)
    seconds = {"segmentation": segmented - started, "measures": time.perf_counter() - segmented}
    return record | {"seconds": {name: round(value, 3) for name, value in seconds.items()}}


def _check_shapes(candidate: Candidate, truth: Truth) -> None:
    ours = candidate.labels if candidate.hierarchy is None else candidate.hierarchy.leaves
    planes = [*truth.segmentations, *([] if truth.classes is None else [truth.classes])]
    for plane in planes:
        if ours is not None and ours.shape != plane.shape:
            raise ValueError(f"The segmentation has shape {ours.shape}; expected {plane.shape}, the truth's.")


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Any labels as 0, 1, …, so that a table of them is small."""
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def _regions(candidate: Candidate, truth: Truth) -> dict[str, Any]:
    from napari_what_where.evaluation.measures import contingency, score, truths

    columns = truths(truth.segmentations)
    labels, hierarchy = candidate.labels, candidate.hierarchy
    return {
        "chosen": None if labels is None else score(contingency(_numbered(labels), columns)),
        "sweep": None if hierarchy is None else hierarchy.scores(columns),
    }


def _boundaries(candidate: Candidate, truth: Truth) -> dict[str, Any]:
    from napari_what_where.evaluation.boundaries import boundary_map, compare

    theirs = [boundary_map(segmentation) for segmentation in truth.segmentations]
    void = np.all([segmentation < 0 for segmentation in truth.segmentations], axis=0)
    labels, hierarchy = candidate.labels, candidate.hierarchy
    return {
        "chosen": None if labels is None else compare(boundary_map(np.where(void, -1, _numbered(labels))), theirs),
        "sweep": None if hierarchy is None else hierarchy.boundary_counts(theirs, void),
    }


def _classes(candidate: Candidate, truth: Truth) -> dict[str, Any]:
    from napari_what_where.evaluation.decoding import DECODERS, confusion

    if candidate.labels is None or truth.classes is None:
        raise ValueError("Figures of classes need one segmentation and a map of classes.")
    return {decoder: confusion(_numbered(candidate.labels), truth.classes, decoder) for decoder in DECODERS}


def _instances(candidate: Candidate, truth: Truth) -> dict[str, Any]:
    from napari_what_where.evaluation.instances import compare

    if candidate.objects is None or truth.instances is None:
        raise ValueError("Figures of instances need objects and true objects.")
    return compare(candidate.objects(), truth.instances(), truth.void)


_GROUPS = {"regions": _regions, "boundaries": _boundaries, "classes": _classes, "instances": _instances}
