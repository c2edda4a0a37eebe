"""Pass by pass over a collection: first what the features are, then the Gram matrix of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from napari_what_where.activations.types import Grid, TokenActivations
from napari_what_where.affinity.pooling import AreaPooling
from napari_what_where.embedding.collection.features import (
    LEAST_DEGREE,
    FeatureMap,
    QueryKeyFeatures,
    ValueFeatures,
    query_key_rows,
    value_rows,
)
from napari_what_where.embedding.collection.moments import Moments
from napari_what_where.progress import checkpoint

RANK = 64
"""Most directions of a part."""
COLUMNS = 2048
"""Most columns of the features of all parts together, unless parts with one direction each have more.

The eigenproblem costs their third power, 2 × 1.6 s for so many, and every image their square. The built-in model has
at most 2028 (*both*, with filters), with ``RANK`` directions a part. 70 layers, as of Stable Diffusion XL, would have
13,580 in *both*: a quarter of an hour, and 1.5 GB for each of several matrices. What fewer directions leave out is told
as for any number: ``kept_energy`` of each layer, ``error_bound`` of all.
"""


class Part(NamedTuple):
    """One affinity of the joint operator: that of a network layer in one pathway, and how much it counts."""

    layer: str
    pathway: str
    weight: float


def parts_of(layers: Sequence[TokenActivations], pathway: str) -> list[Part]:
    """What a pathway is made of, for the network layers of an image.

    As :class:`~napari_what_where.affinity.joint.JointFold` weighs them: in "both", *what* and *where* of a layer count
    the same, and what has values only, and stands in for both, counts twice.
    """
    pathways = {"what": ("what",), "where": ("where",), "both": ("what", "where")}[pathway]
    found = []
    for layer in layers:
        if layer.stands_in:
            found.append(Part(layer.name, "what", layer.weight * len(pathways)))
        else:
            found += [Part(layer.name, each, layer.weight) for each in pathways]
    return found


@dataclass(frozen=True, eq=False)
class ValueMeans:
    """Pass 1: the mean value of every network layer, from which *what* is centred. Add those of two halves."""

    moments: dict[str, Moments]

    @classmethod
    def of(cls, layers: Sequence[TokenActivations], parts: Sequence[Part]) -> ValueMeans:
        """Of one image."""
        by_name = {layer.name: layer for layer in layers}
        wanted = [part.layer for part in parts if part.pathway == "what"]
        return cls({name: Moments.of(value_rows(by_name[name]), second=False) for name in wanted})

    def __add__(self, other: ValueMeans) -> ValueMeans:
        return ValueMeans({name: each + other.moments[name] for name, each in self.moments.items()})


@dataclass(frozen=True, eq=False)
class UnitMoments:
    """Pass 2: means and second moments of the unit vectors of every part. Add those of two halves."""

    moments: dict[Part, Moments]

    @classmethod
    def of(cls, layers: Sequence[TokenActivations], parts: Sequence[Part], means: ValueMeans) -> UnitMoments:
        """Of one image."""
        by_name = {layer.name: layer for layer in layers}

        def rows(part: Part) -> torch.Tensor:
            layer = by_name[part.layer]
            if part.pathway == "where":
                return query_key_rows(layer)
            return value_rows(layer, means.moments[part.layer].mean)

        return cls({part: Moments.of(rows(part)) for part in parts})

    def __add__(self, other: UnitMoments) -> UnitMoments:
        return UnitMoments({part: each + other.moments[part] for part, each in self.moments.items()})

    def maps(self, means: ValueMeans, most: int = RANK, *, columns: int = COLUMNS) -> list[MappedPart]:
        """The features of every part, on at most so many directions, and fewer in all that exceed so many ``columns``.

        Then every part has the same number, as far as it has them, at least one. Cost: width³ for each part; calls
        :func:`~napari_what_where.progress.checkpoint` before each.
        """
        most = self._within(most, columns)
        found = []
        for part, units in self.moments.items():
            checkpoint()
            made: FeatureMap = (
                QueryKeyFeatures.fit(units, most)
                if part.pathway == "where"
                else ValueFeatures.fit(means.moments[part.layer].mean, units, most)
            )
            found.append(MappedPart(part, made, units.mean))
        return found

    def _within(self, most: int, columns: int) -> int:
        """The most directions a part, of which all together have at most so many columns."""
        # As the two kinds of features have them: one direction of queries is one of keys, too.
        sides = [2 if part.pathway == "where" else 1 for part in self.moments]
        widths = [len(units.first) // side for units, side in zip(self.moments.values(), sides, strict=True)]

        def needed(directions: int) -> int:
            return sum(side * min(directions, width) + 1 for side, width in zip(sides, widths, strict=True))

        return next((each for each in range(min(most, max(widths)), 1, -1) if needed(each) <= columns), 1)


class MappedPart(NamedTuple):
    """A part with its features, and the mean of their rows, which degrees are taken from."""

    part: Part
    map: FeatureMap
    mean: torch.Tensor


def normalised_features(layer: TokenActivations, mapped: MappedPart) -> tuple[torch.Tensor, torch.Tensor]:
    """D^-½ F, (tokens, rank) float64 on the layer's own grid in units of its tokens, and what was left out, (2,).

    Every image weighs the same: a token counts as 1 / tokens of its image, half of which goes to either side.
    """
    rows = mapped.map.rows(layer)
    inverse = 1 / mapped.map.degrees(rows, mapped.mean).clamp_min(LEAST_DEGREE)
    lost = mapped.map.lost(rows, inverse / len(rows))
    return (inverse / len(rows)).sqrt()[:, None] * mapped.map.features(rows), lost


def image_features(
    layers: Iterable[TokenActivations], maps: Sequence[MappedPart]
) -> tuple[torch.Tensor, list[torch.Tensor], Grid]:
    """All parts' features of one image on its finest grid, (tokens, Σ rank) float64; what each left out; that grid."""
    by_name = {layer.name: layer for layer in layers}
    missing = [mapped.part.layer for mapped in maps if mapped.part.layer not in by_name]
    if missing:
        raise ValueError(
            f"The image lacks network layers {', '.join(missing)}, which others of the collection have; expected the "
            "same model with the same options for all."
        )
    grid = finest_grid([by_name[mapped.part.layer] for mapped in maps])
    columns, lost = [], []
    for mapped in maps:
        layer = by_name[mapped.part.layer]
        features, left_out = normalised_features(layer, mapped)
        if layer.grid != grid:
            features = AreaPooling(layer.grid, grid, features.device, dtype=torch.float64).up(features)
        columns.append(features)
        lost.append(left_out)
    return torch.cat(columns, dim=1), lost, grid


def finest_grid(layers: Iterable[TokenActivations]) -> Grid:
    """The grid with most tokens."""
    return max((layer.grid for layer in layers), key=lambda grid: (grid[0] * grid[1], grid))


@dataclass(frozen=True, eq=False)
class Gram:
    """Pass 3: the Gram matrix of all features of a collection. Add those of two halves.

    Attributes
    ----------
    images : how many there are
    matrix : (Σ rank, Σ rank) float64, the sum over images of Gᵀ G
    total : (Σ rank,) float64, the sum over images and tokens of G
    lost : one (2,) for each part, see :meth:`FeatureMap.lost`; sums over images
    finest : how many images have each part on their finest grid
    """

    images: int
    matrix: torch.Tensor
    total: torch.Tensor
    lost: list[torch.Tensor]
    finest: list[int]

    @classmethod
    def of(cls, layers: Sequence[TokenActivations], maps: Sequence[MappedPart]) -> Gram:
        """Of one image. Cost: tokens · (Σ rank)² multiply-adds in float64."""
        features, lost, grid = image_features(layers, maps)
        by_name = {layer.name: layer for layer in layers}
        finest = [int(by_name[mapped.part.layer].grid == grid) for mapped in maps]
        lost = [each.cpu() for each in lost]
        return cls(1, (features.T @ features).cpu(), features.sum(dim=0).cpu(), lost, finest)

    def __add__(self, other: Gram) -> Gram:
        return Gram(
            self.images + other.images,
            self.matrix + other.matrix,
            self.total + other.total,
            [mine + theirs for mine, theirs in zip(self.lost, other.lost, strict=True)],
            [mine + theirs for mine, theirs in zip(self.finest, other.finest, strict=True)],
        )
