"""The record that a solver's answer becomes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Embedding:
    """Leading eigenvectors of a joint affinity on its finest token grid.

    Attributes
    ----------
    values : (count,) float64
        Eigenvalues, descending.
    vectors : (count, grid_rows, grid_columns) float32
        Orthonormal over the grid's tokens.
    residuals : (count,) float64
        ‖J x − λ x‖ of each pair.
    products : int
        Products of J with a single column that the solver spent; ``count``, to measure the residuals, where it worked
        from a factor or the whole matrix.
    converged : bool
        Whether every residual met the tolerance.
    sharp_values, sharp_vectors :
        As values and vectors, after one product with the finest grid's own operator (see
        :func:`~napari_what_where.embedding.sharpen.sharpen`): boundaries are where the finest layers put them,
        which is what segments want. Equal to the plain ones where every layer already lives on the finest grid.
    details : dict
        What else the solver has to say, JSON-ready: which ``solver`` it was; for "gradient" its raw loss and options.
    """

    values: np.ndarray
    vectors: np.ndarray
    residuals: np.ndarray
    products: int
    converged: bool
    sharp_values: np.ndarray
    sharp_vectors: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of eigenvectors."""
        return len(self.values)

    @property
    def grid(self) -> tuple[int, int]:
        """(rows, columns) of the token grid."""
        return self.vectors.shape[1], self.vectors.shape[2]
