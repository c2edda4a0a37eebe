"""Objects of a stack of kinds: connected parts, each with one number from frame to frame; no Qt."""

from __future__ import annotations

import numpy as np

from napari_what_where.progress import Progress, Report


def trace_objects(planes: np.ndarray, clusters: int, report: Report) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Number the connected parts of every kind, the same where one overlaps with itself on the next plane.

    Parameters
    ----------
    planes : (planes, rows, columns) int
        Kinds from 1 on; 0 is none.
    clusters : int
        The highest kind.
    report : function of one Progress
        May raise ``Cancelled``.

    Returns
    -------
    labels : (planes, rows, columns) int32
    table : columns "index", the label, "kind", and "area", "planes", "plane_min" and "plane_max"

    Notes
    -----
    Each kind is linked for itself, see :func:`~napari_what_where.segments.linking.link_images`: what changes its kind
    gets another number. Cost: some tens of milliseconds a kind and plane of 512².
    """
    from skimage.measure import label

    from napari_what_where.segments.linking import link_images

    labels = np.zeros(planes.shape, np.int32)
    owners = [0]
    for kind in range(1, clusters + 1):
        parts = np.zeros(planes.shape, np.int32)
        for number, plane in enumerate(planes):
            report(Progress(f"objects of kind {kind}", number, len(planes)))
            parts[number] = label(plane == kind, connectivity=1)
        report(Progress(f"objects of kind {kind}", 0, 0))
        linked = link_images(parts)
        inside = linked > 0
        labels[inside] = linked[inside] + (len(owners) - 1)
        owners += [kind] * int(linked.max(initial=0))
    return labels, _table(labels, np.array(owners))


def _table(labels: np.ndarray, owners: np.ndarray) -> dict[str, np.ndarray]:
    counts = np.stack([np.bincount(plane.ravel(), minlength=len(owners)) for plane in labels])
    there = np.flatnonzero(counts.sum(axis=0))
    there = there[there > 0]
    present = counts[:, there] > 0
    return {
        "index": there,
        "kind": owners[there],
        "area": counts[:, there].sum(axis=0),
        "planes": present.sum(axis=0),
        "plane_min": present.argmax(axis=0),
        "plane_max": len(labels) - 1 - present[::-1].argmax(axis=0),
    }
