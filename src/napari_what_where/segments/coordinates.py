"""Eigenvectors as coordinates in which regions can be compared."""

from __future__ import annotations

import numpy as np

from napari_what_where.embedding.types import Embedding

MOST = 4.0
"""Coordinates are clipped here: a few outlying tokens must not stretch the rest."""


def embedding_coordinates(embedding: Embedding, time: float = 0.5) -> np.ndarray:
    """Dimensionless coordinates of the tokens, (grid_rows, grid_columns, coordinates) float32.

    Under degree normalisation the first eigenvector is D^½ 1, and the others divided by it are the eigenvectors of
    the random walk, in which a cluster is constant (Shi & Malik 2000, eq. 9). Where the first vector is not of one
    sign, all are kept, times √tokens. Each is weighted by its eigenvalue, relative to the first, to the power of
    ``time``: distances are those of diffusion for that time (Coifman & Lafon 2006). After ½, squared distances
    are those of the affinity as a kernel; after 1, vectors beyond the eigengap, which are noise, hardly count.
    """
    values = np.asarray(embedding.sharp_values, np.float64)
    vectors = np.asarray(embedding.sharp_vectors, np.float64)
    first = vectors[0] * (1.0 if vectors[0].sum() >= 0 else -1.0)
    typical = np.sqrt(np.mean(first**2))
    weights = np.clip(values / max(np.abs(values).max(), 1e-12), 0, 1) ** time
    if typical > 0 and first.min() > 0.05 * typical:
        coordinates, weights = vectors[1:] / first, weights[1:]
    else:
        coordinates = vectors * np.sqrt(first.size)
    coordinates = np.clip(coordinates, -MOST, MOST) * weights[:, None, None]
    return np.moveaxis(coordinates, 0, 2).astype(np.float32)
