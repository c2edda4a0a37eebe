"""Which operator each step of the gradient solver sees: always the same, or freshly drawn ones with a buffer."""

from __future__ import annotations

from collections.abc import Callable

import torch

from napari_what_where.affinity.operator import SymmetricOperator

Redraw = Callable[[int], SymmetricOperator]
"""``redraw(step)`` gives the operator of freshly drawn timesteps and noise."""


class Draws:
    """Operators by the step at which they were drawn, the last few of them kept to be used again.

    As in the official per-image script: while the buffer is not full every step draws; then a step takes one of the
    buffer's, at random, with probability ``reuse``, else it draws, and the new one takes the place of the oldest.
    Never holds more than ``buffer`` operators, beside the one in use.
    """

    def __init__(
        self,
        operator: SymmetricOperator,
        redraw: Redraw | None,
        *,
        buffer: int,
        reuse: float,
        generator: torch.Generator,
    ) -> None:
        if redraw is not None and not callable(redraw):
            raise TypeError(f"redraw is {redraw!r}; expected a function of the step that gives an affinity, or None.")
        self.operator, self.redraw, self.buffer, self.reuse, self.generator = operator, redraw, buffer, reuse, generator
        self.count = 0
        self.numbers: list[int] = []
        self.held: dict[int, SymmetricOperator] = {}

    def at(self, step: int) -> tuple[int, SymmetricOperator]:
        """Number and operator of a step; the same number means the same operator."""
        if self.redraw is None:
            return 0, self.operator
        if self.buffer and len(self.numbers) == self.buffer and self._uniform() < self.reuse:
            number = self.numbers[min(int(self._uniform() * self.buffer), self.buffer - 1)]
        else:
            number = step
            self.numbers = [*self.numbers, step][-self.buffer :] if self.buffer else []
        self.held = {known: operator for known, operator in self.held.items() if known in self.numbers}
        # Not held although in the buffer: drawn before the run was interrupted.
        operator = self.held.get(number) or self._drawn(number)
        if number in self.numbers:
            self.held[number] = operator
        return number, operator

    def _drawn(self, number: int) -> SymmetricOperator:
        assert self.redraw is not None
        drawn = self.redraw(number)
        self.count += 1
        if not isinstance(drawn, SymmetricOperator):
            raise TypeError(
                f"redraw({number}) gave {type(drawn).__name__}; expected what joint_affinity(activations) returns."
            )
        if drawn.grid != self.operator.grid or drawn.device != self.operator.device:
            raise ValueError(
                f"redraw({number}) gave an operator on grid {drawn.grid} and {drawn.device}; expected those of the "
                f"affinity, {self.operator.grid} and {self.operator.device}."
            )
        return drawn

    def _uniform(self) -> float:
        return float(torch.rand((), generator=self.generator))
