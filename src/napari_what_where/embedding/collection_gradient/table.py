"""What the gradient method for collections answers: soft assignments of every image, and eigenvectors made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from napari_what_where.affinity.operator import SymmetricOperator

CHUNK = 64
"""Images whose softmax is taken at a time."""


@dataclass(frozen=True, eq=False)
class CollectionTable:
    """Soft assignments and eigenvectors of every image, on cells of a table that stand for its whole area.

    ``logits`` (images, count, side, side) float32: the answer, 4 · count · side² bytes an image (80 KiB for 20 at 32).
    ``iterate``, of the same shape: where the optimisation itself stands, of which ``logits`` is the average; the same
    tensor if ``averaging`` is "entries". ``rotation`` (count, count) float64: from softmax columns to vectors.
    ``values`` (count,) float64, descending: Rayleigh quotients of the vectors, each image related to those of one
    batch; None if that was not asked for. ``history`` (batches, 2): eigenvalue and orthogonality part of the loss at
    the last inner step of each batch. ``details``: what else there is to record, ready for JSON.
    """

    logits: torch.Tensor
    iterate: torch.Tensor
    rotation: torch.Tensor
    values: np.ndarray | None
    history: np.ndarray
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Number of columns."""
        return self.logits.shape[1]

    def __len__(self) -> int:
        return len(self.logits)

    def assignment(self, image: int) -> np.ndarray:
        """(count, side, side) float32, ≥ 0; cells sum to 1."""
        return np.asarray(self.logits[image].softmax(dim=0))

    def vectors(self, image: int) -> np.ndarray:
        """(count, side, side) float32: this image's part of vectors that are orthonormal over the whole collection."""
        soft = self.logits[image].softmax(dim=0).double()
        return np.asarray(torch.einsum("kc,krs->crs", self.rotation, soft).float())


def orthonormal_columns(logits: torch.Tensor) -> torch.Tensor:
    """R with XR orthonormal, (count, count) float64, for X the softmax columns over all images.

    R = G^-½ of the Gram matrix G = XᵀX, summed in float64: the orthonormal columns that are closest to X, up to a
    factor. Cost: images · side² · count². Directions without length in X, as two equal columns leave, get none.
    """
    gram = torch.zeros((logits.shape[1],) * 2, dtype=torch.float64)
    for part in logits.split(CHUNK):
        columns = part.softmax(dim=1).transpose(0, 1).flatten(1).double()
        gram += columns @ columns.T
    values, vectors = torch.linalg.eigh(gram)
    kept = values > 1e-12 * values[-1]
    scaling = torch.where(kept, values.clamp_min(1e-300).rsqrt(), 0.0)
    return (vectors * scaling) @ vectors.T


def rotated(
    logits: torch.Tensor,
    basis: torch.Tensor,
    batches: Sequence[Sequence[int]],
    operator_of: Callable[[int], SymmetricOperator],
) -> tuple[torch.Tensor, np.ndarray]:
    """Rayleigh–Ritz: the basis rotated so that its columns are ordered, and their values, descending.

    With J the operators of ``batches``, each of its own images and none of others: block-diagonal, so that VᵀJV is a
    sum over batches. ``operator_of(number)`` is J of a batch over its images' cells.
    """
    projected = torch.zeros_like(basis)
    for number, members in enumerate(batches):
        soft = logits[torch.tensor(members)].softmax(dim=1)
        columns = soft.permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).double() @ basis
        operator = operator_of(number)
        image = operator.product(columns.float().to(operator.device)).cpu().double()
        projected += columns.T @ image
    values, rotation = torch.linalg.eigh((projected + projected.T) / 2)
    turned = basis @ rotation.flip(1)
    return turned * _signs(logits, turned), np.asarray(values.flip(0))


def _signs(logits: torch.Tensor, rotation: torch.Tensor) -> torch.Tensor:
    """±1 a column that makes its entry of largest magnitude, over all images, positive."""
    highest = lowest = torch.zeros(logits.shape[1], dtype=torch.float64)
    for part in logits.split(CHUNK):
        columns = part.softmax(dim=1).permute(0, 2, 3, 1).reshape(-1, logits.shape[1]).double() @ rotation
        highest, lowest = torch.maximum(highest, columns.amax(dim=0)), torch.minimum(lowest, columns.amin(dim=0))
    return torch.where(highest < -lowest, -1.0, 1.0)
