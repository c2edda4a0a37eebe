"""Objects against true objects, whatever their class: average precision as COCO has it, and the micrographs' score.

Masks are pycocotools' run-length encodings, so that objects may overlap and many fit into memory.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""Intersections over union from which a match counts (Lin et al., ECCV 2014)."""


class Instance(NamedTuple):
    """One true object: its mask, encoded; ``crowd`` if it stands for several, or for what is not to be judged."""

    mask: Mapping[str, Any]
    crowd: bool = False


def require_pycocotools() -> Any:
    """The mask module of pycocotools; ``ModuleNotFoundError`` that says what to install where it is missing."""
    try:
        from pycocotools import mask
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "Figures of instances and COCO's masks need pycocotools, which is not installed. "
            'Run: pip install "napari-what-where[evaluate]"'
        ) from None
    return mask


def encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """Encode (N, rows, columns) bool masks; the counts are text, so that they go into JSON."""
    encoded = require_pycocotools().encode(np.asfortranarray(np.moveaxis(masks, 0, -1).astype(np.uint8)))
    return [{"size": list(one["size"]), "counts": one["counts"].decode("ascii")} for one in encoded]


def encode_labels(labels: np.ndarray) -> dict[int, dict[str, Any]]:
    """The mask of each positive label of a (rows, columns) label image, by label. Memory: one plane at a time."""
    return {int(label): encode((labels == label)[None])[0] for label in np.unique(labels[labels > 0])}


def compare(objects: np.ndarray, truth: Sequence[Instance], void: np.ndarray | None = None) -> dict[str, Any]:
    """All that the figures of a data set need from one image, ready for JSON.

    ``objects``: (rows, columns) labels, 0 = background; ``void``: (rows, columns) bool, pixels that belong to nobody.
    """
    visible = objects if void is None else np.where(void, 0, objects)
    found = list(encode_labels(visible).values())
    return {
        "size": list(objects.shape),
        "found": [mask["counts"] for mask in found],
        "truth": [as_text(one.mask["counts"]) for one in truth],
        "crowd": [int(one.crowd) for one in truth],
        "dsb": dsb_matches(found, truth),
    }


def as_text(counts: str | bytes) -> str:
    """Encoded counts as text, which pycocotools takes as well as bytes."""
    return counts.decode("ascii") if isinstance(counts, bytes) else counts


def dsb_matches(found: Sequence[Mapping[str, Any]], truth: Sequence[Instance]) -> dict[str, list[float]]:
    """Matched, false and missed objects and the summed IoU of the matched, each at every one of ``THRESHOLDS``.

    One object matches at most one true object (the most matches, then the largest IoU: Kuhn 1955). An object that
    matches none and lies by at least the threshold in a crowd is not judged, as in COCO.
    """
    from scipy.optimize import linear_sum_assignment

    things = [one.mask for one in truth if not one.crowd]
    overlap = _iou(found, things, [0] * len(things))
    crowds = [one.mask for one in truth if one.crowd]
    hidden = _iou(found, crowds, [1] * len(crowds)).max(axis=1, initial=0)
    result: dict[str, list[float]] = {"matched": [], "false": [], "missed": [], "iou": []}
    for threshold in THRESHOLDS:
        close = overlap >= threshold
        # Any match outweighs what all IoUs together can be.
        rows, columns = linear_sum_assignment(np.where(close, 1 + overlap / (min(overlap.shape) + 1), 0), maximize=True)
        rows, columns = rows[close[rows, columns]], columns[close[rows, columns]]
        alone = np.setdiff1d(np.arange(len(found)), rows)
        result["matched"].append(len(rows))
        result["false"].append(int((hidden[alone] < threshold).sum()))
        result["missed"].append(len(things) - len(rows))
        result["iou"].append(float(overlap[rows, columns].sum()))
    return result


def _iou(found: Sequence[Any], masks: Sequence[Any], crowd: list[int]) -> np.ndarray:
    """(found, masks) IoU; with a crowd, the share of the found object that lies in it."""
    if not found or not masks:
        return np.zeros((len(found), len(masks)))
    # pycocotools wants true dictionaries of two keys.
    plain = [[{"size": one["size"], "counts": one["counts"]} for one in group] for group in (found, masks)]
    return np.asarray(require_pycocotools().iou(*plain, crowd))


def dsb_scores(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Scores of the 2018 Data Science Bowl (Caicedo et al., Nature Methods 2019), means over images.

    ``DSB score@0.5``: matched / (matched + false + missed) at IoU 0.5, which StarDist calls average precision
    (Schmidt, Weigert, Broaddus & Myers, MICCAI 2018); ``DSB score``: its mean over ``THRESHOLDS``;
    ``mean matched IoU@0.5``: of all matched pairs. Images with neither objects nor true objects do not count.
    """
    keys = ("matched", "false", "missed")
    counts = np.array([[record["dsb"][key] for key in keys] for record in records], float).reshape(-1, 3, 10)
    total = counts.sum(axis=1)
    judged = total[:, 0] > 0
    scores = counts[judged, 0] / np.maximum(total[judged], 1)
    iou = sum(record["dsb"]["iou"][0] for record in records)
    matched = counts[:, 0, 0].sum()
    return {
        "DSB score@0.5": float(scores[:, 0].mean()) if len(scores) else float("nan"),
        "DSB score": float(scores.mean()) if len(scores) else float("nan"),
        "mean matched IoU@0.5": iou / matched if matched else float("nan"),
    }


def coco_scores(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Class-agnostic average precision and recall of all images together, by pycocotools' COCOeval.

    ``AP (COCO)`` is the mean over ``THRESHOLDS``, ``AP@0.5 (COCO)`` and ``AR (COCO)`` as named there. Any number of
    objects an image counts. Objects of a label image have no confidence: all have 1, COCOeval then takes them in
    order, and the average precision is close to precision times recall. NaN where there is no true object.
    """
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth, found, most = _as_coco(records)
        evaluation = COCOeval(truth, found, "segm")
        evaluation.params.useCats = 0
        evaluation.params.maxDets = [most]
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    precision, recall = (np.where(evaluation.eval[key] < 0, np.nan, evaluation.eval[key]) for key in _COCO_FIGURES)
    return {
        "AP (COCO)": float(precision.mean()),
        "AP@0.5 (COCO)": float(precision[0].mean()),
        "AR (COCO)": float(recall.mean()),
    }


_COCO_FIGURES = ("precision", "recall")


def _as_coco(records: Sequence[Mapping[str, Any]]) -> tuple[Any, Any, int]:
    """Truth and found objects as two COCO data sets, and the most found in one image."""
    from pycocotools.coco import COCO

    mask = require_pycocotools()
    sides: dict[str, list[dict[str, Any]]] = {"truth": [], "found": []}
    for image, record in enumerate(records, 1):
        for side, entries in sides.items():
            for index, counts in enumerate(record[side]):
                encoded = {"size": record["size"], "counts": counts}
                crowd = record["crowd"][index] if side == "truth" else 0
                entry = {"id": len(entries) + 1, "image_id": image, "category_id": 1, "segmentation": encoded}
                entries.append(entry | {"area": float(mask.area(encoded)), "iscrowd": crowd, "score": 1.0})
    images = [
        {"id": image, "height": record["size"][0], "width": record["size"][1]}
        for image, record in enumerate(records, 1)
    ]
    both = []
    for entries in sides.values():
        data = COCO()
        data.dataset = {
            "images": images,
            "categories": [{"id": 1}],
            "annotations": entries,
        }
        data.createIndex()
        both.append(data)
    return both[0], both[1], max((len(record["found"]) for record in records), default=1) or 1
