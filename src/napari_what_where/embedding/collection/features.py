"""From a network layer's tokens to features of fixed width, whose inner products are the affinity across images."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch

from napari_what_where.activations.types import TokenActivations
from napari_what_where.embedding.collection.moments import Moments, leading_directions

LEAST_DEGREE = 1e-6
"""Degrees are ≥ 0, and ½ for a token like the mean; one that is unlike all others to rounding is divided by no less."""


def merged_heads(tensor: torch.Tensor) -> torch.Tensor:
    """(heads, tokens, head_dim) → (tokens, heads · head_dim) float64."""
    return tensor.to(torch.float64).permute(1, 0, 2).flatten(1)


def unit_rows(rows: torch.Tensor, size: float | None = None) -> torch.Tensor:
    """(tokens, width) rows scaled to length 1; those that are zero, to float32 rounding, exactly zero.

    ``size``: length of what they were computed from, which decides what rounding is; by default that of the longest.
    """
    length = rows.norm(dim=1, keepdim=True)
    rounding = 8 * torch.finfo(torch.float32).eps * (float(length.max()) if size is None else size)
    return rows * torch.where(length > rounding, 1 / length.clamp_min(max(rounding, 1e-300)), 0.0)


def value_rows(layer: TokenActivations, mean: torch.Tensor | None = None) -> torch.Tensor:
    """Values merged over heads, (tokens, width) float64; less the collection's ``mean`` and of unit length if given."""
    if layer.value is None:
        raise ValueError(f"{layer.name} has no values: pathway 'what' is unavailable. Use pathway 'where'.")
    rows = merged_heads(layer.value)
    return rows if mean is None else unit_rows(rows - mean.to(rows), float(rows.norm(dim=1).max()))


def query_key_rows(layer: TokenActivations) -> torch.Tensor:
    """Queries beside keys, each merged over heads and of unit length: (tokens, 2 · width) float64."""
    if layer.query is None or layer.key is None:
        reason = f": {layer.obstacle}" if layer.obstacle else ""
        raise ValueError(
            f"{layer.name} has no queries and keys{reason}. Pathway 'where' is unavailable. Use pathway 'what', or a "
            "backbone with plain attention."
        )
    return torch.cat([unit_rows(merged_heads(each)) for each in (layer.query, layer.key)], dim=1)


class FeatureMap(ABC):
    """The affinity of one network layer and pathway across a collection: S ≈ F C Fᵀ.

    F are the ``features`` of ``rows``, and C the ``core``; degrees are taken before anything is left out, where that
    can be done. What is left out is measured as it passes by, so that :meth:`error` bounds what it does to the
    normalised affinity D^-½ S D^-½, and so to its eigenvalues (Weyl).
    """

    rank: int
    """Columns of the features."""
    width: int
    """Columns of the rows."""
    discarded: float
    """Share of the energy of rows outside of the features' directions."""

    @abstractmethod
    def rows(self, layer: TokenActivations) -> torch.Tensor:
        """What degrees and features are computed from: (tokens, width) float64."""

    @abstractmethod
    def degrees(self, rows: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        """Mean affinity of each row to all tokens of the collection, whose mean row is ``mean``; (tokens,)."""

    @abstractmethod
    def features(self, rows: torch.Tensor) -> torch.Tensor:
        """(tokens, rank) float64."""

    @abstractmethod
    def core(self) -> torch.Tensor:
        """C, (rank, rank) float64, symmetric."""

    @abstractmethod
    def lost(self, rows: torch.Tensor, inverse_degrees: torch.Tensor) -> torch.Tensor:
        """(2,) sums from which :meth:`error` follows, weighted by 1 / degree; additive over tokens."""

    @abstractmethod
    def error(self, lost: torch.Tensor) -> float:
        """At most how far D^-½ F C Fᵀ D^-½ is from D^-½ S D^-½, as operators: from the means of :meth:`lost`."""

    def state(self) -> dict[str, Any]:
        """Tensors by name, from which it is made again, with ``discarded``."""
        return {name: each for name, each in vars(self).items() if isinstance(each, torch.Tensor)}


class ValueFeatures(FeatureMap):
    """*What*: S = (1 + cosine) / 2 of centred values, on the leading directions of their unit vectors.

    With B an orthonormal basis, rows of Û B have at most length 1, so S ≥ 0 also where B leaves something out; and what
    it leaves out is positive semi-definite, so that its trace bounds its norm.
    """

    def __init__(self, mean: torch.Tensor, basis: torch.Tensor, discarded: float = 0.0) -> None:
        self.mean, self.basis, self.discarded = mean, basis, discarded
        self.width, self.rank = len(mean), basis.shape[1] + 1

    @classmethod
    def fit(cls, mean: torch.Tensor, units: Moments, most: int) -> ValueFeatures:
        """From the mean value and the moments of unit rows."""
        return cls(mean, *leading_directions(units.mean_square, most))

    def rows(self, layer: TokenActivations) -> torch.Tensor:
        return value_rows(layer, self.mean)

    def degrees(self, rows: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        return 0.5 + 0.5 * (rows @ mean.to(rows))

    def features(self, rows: torch.Tensor) -> torch.Tensor:
        half = 0.5**0.5
        return torch.cat([rows.new_full((len(rows), 1), half), half * (rows @ self.basis.to(rows))], dim=1)

    def core(self) -> torch.Tensor:
        return torch.eye(self.rank, dtype=torch.float64)

    def lost(self, rows: torch.Tensor, inverse_degrees: torch.Tensor) -> torch.Tensor:
        return inverse_degrees @ _outside(rows, self.basis) * rows.new_tensor([0.5, 0.0])

    def error(self, lost: torch.Tensor) -> float:
        return float(lost[0])


class QueryKeyFeatures(FeatureMap):
    """*Where*: S = ½ + ¼ (q̂ᵢ·k̂ⱼ + k̂ᵢ·q̂ⱼ) ≥ 0, on leading directions that queries and keys share.

    The core is indefinite. ‖½ (Q P Kᵀ)‖ ≤ ½ ‖Q P‖ ‖K P‖ bounds what a projection P leaves out.
    """

    def __init__(self, basis: torch.Tensor, discarded: float = 0.0) -> None:
        self.basis, self.discarded = basis, discarded
        self.width, self.rank = 2 * len(basis), 2 * basis.shape[1] + 1

    @classmethod
    def fit(cls, units: Moments, most: int) -> QueryKeyFeatures:
        """From the moments of :func:`query_key_rows`."""
        half = len(units.first) // 2
        square = units.mean_square
        return cls(*leading_directions((square[:half, :half] + square[half:, half:]) / 2, most))

    def rows(self, layer: TokenActivations) -> torch.Tensor:
        return query_key_rows(layer)

    def degrees(self, rows: torch.Tensor, mean: torch.Tensor) -> torch.Tensor:
        half = self.width // 2
        return 0.5 + 0.25 * (rows @ torch.cat([mean[half:], mean[:half]]).to(rows))

    def features(self, rows: torch.Tensor) -> torch.Tensor:
        query, key = rows.split(self.width // 2, dim=1)
        basis = self.basis.to(rows)
        return torch.cat([rows.new_full((len(rows), 1), 0.5**0.5), query @ basis, key @ basis], dim=1)

    def core(self) -> torch.Tensor:
        rank = self.basis.shape[1]
        core = torch.zeros(self.rank, self.rank, dtype=torch.float64)
        core[0, 0] = 1.0
        core[1 : 1 + rank, 1 + rank :] = core[1 + rank :, 1 : 1 + rank] = torch.eye(rank, dtype=torch.float64) / 4
        return core

    def lost(self, rows: torch.Tensor, inverse_degrees: torch.Tensor) -> torch.Tensor:
        parts = rows.split(self.width // 2, dim=1)
        return torch.stack([inverse_degrees @ _outside(part, self.basis) for part in parts])

    def error(self, lost: torch.Tensor) -> float:
        return float(0.5 * (lost[0] * lost[1]).clamp_min(0).sqrt())


def _outside(rows: torch.Tensor, basis: torch.Tensor) -> torch.Tensor:
    """Squared length of each row outside of the basis, ≥ 0."""
    return (rows.square().sum(dim=1) - (rows @ basis.to(rows)).square().sum(dim=1)).clamp_min(0)
