"""What is a boundary of the whole image, and not only next to it: eigenvectors of the graph of leaves."""

from __future__ import annotations

import numpy as np

from napari_what_where.progress import checkpoint
from napari_what_where.segments.coordinates import MOST
from napari_what_where.segments.graph import RegionGraph

EIGENVECTORS = 12
REACH = 0.15
"""ρ of the affinity, in units of the image's contrast."""
LEAST_CONTRAST = 1e-3
"""Contrast below this is rounding, and no structure is sought in it."""


def dissimilarity(graph: RegionGraph) -> np.ndarray:
    """√(½ |difference|² + ½ edge²) across each boundary, (boundaries,) float64."""
    first, second = graph.pairs.T
    difference = graph.features[first] - graph.features[second]
    return np.sqrt(0.5 * np.einsum("ij,ij->i", difference, difference) + 0.5 * graph.edges**2)


def contrast(graph: RegionGraph) -> float:
    """How much neighbouring leaves differ where they differ: the 0.9 quantile of :func:`dissimilarity`; 0 for one."""
    return float(np.quantile(dissimilarity(graph), 0.9)) if len(graph.pairs) else 0.0


def spectral_gradient(graph: RegionGraph) -> np.ndarray:
    """How much the eigenvectors of the graph change across each boundary, (boundaries,) float64, dimensionless.

    The "globalisation" of Arbelaez et al. 2011, section 3.2, on the graph of leaves: neighbours are alike by
    exp(−dissimilarity / ρ) (their eq. 10) times the length of their boundary, (D − W) v = λ D v (eq. 11), and the
    gradients of the eigenvectors are weighted by 1 / √λ (eq. 14; squares are summed here). Closed contours raise
    it all along, gaps included; edges inside a texture do not. With ρ relative to the contrast of the image, scaling
    the dissimilarities changes nothing.

    Notes
    -----
    Cost: one sparse factorisation and some thirty solves, 0.02 s for 1500 leaves and 1 s for 43,000. Eigenvectors have
    unit mean square over the image's area, and are clipped so that a few outlying leaves do not hide the rest. Fewer
    than three leaves, or no contrast, give zeros.
    """
    from scipy import sparse

    strength, scale, count = dissimilarity(graph), contrast(graph), len(graph.areas)
    if count < 3 or scale < LEAST_CONTRAST:
        return np.zeros(len(graph.pairs))
    first, second = graph.pairs.T
    weights = np.exp(-strength / (REACH * scale)) * graph.lengths / graph.lengths.mean()
    both = np.concatenate([first, second]), np.concatenate([second, first])
    affinity = sparse.csr_array((np.concatenate([weights, weights]), both), shape=(count, count))
    values, vectors = _smallest(affinity, min(EIGENVECTORS, count - 2))
    vectors = np.clip(vectors / np.sqrt(graph.areas @ vectors**2), -MOST, MOST)
    shares = 1 / values
    gradients = (vectors[first] - vectors[second]) ** 2 @ (shares / shares.sum())
    return np.sqrt(gradients)


def _smallest(affinity, count: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[no-untyped-def]
    """The ``count`` least eigenvalues but the first of (D − W) v = λ D v, ascending, and the vectors as columns."""
    from scipy import sparse
    from scipy.sparse.linalg import LinearOperator, eigsh, splu

    # The floor isolates leaves that are like none of their neighbours: λ = 1, so that they do not come first.
    degrees = affinity.sum(axis=1) + 1e-9
    root = sparse.diags_array(1 / np.sqrt(degrees))
    laplacian = sparse.csc_array(sparse.eye_array(len(degrees)) * (1 + 1e-6) - root @ affinity @ root)
    start = np.sqrt(degrees) * (1 + 0.01 * np.sin(np.arange(len(degrees))))
    checkpoint()
    factors = splu(laplacian)
    checkpoint()

    def solve(vector: np.ndarray) -> np.ndarray:
        checkpoint()
        return factors.solve(vector)

    inverse = LinearOperator(laplacian.shape, matvec=solve, dtype=laplacian.dtype)
    values, vectors = eigsh(laplacian, k=count + 1, sigma=0, v0=start, tol=1e-3, OPinv=inverse)
    checkpoint()
    order = np.argsort(values)[1:]
    return np.maximum(values[order], 1e-6), root @ vectors[:, order]
