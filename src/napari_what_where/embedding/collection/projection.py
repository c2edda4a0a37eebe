"""From the Gram matrix of a collection to eigenvectors, and to those of any other image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from napari_what_where.activations.types import TokenActivations
from napari_what_where.embedding.collection.statistics import Gram, MappedPart, image_features
from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import checkpoint

LEAST_DIRECTION = 1e-12
"""Directions of less energy, beside the largest, are rounding."""


@dataclass(frozen=True, eq=False)
class Projection:
    """The eigenvectors of a collection as functions of features: one matrix product gives them for any image.

    Attributes
    ----------
    maps : from network layers to features, and how much each counts
    values, sharp_values : (count,) float64, descending, of the joint operator and of its finest network layers
    matrix, sharp_matrix : (Σ rank, count) float64
    error_bound : at most how far ``values`` are from those without anything left out (Weyl)
    layers : what is to be told of each part, JSON-ready
    """

    maps: tuple[MappedPart, ...]
    values: torch.Tensor
    matrix: torch.Tensor
    sharp_values: torch.Tensor
    sharp_matrix: torch.Tensor
    error_bound: float
    layers: list[dict[str, Any]]

    @property
    def count(self) -> int:
        """Number of eigenvectors."""
        return len(self.values)

    def embed(self, layers: Sequence[TokenActivations]) -> Embedding:
        """The eigenvectors in one image, on its finest grid.

        Over the images of the collection their squares sum, on average, to 1, as those of one image alone would;
        signs and scale are the same in all. Cost: tokens · Σ rank · count multiply-adds.
        """
        features, _, grid = image_features(layers, self.maps)

        def on_grid(matrix: torch.Tensor) -> np.ndarray:
            return (features @ matrix.to(features)).T.to("cpu", torch.float32).contiguous().numpy().reshape(-1, *grid)

        return Embedding(
            values=self.values.numpy(),
            vectors=on_grid(self.matrix),
            residuals=np.full(self.count, self.error_bound),
            products=self.count,
            converged=True,
            sharp_values=self.sharp_values.numpy(),
            sharp_vectors=on_grid(self.sharp_matrix),
            details={"solver": "collection", "error_bound": self.error_bound},
        )


def solve(gram: Gram, maps: Sequence[MappedPart], count: int) -> Projection:
    """The ``count`` algebraically largest eigenpairs of the joint operator of a collection.

    With G all features of all images, K = Gᵀ G / images and C the weighted cores, J = G C Gᵀ has the eigenvectors
    G K^-½ z, where K^½ C K^½ z = λ z: a symmetric problem of the features' number, whatever the images' (and C may be
    indefinite). Sharp ones are as :func:`~napari_what_where.embedding.sharpen.sharpen` has them, one product with the
    mean operator of the parts that live on the finest grid, in the same coordinates.

    Cost: two decompositions of (Σ rank)³, each a fifth of a second for 1000 columns and 1.6 s for 2048, which are most,
    see :data:`~napari_what_where.embedding.collection.statistics.COLUMNS`; before and after each,
    :func:`~napari_what_where.progress.checkpoint` is called.
    """
    total = sum(mapped.part.weight for mapped in maps)
    weights = [mapped.part.weight / total for mapped in maps]
    square = (gram.matrix + gram.matrix.T) / (2 * gram.images)
    checkpoint()
    energy, directions = torch.linalg.eigh(square)
    checkpoint()
    kept = energy > LEAST_DIRECTION * energy.max()
    energy, directions = energy[kept], directions[:, kept]
    root = directions * energy.sqrt()  # K = root rootᵀ
    inverse = directions / energy.sqrt()  # G inverse has orthonormal columns
    means = inverse.T @ gram.total  # of the columns of G inverse, up to a factor
    values, vectors = _largest(root.T @ _core(maps, weights) @ root, count, means)
    checkpoint()
    sharp_values, sharp = _sharpened(root, maps, gram, vectors, means)
    checkpoint()
    errors = [mapped.map.error(lost / gram.images) for mapped, lost in zip(maps, gram.lost, strict=True)]
    layers = [
        {
            "name": mapped.part.layer,
            "pathway": mapped.part.pathway,
            "weight": weight,
            "width": mapped.map.width,
            "rank": mapped.map.rank,
            "kept_energy": 1 - mapped.map.discarded,
            "error_bound": error,
        }
        for mapped, weight, error in zip(maps, weights, errors, strict=True)
    ]
    bound = sum(weight * error for weight, error in zip(weights, errors, strict=True))
    return Projection(tuple(maps), values, inverse @ vectors, sharp_values, inverse @ sharp, bound, layers)


def _core(maps: Sequence[MappedPart], weights: Sequence[float]) -> torch.Tensor:
    return torch.block_diag(*[weight * mapped.map.core() for mapped, weight in zip(maps, weights, strict=True)])


def _largest(matrix: torch.Tensor, count: int, means: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The ``count`` largest eigenvalues, descending, and eigenvectors as columns, positive on average over all tokens.

    ``means``: of all tokens, in the coordinates of the vectors.
    """
    values, vectors = torch.linalg.eigh((matrix + matrix.T) / 2)
    values, vectors = values.flip(0)[:count], vectors.flip(1)[:, :count]
    return values, vectors * torch.where(means @ vectors < 0, -1.0, 1.0)


def _sharpened(
    root: torch.Tensor, maps: Sequence[MappedPart], gram: Gram, vectors: torch.Tensor, means: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sharp values, and vectors in the coordinates of ``vectors``: those of G K^-½."""
    fine = [number == max(gram.finest) for number in gram.finest]
    total = sum(mapped.part.weight for mapped, here in zip(maps, fine, strict=True) if here)
    shares = [mapped.part.weight / total if here else 0.0 for mapped, here in zip(maps, fine, strict=True)]
    finest = root.T @ _core(maps, shares) @ root
    left, singular, right = torch.linalg.svd(finest @ vectors, full_matrices=False)
    kept = singular > 1e-3 * singular.max()
    basis = left[:, kept]
    if not bool(kept.all()):
        rest = vectors @ right[~kept].T
        rest = rest - basis @ (basis.T @ rest)
        basis = torch.linalg.qr(torch.cat([basis, rest], dim=1))[0]
    values, turned = _largest(basis.T @ finest @ basis, basis.shape[1], basis.T @ means)
    return values, basis @ turned
