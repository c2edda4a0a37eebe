"""The gradient method for collections: the paper's, over a table of logits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from napari_what_where.activations.types import TokenActivations
from napari_what_where.device import resolve_device
from napari_what_where.embedding.collection_gradient.graphs import BatchGraph, batch_graphs
from napari_what_where.embedding.collection_gradient.objective import BatchJoint, layer_weights
from napari_what_where.embedding.collection_gradient.options import CollectionOptions
from napari_what_where.embedding.collection_gradient.run import CollectionRun
from napari_what_where.embedding.collection_gradient.table import CollectionTable, orthonormal_columns, rotated
from napari_what_where.embedding.gradient.optimisation import whole_number
from napari_what_where.embedding.gradient.resuming import Checkpoint
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

ActivationsOf = Callable[[Sequence[int], int], Iterable[Sequence[TokenActivations]]]
"""``activations_of(numbers, draw)`` gives the network layers of each numbered image, in this order, at the ``draw``-th
random timestep: the same for the same numbers and draw, also in another process."""


def solve_collection_gradient(
    activations_of: ActivationsOf,
    images: int,
    count: int,
    *,
    pathway: str = "what",
    seed: int = 0,
    device: str | torch.device = "auto",
    report: Report = ignore_progress,
    checkpoint: str | Path | None = None,
    save_every: int = 50,
    rotate: bool = True,
    frozen: bool = False,
    epochs: int = CollectionOptions.epochs,
    batch: int = CollectionOptions.batch,
    inner_steps: int = CollectionOptions.inner_steps,
    learning_rate: float = CollectionOptions.learning_rate,
    weight_decay: float = CollectionOptions.weight_decay,
    ema: float = CollectionOptions.ema,
    averaging: str = CollectionOptions.averaging,
    keep_moments: bool = CollectionOptions.keep_moments,
    drop_last: bool = CollectionOptions.drop_last,
    side: int = CollectionOptions.side,
    within: int = CollectionOptions.within,
    between: int = CollectionOptions.between,
    least: float = CollectionOptions.least,
    itself: bool = CollectionOptions.itself,
    centred: bool = CollectionOptions.centred,
    normalization: str = CollectionOptions.normalization,
    weighting: str = CollectionOptions.weighting,
    upward: str = CollectionOptions.upward,
    eigenvalue_weight: float = CollectionOptions.eigenvalue_weight,
    orthogonality_weight: float = CollectionOptions.orthogonality_weight,
) -> CollectionTable:
    """Joint soft assignments of many images, as Zhang, Yunis & Maire 2024 find them (section 3.2): by gradient descent.

    A table has ``count`` × ``side`` × ``side`` logits for each image, normal noise at first. Every epoch goes over
    all images in random batches. A batch's activations, at a freshly drawn timestep, give for each network layer a
    graph over the tokens of all its images (:func:`batch_graphs`). Softmax columns, pooled to each layer's grid and
    scaled to unit length over the batch, z, are to minimise |zᵀAz − 1| and their overlaps (:class:`BatchObjective`):
    some steps of AdamW on the batch's logits. The answer is an exponential moving average of the table. Its softmax
    columns are then made orthonormal over the whole collection, and rotated.

    Defaults are the published ones: see :class:`CollectionOptions`.

    Parameters
    ----------
    activations_of : callable
        See :data:`ActivationsOf`; called once a batch, with the batch's number as ``draw``. With frozen timesteps, or
        a backbone without, ``draw`` means nothing. Grids may differ from image to image.
    images, count : int
        Of images, and of columns of the answer.
    pathway : "what", "where" or "both"
    seed : int
        Of the noise and the batches; nobody else's random numbers change.
    device : str or torch.device
        Where graphs and gradients are computed. The tables stay in main memory: three or four times 4 · count · side²
        bytes an image, 330 KB with the defaults and 20 columns.
    report : callable
        Called at every inner step and within the making of graphs; may raise to cancel, which changes nothing.
    checkpoint, save_every
        File to keep the state in, written every ``save_every`` batches and at the end, and gone on from if it is there.
        A run that is resumed gives the same as one that was not interrupted. It is the caller's to delete. To tell
        another collection's, the activations of image 0 are asked for once more.
    rotate : bool
        Order the vectors by Rayleigh–Ritz, with the graphs of one more epoch; else ``values`` is None, and vectors are
        the orthonormal columns that are closest to the softmax.
    frozen : bool
        Say that activations are the same at every draw: then a batch of the same images as the one before, as in every
        epoch where all images fit into one batch, is not looked at again. Changes nothing else.
    epochs, batch, inner_steps, learning_rate, weight_decay
        As they say. The last batch of an epoch has what is left over; with ``drop_last``, as in the authors' script,
        that is left out instead, other images each time.
    ema, averaging
        The paper has a moving average with factor ``ema`` and does not tell of what. "iterates", as in the authors'
        script: what AdamW has reached is gone on from, and after every batch the average of each entry of the table
        moves to where that stands, (1 − ema) of the way. It lags by 1 / (1 − ema) batches, and ema to the power of all
        batches of its start, noise, is left in it: 13 % for the 200 batches of 40 images, .004 % for the 1000 of 200.
        "entries", the other reading: the entries that were in the batch are moved themselves, (1 − ema) of the way from
        where they were to where the inner steps lead. Five steps of .01 then move a logit by at most about 5e-4 a
        visit, and 200 epochs by .1, a tenth of the noise that it started from: with ``ema=.99`` nothing converges.
    keep_moments : bool
        AdamW goes on with the moments of an entry's last visit, as in the authors' script, or starts anew each time.
    side : int
        Of the table's grid, for images of any shape: it covers the whole image.
    within, between, least, itself, centred
        Of graphs, see :class:`GraphOptions`.
    normalization : "rows" or "symmetric"
        "rows": D⁻¹S, the paper's; "symmetric": D^-½SD^-½. See :meth:`BatchGraph.normalized`.
    weighting : "inverse" or "equal"
        Network layers count by 32 / side of their grid, or alike.
    upward : "bilinear" or "repeat"
        To network layers that are finer than the table: see :class:`TablePooling`.
    eigenvalue_weight, orthogonality_weight : float
        Of the two parts of the loss.

    Raises ``ValueError`` or ``TypeError`` for an option out of its range, activations that lack what the pathway
    needs, or a checkpoint of another run. Cost, dominated by graphs unless images are few: ``epochs`` · images / batch
    times (batch · tokens)² · width multiply-adds for each network layer.
    """
    options = CollectionOptions(
        epochs, batch, inner_steps, learning_rate, weight_decay, ema, averaging, keep_moments, drop_last,
        side, within, between, least, itself, centred, normalization, weighting, upward,
        eigenvalue_weight, orthogonality_weight,
    )  # fmt: skip
    images, count = whole_number("images", images, 1), whole_number("count", count, 1)
    if count > images * side * side:
        raise ValueError(f"count is {count}; expected at most the table's {images * side * side} cells.")
    target = resolve_device(device)

    last: dict[tuple[int, ...], Sequence[BatchGraph]] = {}

    def graphs_of(numbers: Sequence[int], draw: int) -> Sequence[BatchGraph]:
        known = last.get(tuple(numbers))
        last.clear()  # not held while others are made
        made = known or batch_graphs(activations_of(numbers, draw), pathway, options.graph, target)
        if frozen:
            last[tuple(numbers)] = made
        return made

    run = CollectionRun(images, count, options, graphs_of, seed=seed, device=target)
    kept = None if checkpoint is None else Checkpoint(Path(checkpoint), every=whole_number("save_every", save_every, 1))
    if kept is not None:
        known = {"images": images, "count": count, "pathway": pathway, "seed": seed}
        kept.open(run, known | asdict(options), _fingerprint(activations_of))
    finish(run, report, kept)
    return _answer(run, report, rotate=rotate)


def finish(run: CollectionRun, report: Report = ignore_progress, checkpoint: Checkpoint | None = None) -> None:
    """All batches that are left."""
    while run.done < run.total:
        before = run.done
        run.update(report)
        if checkpoint is not None:
            checkpoint.save(run, before, last=run.done == run.total)


def _answer(run: CollectionRun, report: Report, *, rotate: bool) -> CollectionTable:
    options, table = run.options, run.answer()
    basis, values = orthonormal_columns(table), None
    if rotate:
        batches = [run.members(run.done + number) for number in range(run.batches)]
        # Images that a dropped last batch would have had are in the rotation, too.
        left = sorted(set(range(run.images)) - {image for members in batches for image in members})
        batches += [left] if left else []

        def operator_of(number: int) -> BatchJoint:
            progress = Progress("eigenvectors", number, len(batches))
            report(progress)
            with checkpoints(report, progress):
                graphs = run.graphs_of(batches[number], run.done + number)
            weights = layer_weights(graphs, options.weighting)
            normalization = options.normalization
            return BatchJoint(graphs, weights, side=options.side, normalization=normalization, device=run.device)

        basis, values = rotated(table, basis, batches, operator_of)
    history = np.array(run.history).reshape(-1, 2)
    last = history[-run.batches :].mean(axis=0)
    details = {
        "solver": "gradient, collection",
        "batches": run.done,
        "eigenvalue_term": float(last[0]),
        "orthogonality_term": float(last[1]),
        "table_bytes": table.numel() * 4,
        "device": str(run.device),
        **asdict(options),
    }
    return CollectionTable(table, run.logits, basis, values, history, details)


def _fingerprint(activations_of: ActivationsOf) -> torch.Tensor:
    """Some entries of what the first network layers of image 0 hold: enough to tell collections and models apart."""
    (layers,) = activations_of([0], 0)
    held = [part for layer in layers for part in (layer.query, layer.key, layer.value) if part is not None]
    entries = [part.flatten()[:: max(1, part.numel() // 8)][:8].float() for part in held[:16]]
    return torch.cat([part / part.abs().max().clamp_min(1e-30) for part in entries])
