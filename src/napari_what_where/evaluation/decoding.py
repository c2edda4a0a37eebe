"""Region numbers given meaning by the truth: how good a semantic segmentation the regions could become.

Void pixels, negative in the truth, are ignored everywhere: they decide nothing and count nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

NOTHING = -1
"""The prediction for regions that were given no class."""


def oracle(table: np.ndarray) -> np.ndarray:
    """The class of each region: the one most of its pixels have, the first of equals; (regions,) int64.

    ``table``: (regions, classes) pixels shared. An upper bound for any labelling of these regions (as the oracle or
    "achievable" accuracy of superpixels; Liu, Tuzel, Ramalingam & Chellappa, CVPR 2011).
    """
    return np.where(table.any(axis=1), table.argmax(axis=1), NOTHING)


def hungarian(table: np.ndarray) -> np.ndarray:
    """The class of each region when regions and classes are matched one to one, within this one image.

    The matching shares as many pixels as can be (Kuhn 1955); a region without a partner gets ``NOTHING``. Region
    numbers mean nothing across images, so one matching for a whole data set, as for clusters that are shared by all
    images, is not what this is. More regions than classes are punished: what is left over counts as missed.
    """
    from scipy.optimize import linear_sum_assignment

    chosen = np.full(len(table), NOTHING)
    regions, classes = linear_sum_assignment(table, maximize=True)
    chosen[regions] = np.where(table[regions, classes] > 0, classes, NOTHING)
    return chosen


DECODERS = {"oracle": oracle, "hungarian": hungarian}


def confusion(labels: np.ndarray, classes: np.ndarray, decoder: str) -> list[list[int]]:
    """Pixels by true and predicted class, as (true, predicted, pixels) without zeros; empty where all is void.

    ``labels``: (rows, columns) from 0; ``classes``: (rows, columns), negative where void; ``decoder``: a key of
    ``DECODERS``. Predicted is ``NOTHING`` for regions without a class. Raises ``ValueError`` for shapes that differ.
    """
    from napari_what_where.evaluation.measures import contingency, truths

    known = np.unique(classes[classes >= 0])
    if not len(known):
        return []
    (table,) = contingency(labels, truths([classes]))
    chosen = DECODERS[decoder](table)
    regions, columns = np.nonzero(table)
    entries: dict[tuple[int, int], int] = {}
    for region, column in zip(regions.tolist(), columns.tolist(), strict=True):
        predicted = NOTHING if chosen[region] == NOTHING else int(known[chosen[region]])
        pair = (int(known[column]), predicted)
        entries[pair] = entries.get(pair, 0) + int(table[region, column])
    return [[true, predicted, pixels] for (true, predicted), pixels in sorted(entries.items())]


def class_ious(confusions: Iterable[list[list[int]]]) -> dict[int, float]:
    """Intersection over union of every class that the truth has, over all images together.

    Everingham, Van Gool, Williams, Winn & Zisserman, IJCV 2010: hits / (hits + false + missed).
    """
    hits: dict[int, int] = {}
    union: dict[int, int] = {}
    for entries in confusions:
        for true, predicted, pixels in entries:
            union[true] = union.get(true, 0) + pixels
            hits[true] = hits.get(true, 0) + (pixels if predicted == true else 0)
            if predicted not in (true, NOTHING):
                union[predicted] = union.get(predicted, 0) + pixels
    return {true: hits[true] / union[true] for true in sorted(hits)}


def mean_iou(confusions: Iterable[list[list[int]]]) -> float:
    """Mean of :func:`class_ious`, every class alike; NaN where there is no class at all."""
    values = list(class_ious(confusions).values())
    return float(np.mean(values)) if values else float("nan")
