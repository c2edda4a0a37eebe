"""The optimisation of a collection's table of logits: its state, and one batch after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from napari_what_where.embedding.collection_gradient.graphs import BatchGraph
from napari_what_where.embedding.collection_gradient.objective import BatchObjective, layer_weights
from napari_what_where.embedding.collection_gradient.options import CollectionOptions
from napari_what_where.progress import Progress, Report, checkpoints

GraphsOf = Callable[[Sequence[int], int], Sequence[BatchGraph]]
"""``graphs_of(numbers, draw)`` gives the graphs of a batch of images at the ``draw``-th random timestep."""


class CollectionRun:
    """All that changes from batch to batch; can be saved and gone on from (see ``embedding/gradient/resuming.py``).

    Tables are (images, count, side, side) float32 on the CPU, of which a batch at a time goes to ``device``:

    - ``logits``: where AdamW stands;
    - ``average``: their exponential moving average, the answer. With ``averaging="entries"`` it is ``logits`` itself;
    - ``moments``: AdamW's two, of each entry, where they are kept from batch to batch; ``steps`` (images,) it took.

    An entry stands still between the batches it is in, so its average is brought up to date when it is next needed:
    ``averaged`` (images,) tells up to which batch it was.
    """

    def __init__(
        self,
        images: int,
        count: int,
        options: CollectionOptions,
        graphs_of: GraphsOf,
        *,
        seed: int,
        device: torch.device,
    ) -> None:
        self.images, self.options, self.graphs_of, self.seed, self.device = images, options, graphs_of, seed, device
        generator = torch.Generator().manual_seed(seed)
        self.logits = torch.randn(images, count, options.side, options.side, generator=generator)
        self.average = self.logits.clone() if options.averaging == "iterates" else self.logits
        self.moments = tuple(torch.zeros_like(self.logits) for _ in range(2)) if options.keep_moments else ()
        self.steps = torch.zeros(images)
        self.averaged = torch.zeros(images, dtype=torch.int64)
        self.done = 0
        self.history: list[tuple[float, float]] = []

    @property
    def batches(self) -> int:
        """In one epoch."""
        whole, rest = divmod(self.images, self.options.batch)
        return max(1, whole + (rest > 0 and not self.options.drop_last))

    @property
    def total(self) -> int:
        """Batches of the whole run."""
        return self.batches * self.options.epochs

    def members(self, number: int) -> list[int]:
        """The images of a batch, counted over all epochs, ascending: known from the seed, not from what was before."""
        epoch, place = divmod(number, self.batches)
        order = np.random.default_rng([self.seed, epoch]).permutation(self.images)
        size = self.options.batch
        return sorted(int(image) for image in order[place * size : (place + 1) * size])

    def update(self, report: Report) -> None:
        """One batch: graphs, inner steps, average. Changes nothing if it is interrupted."""
        options, members = self.options, self.members(self.done)
        every = options.inner_steps
        with checkpoints(report, Progress("eigenvectors", self.done * every, self.total * every)):
            graphs = self.graphs_of(members, self.done)
        objective = self._objective(graphs)
        entries = torch.tensor(members)
        leaf = self.logits[entries].to(self.device)
        optimiser, moments, steps = self._optimiser(leaf, entries)
        leaf.requires_grad_()
        losses = []
        for step in range(every):
            report(Progress("eigenvectors", self.done * every + step, self.total * every))
            eigenvalue, orthogonality = objective(leaf.softmax(dim=1))
            loss = options.eigenvalue_weight * eigenvalue + options.orthogonality_weight * orthogonality
            gradient = torch.autograd.grad(loss, leaf)[0]
            losses.append((float(eigenvalue.detach()), float(orthogonality.detach())))
            for parameter, part in zip(optimiser.param_groups[0]["params"], gradient, strict=True):
                parameter.grad = part
            optimiser.step()
        self._keep(entries, leaf.detach().cpu(), [moment.cpu() for moment in moments], steps)
        self.history.append(losses[-1])
        self.done += 1

    def answer(self) -> torch.Tensor:
        """The table as it stands, (images, count, side, side)."""
        self._catch_up(torch.arange(self.images))
        return self.average

    def state(self) -> dict[str, Any]:
        """See :class:`~napari_what_where.embedding.gradient.resuming.Resumable`."""
        own = {} if self.average is self.logits else {"average": self.average}
        tables = {"logits": self.logits, "moments": list(self.moments), **own}
        return tables | {
            "steps": self.steps,
            "averaged": self.averaged,
            "done": self.done,
            "history": [list(parts) for parts in self.history],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """See :class:`~napari_what_where.embedding.gradient.resuming.Resumable`."""
        self.logits = state["logits"]
        self.average = state.get("average", self.logits)
        self.moments = tuple(state["moments"])
        self.steps, self.averaged, self.done = state["steps"], state["averaged"], state["done"]
        self.history = [(first, second) for first, second in state["history"]]

    def _objective(self, graphs: Sequence[BatchGraph]) -> BatchObjective:
        options = self.options
        return BatchObjective(
            graphs,
            layer_weights(graphs, options.weighting),
            side=options.side,
            normalization=options.normalization,
            upward=options.upward,
            device=self.device,
        )

    def _optimiser(
        self, leaf: torch.Tensor, entries: torch.Tensor
    ) -> tuple[torch.optim.AdamW, list[torch.Tensor], torch.Tensor]:
        """AdamW over each image's logits, as parameters of their own, with what it knows of them."""
        parameters = [torch.nn.Parameter(part) for part in leaf]  # they share the memory of ``leaf``
        optimiser = torch.optim.AdamW(parameters, lr=self.options.learning_rate, weight_decay=self.options.weight_decay)
        moments = [moment[entries].to(self.device) for moment in self.moments]
        moments = moments or [torch.zeros_like(leaf), torch.zeros_like(leaf)]
        steps = self.steps[entries].clone() if self.moments else torch.zeros(len(entries))
        for parameter, step, first, second in zip(parameters, steps, *moments, strict=True):
            optimiser.state[parameter] = {"step": step, "exp_avg": first, "exp_avg_sq": second}
        return optimiser, moments, steps

    def _keep(
        self, entries: torch.Tensor, moved: torch.Tensor, moments: Sequence[torch.Tensor], steps: torch.Tensor
    ) -> None:
        ema = self.options.ema
        if self.options.averaging == "entries":
            self.logits[entries] = ema * self.logits[entries] + (1 - ema) * moved
        else:
            self._catch_up(entries)
            self.logits[entries] = moved
            self.average[entries] = ema * self.average[entries] + (1 - ema) * moved
            self.averaged[entries] = self.done + 1
        for kept, moment in zip(self.moments, moments, strict=False):
            kept[entries] = moment
        self.steps[entries] = steps

    def _catch_up(self, entries: torch.Tensor) -> None:
        """Bring averages up to all batches that are done: their logits have not moved since."""
        if self.average is self.logits:
            return
        missed = (self.done - self.averaged[entries]).double()
        share = (self.options.ema**missed).float()[:, None, None, None]
        self.average[entries] = share * self.average[entries] + (1 - share) * self.logits[entries]
        self.averaged[entries] = self.done
