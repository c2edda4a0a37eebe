"""Sums over the tokens of a collection: mergeable by addition, of a size that does not depend on its images."""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moments of the token vectors of a collection, in which every image weighs the same.

    Attributes
    ----------
    images : how many there are
    first : (width,) float64, the sum over images of the mean over tokens of x
    second : (width, width) float64, the same of x xᵀ; (0, 0) where only the mean is wanted
    """

    images: int
    first: torch.Tensor
    second: torch.Tensor

    @classmethod
    def of(cls, rows: torch.Tensor, *, second: bool = True) -> Moments:
        """Of one image's (tokens, width) vectors. Cost: tokens · width² multiply-adds in float64."""
        rows = rows.to(torch.float64)
        square = rows.T @ rows / len(rows) if second else rows.new_zeros(0, 0)
        return cls(1, rows.mean(dim=0).cpu(), square.cpu())

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.images + other.images, self.first + other.first, self.second + other.second)

    @property
    def mean(self) -> torch.Tensor:
        """(width,) of all tokens."""
        return self.first / self.images

    @property
    def mean_square(self) -> torch.Tensor:
        """(width, width) mean of x xᵀ."""
        return self.second / self.images


def leading_directions(mean_square: torch.Tensor, most: int) -> tuple[torch.Tensor, float]:
    """An orthonormal (width, rank ≤ ``most``) basis of what varies most, and the share of energy that it leaves out.

    Directions without any energy, to rounding, are left out whatever ``most``; one is kept always.
    """
    values, vectors = torch.linalg.eigh(mean_square)
    values, vectors = values.flip(0).clamp_min(0), vectors.flip(1)
    total = float(values.sum())
    there = int((values > 1e-12 * max(total, 1e-300)).sum())
    rank = max(1, min(most, there))
    return vectors[:, :rank], float(values[rank:].sum()) / total if total > 0 else 0.0
