"""How the eigenvectors of a collection are found: from statistics, or by the paper's gradient descent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_what_where.progress import Progress

if TYPE_CHECKING:
    import numpy as np

    from napari_what_where.activations.types import TokenActivations
    from napari_what_where.collection.passes import Passes
    from napari_what_where.embedding.collection.projection import Projection
    from napari_what_where.embedding.collection.statistics import Part, ValueMeans
    from napari_what_where.embedding.types import Embedding


@dataclass(frozen=True, eq=False)
class Found:
    """What a method found in a collection.

    ``values``, ``sharp_values`` (count,) float64; ``embeddings``: of every image that did not fail, in order, once;
    ``projection``: for other images, if the method knows any; ``layers``, ``details``: for the record, JSON-ready.
    """

    values: np.ndarray
    sharp_values: np.ndarray
    embeddings: Iterator[Embedding]
    error_bound: float | None = None
    projection: Projection | None = None
    layers: list[dict[str, Any]] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)


def project(passes: Passes, options: Mapping[str, Any]) -> Found:
    """The streaming method: mean values, then moments of unit vectors, then the Gram matrix, then its eigenvectors."""
    from napari_what_where.embedding.collection.projection import solve
    from napari_what_where.embedding.collection.statistics import Gram, UnitMoments, ValueMeans, parts_of

    parts: list[Part] = []

    def means_of(layers: Sequence[TokenActivations]) -> ValueMeans:
        found = parts_of(layers, passes.pathway)
        if parts and found != parts:
            raise ValueError(
                f"The model gives network layers {', '.join(part.layer for part in found)}; expected those of the "
                f"images before: {', '.join(part.layer for part in parts)}."
            )
        parts[:] = found
        return ValueMeans.of(layers, found)

    means = passes.first(means_of)
    units = passes.again("collection, pass 2 of 3", lambda layers: UnitMoments.of(layers, parts, means))
    maps = units.maps(means)
    gram = passes.again("collection, pass 3 of 3", lambda layers: Gram.of(layers, maps))
    passes.report(Progress("eigenvectors", 0, 0))
    found = solve(gram, maps, options["count"])
    return Found(
        values=found.values.numpy(),
        sharp_values=found.sharp_values.numpy(),
        embeddings=passes.layers("embedding", found.embed),
        error_bound=found.error_bound,
        projection=found,
        layers=found.layers,
    )


def descend(passes: Passes, options: Mapping[str, Any]) -> Found:
    """The paper's gradient method."""
    raise NotImplementedError
