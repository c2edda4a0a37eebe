"""Eigenvectors cut into clusters without regard to place, and how many there seem to be."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import checkpoint

STARTS = 4
"""Of k-means, of which the best counts."""
LATER = 4
"""Gaps that are needed after one to say that it stands out."""
SAMPLE = 2000
"""Tokens that silhouettes are taken over: the cost is quadratic in them."""


def cluster_qr(vectors: np.ndarray) -> np.ndarray:
    """Clusters 0 … k − 1 of tokens from exactly k eigenvectors, without a random start or iterations.

    See :func:`indicators`: each token belongs to the indicator that is largest at it.

    Parameters
    ----------
    vectors : (tokens, k) float
        Orthonormal columns.

    Returns
    -------
    (tokens,) int64

    Notes
    -----
    Cost: O(tokens · k²).
    """
    return indicators(vectors).argmax(axis=1)


def indicators(vectors: np.ndarray) -> np.ndarray:
    """Orthonormal (tokens, k) ``vectors`` rotated towards indicators of clusters; magnitudes.

    A pivoted QR of the transpose picks k tokens that stand for the clusters; the orthogonal matrix nearest to their
    rows makes the rotation (Damle, Minden & Ying 2019, "Simple, direct and efficient multi-way spectral clustering",
    algorithm 1).
    """
    from scipy.linalg import qr, svd

    pivots = qr(vectors.T, mode="r", pivoting=True)[1][: vectors.shape[1]]
    left, _, right = svd(vectors[pivots].T)
    return np.abs(vectors @ (left @ right))


def kmeans(
    points: np.ndarray, count: int, *, weights: np.ndarray | None = None, seed: int = 0, starts: int = STARTS
) -> np.ndarray:
    """Clusters 0 … count − 1 of (points, coordinates), best of some ``starts``; deterministic for a ``seed``.

    One start after the other, with a checkpoint between: the same numbers as those of one call for all.
    """
    from sklearn.cluster import KMeans

    checkpoint()
    count = min(count, len(np.unique(points, axis=0)))
    points = np.asarray(points, np.float64)
    draws = np.random.RandomState(seed)
    best: Any = None
    for _ in range(starts):
        checkpoint()
        model = KMeans(count, n_init=1, random_state=draws).fit(points, sample_weight=weights)
        # The same clusters may be told from another start with another rounding; the first numbering stays.
        if best is None or (model.inertia_ < best.inertia_ and not _same(model.labels_, best.labels_)):
            best = model
    return best.labels_.astype(np.int64)


def _same(labels: np.ndarray, others: np.ndarray) -> bool:
    """Whether two clusterings into as many clusters differ in their numbers alone."""
    count = int(others.max()) + 1
    return len(np.unique(labels.astype(np.int64) * count + others)) == len(np.unique(labels)) == len(np.unique(others))


def clusters(embedding: Embedding, count: int | str = "eigengap", *, method: str = "qr") -> np.ndarray:
    """Cluster the tokens of an embedding by its leading sharp vectors: (grid_rows, grid_columns) int64, from 0.

    Parameters
    ----------
    count : int, "eigengap" or "silhouette"
        The number of clusters, also of the vectors used: those beyond the gap only lose (Ng, Jordan & Weiss 2002 use
        as many). See :func:`count_by_eigengap` and :func:`count_by_silhouette`.
    method : "qr" or "kmeans"
        :func:`cluster_qr`, or k-means on the same vectors with rows of unit length (Ng, Jordan & Weiss 2002).

    Raises
    ------
    ValueError
        For another method or number, or more clusters than vectors.
    """
    if method not in ("qr", "kmeans"):
        raise ValueError(f"method is {method!r}; expected 'qr' or 'kmeans'.")
    if count == "eigengap":
        count = count_by_eigengap(embedding.sharp_values)
    elif count == "silhouette":
        count = count_by_silhouette(embedding)
    if isinstance(count, (str, bool)) or not 1 <= count <= embedding.count:
        raise ValueError(
            f"count is {count!r}; expected 'eigengap', 'silhouette' or a number of clusters from 1 to "
            f"{embedding.count}, the number of eigenvectors. Compute more of them for more clusters."
        )
    vectors = _leading(embedding, count)
    found = cluster_qr(vectors) if method == "qr" else kmeans(_unit_rows(vectors), count)
    return found.reshape(embedding.grid)


def count_by_eigengap(values: np.ndarray, least: int = 2) -> int:
    """How many eigenvalues come before the gap that stands out, at least ``least``.

    With gᵢ = log λᵢ − log λᵢ₊₁, the i that maximises √gᵢ · gᵢ / max gⱼ over j > i: a gap that is wide, and wider than
    any after it, as the spectrum of noise has none. (von Luxburg 2007, section 8.3, takes the widest λᵢ − λᵢ₊₁, which
    favours the first few where eigenvalues fall fast.) Measured on planted
    cases by ``benchmarks/discretisation.py``.

    Parameters
    ----------
    values : (count,) float
        Eigenvalues, descending; of an embedding, its ``sharp_values``. Give some more than there may be clusters: the
        last four are not considered.
    """
    values = np.asarray(values, np.float64)
    top = float(np.abs(values).max(initial=0.0))
    if len(values) <= least or top == 0:
        return max(1, min(len(values), least))
    logs = np.log(np.maximum(values, 1e-6 * top))
    gaps = logs[least - 1 : -1] - logs[least:]
    considered = max(1, len(gaps) - LATER)
    later = np.array([gaps[i + 1 :].max(initial=0.0) for i in range(considered)])
    # A trace, so that zeros among exact ones stand in no one's way.
    return int((gaps[:considered] ** 1.5 / (later + 1e-3)).argmax()) + least


def count_by_silhouette(embedding: Embedding, counts: range | None = None) -> int:
    """The number of clusters, of ``counts`` (by default 2 … all vectors), with the best mean silhouette.

    Each number is clustered by, and judged in, the :func:`indicators` from as many leading sharp vectors, with rows of
    unit length. Rousseeuw 1987, on about ``SAMPLE`` tokens at even steps. Cost: SAMPLE² distances for each number.
    """
    from sklearn.metrics import silhouette_score

    best, answer = -np.inf, 1
    for count in counts or range(2, embedding.count + 1):
        checkpoint()
        rows = _unit_rows(indicators(_leading(embedding, count)))
        step = max(1, len(rows) // SAMPLE)
        some, found = rows[::step], rows.argmax(axis=1)[::step]
        if 1 < len(np.unique(found)) < len(found):
            score = float(silhouette_score(some, found))
            if score > best - 1e-9:  # of equal ones the finer
                best, answer = max(score, best), count
    return answer


def _leading(embedding: Embedding, count: int) -> np.ndarray:
    return embedding.sharp_vectors[:count].reshape(count, -1).T.astype(np.float64)


def _unit_rows(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
