"""How the eigenvectors of a collection are found: from statistics, or by the paper's gradient descent."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection.kept import before_clusters
from napari_what_where.embedding.types import Embedding
from napari_what_where.progress import Progress, checkpoints
from napari_what_where.store.entry import layer_bytes

if TYPE_CHECKING:
    from napari_what_where.activations.types import TokenActivations
    from napari_what_where.collection.passes import Passes
    from napari_what_where.embedding.collection.projection import Projection
    from napari_what_where.embedding.collection.statistics import Part, ValueMeans

MOST_HELD = 2 * 10**9
"""Bytes of activations that the gradient method keeps in memory."""
_DESCENT = "gradient descent"
MOST_TIMESTEP = 300
"""The paper draws timesteps of 0…300 for collections (Zhang, Yunis & Maire 2024)."""


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
    with checkpoints(passes.report, Progress("collection, pass 2 of 3", len(passes.good), len(passes.good))):
        maps = units.maps(means)
    gram = passes.again("collection, pass 3 of 3", lambda layers: Gram.of(layers, maps))
    passes.report(starting := Progress("eigenvectors", 0, 0))
    with checkpoints(passes.report, starting):
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
    """The paper's gradient method, see :func:`~napari_what_where.embedding.collection_gradient.solve`.

    Of ``method_options``, ``redraw`` says whether every batch sees a diffusion model's timestep of its own, in
    0…``MOST_TIMESTEP``, as the paper has it: then the model runs ``epochs`` times over every image. Else, and where
    there are no timesteps, the graphs are those of what was kept. All others go to the solver.
    """
    from napari_what_where.embedding.collection_gradient.solve import solve_collection_gradient

    more = dict(options["method_options"])
    redraw, seed = bool(more.pop("redraw", True)), options["seed"]
    with passes.backbone.at_timestep(0) as known:
        redraw = redraw and known
    passes.first(lambda layers: 1)
    good = passes.good
    shown = Progress(_DESCENT, 0, 0)

    def tell(progress: Progress) -> None:
        """Of how far the descent is, whatever the model tells of every image again."""
        nonlocal shown
        if progress.stage == "eigenvectors":
            shown = progress._replace(stage=_DESCENT)
        passes.report(shown)

    # Read again in every epoch, so as far as they fit they are not read from disk.
    held: dict[int, list[TokenActivations]] = {}
    room = MOST_HELD

    def kept(number: int) -> list[TokenActivations]:
        nonlocal room
        if number in held:
            return held[number]
        layers = passes.kept(number)
        size = sum(map(layer_bytes, layers))
        if size <= room:
            held[number], room = layers, room - size
        return layers

    def activations_of(numbers: Sequence[int], draw: int) -> Iterator[Sequence[TokenActivations]]:
        timestep = int(np.random.default_rng([seed, draw]).integers(MOST_TIMESTEP + 1))
        for number in (good[each] for each in numbers):
            if not redraw:
                yield kept(number)
                continue
            with passes.backbone.at_timestep(timestep):
                layers = passes.fresh(number, tell)
            yield layers

    table = solve_collection_gradient(
        activations_of,
        len(good),
        options["count"],
        pathway=passes.pathway,
        seed=seed,
        device=passes.device,
        report=tell,
        checkpoint=_checkpoint(passes, options),
        save_every=min(50, max(1, len(good) // 40)),  # the table is written each time, some 330 KB an image
        frozen=not redraw,
        **more,
    )
    values = np.asarray(table.values)

    def embeddings() -> Iterator[Embedding]:
        for number in range(len(good)):
            # Orthonormal over the collection; as one image's own, of which there are so many.
            vectors = table.vectors(number) * np.float32(len(good) ** 0.5)
            residuals = np.full(table.count, np.nan)
            yield Embedding(values, vectors, residuals, 0, False, values, vectors, {"solver": "gradient"})

    return Found(values, values, embeddings(), details={"gradient": table.details})


def _checkpoint(passes: Passes, options: Mapping[str, Any]) -> Path:
    """Where the state of a descent is: of these images and options, so that another's is no obstacle."""
    said = json.dumps(
        [before_clusters(options), passes.backbone.describe(), sorted(passes.signatures.items())], default=str
    )
    return passes.spool.folder / f"gradient-{hashlib.sha256(said.encode()).hexdigest()[:16]}.pt"
