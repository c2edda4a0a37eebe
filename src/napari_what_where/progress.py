"""Progress and cancellation, shared by every stage.

A stage that takes time accepts ``report``, a function of one :class:`Progress`. It is called often enough
(at least a few times a second, also from inside a model's forward pass) that raising :class:`Cancelled` from
it stops the work at once: there is no other cancellation mechanism.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

OFTEN = 2**13
"""Steps of a plain Python loop between two checkpoints: some hundredths of a second."""


class Progress(NamedTuple):
    """How far one stage is: ``done`` of ``total`` steps."""

    stage: str
    done: int
    total: int


class Cancelled(Exception):
    """Raised from a ``report`` function to stop the work; nothing has been changed."""


Report = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """The ``report`` of callers who neither watch nor cancel."""


_current: ContextVar[Callable[[], None]] = ContextVar("_current", default=lambda: None)


@contextmanager
def checkpoints(report: Report, progress: Progress) -> Iterator[None]:
    """Within the block, every :func:`checkpoint` of this thread reports ``progress`` again.

    For long computations below a pure interface, such as the product of a large operator, that has no place for a
    ``report`` of its own.
    """
    token = _current.set(lambda: report(progress))
    try:
        yield
    finally:
        _current.reset(token)


def checkpoint() -> None:
    """Called about every tenth of a second inside long computations; raises if the work is to stop."""
    _current.get()()
