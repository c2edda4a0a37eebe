"""The measures straight from their definitions: slow, and written without looking at the fast ones."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from scipy.optimize import linear_sum_assignment


def covering(labels: np.ndarray, truth: np.ndarray) -> float:
    total = 0.0
    for region in np.unique(truth):
        inside = truth == region
        total += inside.sum() * max(iou(inside, labels == other) for other in np.unique(labels))
    return total / truth.size


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / max((first | second).sum(), 1))


def rand_index(labels: np.ndarray, truth: np.ndarray) -> float:
    """Over all pairs of two different pixels."""
    together, apart = (plane.ravel()[:, None] == plane.ravel()[None] for plane in (labels, truth))
    pairs = ~np.eye(labels.size, dtype=bool)
    return float((together == apart)[pairs].mean())


def variation(labels: np.ndarray, truth: np.ndarray) -> float:
    """Σ p(a, b) · (log₂ p(a)/p(a, b) + log₂ p(b)/p(a, b)), over pixels."""
    ours, theirs = labels.ravel(), truth.ravel()
    surprise = 0.0
    for a, b in zip(ours, theirs, strict=True):
        both = ((ours == a) & (theirs == b)).mean()
        surprise += np.log2((ours == a).mean() / both) + np.log2((theirs == b).mean() / both)
    return float(surprise / len(ours))


def double_size_boundaries(labels: np.ndarray) -> np.ndarray:
    """The Berkeley benchmark's seg2bdry, pixel by pixel: edges between pixels, then the corners beside an edge."""
    rows, columns = labels.shape
    edges = np.zeros((2 * rows + 1, 2 * columns + 1), bool)
    for r in range(rows):
        for c in range(columns):
            if r + 1 < rows:
                edges[2 * r + 2, 2 * c + 1] = labels[r, c] != labels[r + 1, c]
            if c + 1 < columns:
                edges[2 * r + 1, 2 * c + 2] = labels[r, c] != labels[r, c + 1]
    corners = edges.copy()
    for r in range(2, 2 * rows, 2):
        for c in range(2, 2 * columns, 2):
            corners[r, c] = edges[r - 1, c] | edges[r + 1, c] | edges[r, c - 1] | edges[r, c + 1]
    corners[-1], corners[:, -1] = corners[-2], corners[:, -2]
    return corners[2::2, 2::2]


def assigned(first: np.ndarray, second: np.ndarray, radius: float) -> int:
    """Matched pixels by a dense assignment in which pixels left over cost more than all others."""
    ours, theirs = np.argwhere(first), np.argwhere(second)
    if not len(ours) or not len(theirs):
        return 0
    distance = np.linalg.norm(ours[:, None] - theirs[None], axis=2)
    cost = np.where(distance <= radius, distance, 1000)
    rows, columns = linear_sum_assignment(cost)
    return int((distance[rows, columns] <= radius).sum())


def decode_oracle(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Every region painted with its most frequent class."""
    painted = np.full(labels.shape, -1)
    for region in np.unique(labels):
        seen = classes[(labels == region) & (classes >= 0)]
        if seen.size:
            painted[labels == region] = np.bincount(seen).argmax()
    return painted


def most_matched(labels: np.ndarray, classes: np.ndarray) -> int:
    """The most pixels that any one-to-one matching of regions and classes gets right."""
    regions, kinds = np.unique(labels).tolist(), np.unique(classes[classes >= 0]).tolist()
    kinds += [-2] * max(len(regions) - len(kinds), 0)
    return max(
        sum(int(((labels == region) & (classes == kind)).sum()) for region, kind in zip(regions, chosen, strict=True))
        for chosen in permutations(kinds, len(regions))
    )


def mean_iou(pairs: list[tuple[np.ndarray, np.ndarray]]) -> float:
    """Painted and true class maps of all images as one long row of pixels; only classes that occur in the truth."""
    ours, theirs = (np.concatenate([pair[i].ravel() for pair in pairs]) for i in (0, 1))
    ours, theirs = ours[theirs >= 0], theirs[theirs >= 0]
    return float(np.mean([iou(ours == kind, theirs == kind) for kind in np.unique(theirs)]))


def coco_ap(images: list[tuple[list[np.ndarray], list[np.ndarray]]], threshold: float) -> float:
    """Average precision at one threshold, all confidences equal: objects in order, each takes the best free one."""
    hits, total = [], 0
    for found, truth in images:
        total += len(truth)
        free = list(range(len(truth)))
        for one in found:
            best = max(free, key=lambda k, one=one: iou(one, truth[k]), default=None)
            hit = best is not None and iou(one, truth[best]) >= threshold
            hits.append(hit)
            if hit:
                free.remove(best)
    matched = np.cumsum(hits)
    precision, recall = matched / np.arange(1, len(hits) + 1), matched / total
    points = np.linspace(0, 1, 101)
    return float(np.mean([max(precision[recall >= point], default=0.0) for point in points]))


def dsb_score(found: list[np.ndarray], truth: list[np.ndarray], threshold: float) -> float:
    """Matched / (matched + false + missed), for objects that do not overlap."""
    matched = sum(iou(one, other) >= threshold for one in found for other in truth)
    return matched / (len(found) + len(truth) - matched)
