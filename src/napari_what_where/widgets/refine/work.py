"""One thing after the other: what takes long in a thread, what comes meanwhile waits its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_what_where.progress import Progress, Report
from napari_what_where.widgets.task import Task

_POLL_MS = 50
_SHOWN_AFTER_MS = 300
"""What is done sooner shows no progress bar: it would only flicker."""
_MOST_WAITING = 32


class Work(QObject):
    """A queue of functions of the GUI thread, each of which may begin one task in a worker thread.

    ``busy`` is emitted when something takes long and when it has ended, ``progressed`` while it lasts, ``failed`` with
    the exception of a task, ``cancelled`` after a cancellation, ``full`` when something was not taken.
    """

    busy = Signal(bool)
    progressed = Signal(object)
    failed = Signal(object)
    cancelled = Signal()
    full = Signal()

    def __init__(self, parent: QObject) -> None:
        super().__init__(parent)
        self.task: Task | None = None
        self._waiting: list[tuple[Any, Callable[[], None]]] = []
        self._front: int | None = None
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._tell)
        self._running = False
        self._closed = False

    @property
    def _over(self) -> bool:
        """Whether nobody is to hear of anything any more; in a window that was never shown nobody calls close."""
        return self._closed or not isalive(self)

    @property
    def idle(self) -> bool:
        """Whether nothing runs or waits."""
        return self.task is None and not self._waiting

    def add(
        self, function: Callable[[], None], *, key: Any = None, otherwise: Callable[[], None] = lambda: None
    ) -> None:
        """Call ``function`` now, or as soon as what runs is done; of those with one ``key`` only the last waits.

        Where too much waits already it is not taken: ``otherwise()`` is called, and ``full`` emitted.
        """
        if self.task is None and not self._running:
            self._call(function)
            return
        if key is not None:
            self._waiting = [each for each in self._waiting if each[0] is not key]
        if self._front is not None:  # what follows from something comes before what was asked for after it
            self._waiting.insert(self._front, (key, function))
            self._front += 1
        elif len(self._waiting) < _MOST_WAITING:
            self._waiting.append((key, function))
        else:
            otherwise()
            self.full.emit()

    def add_soon(self, function: Callable[[], None], *, key: Any) -> None:
        """As :meth:`add`, once the event that is handled now is over: napari tells of some paint before it is there."""
        self._waiting = [each for each in self._waiting if each[0] is not key]
        self._waiting.append((key, function))
        QTimer.singleShot(0, self._go_on)

    def begin(
        self,
        work: Callable[[Report], Any],
        finish: Callable[[Any], None],
        otherwise: Callable[[], None] = lambda: None,
    ) -> None:
        """Do ``work(report)`` in a thread, then ``finish(answer)`` here, or ``otherwise()`` if there is none.

        Only from a function that was added, or as the last thing that ``finish`` does.
        """

        def succeed(answer: Any) -> None:
            if task.cancelled or self._over:
                return
            self._front = 0
            try:
                finish(answer)
            except Exception as problem:
                otherwise()
                self.failed.emit(problem)
            finally:
                self._front = None

        def fail(problem: Exception) -> None:
            if not task.cancelled and not self._over:
                otherwise()
                self.failed.emit(problem)

        def end() -> None:
            if task.cancelled and not self._over:
                otherwise()
            self._end(task)

        self.task = task = Task(work, on_success=succeed, on_failure=fail, on_end=end)
        task.start()
        self._timer.start(_SHOWN_AFTER_MS)

    def cancel(self) -> None:
        """Stop what runs, and forget what waits."""
        self._waiting.clear()
        if self.task is not None:
            self.task.cancel()

    def close(self) -> None:
        """Stop, for good: of what still runs nothing is heard, as widgets may be gone when it ends."""
        self._closed = True
        self._timer.stop()
        self.cancel()

    def _end(self, task: Task) -> None:
        if self.task is not task:  # what finished it has begun another, whose end goes on
            return
        self.task = None
        if self._over:
            return
        self._timer.stop()
        self.busy.emit(False)
        if task.cancelled:
            self.cancelled.emit()
        self._go_on()

    def _call(self, function: Callable[[], None]) -> None:
        self._running = True
        try:
            function()
        except Exception as problem:
            self.failed.emit(problem)
        finally:
            self._running = False
        self._go_on()

    def _go_on(self) -> None:
        """Call what waits, unless a task has begun: that one's end goes on."""
        while self._waiting and self.task is None and not self._running and not self._over:
            self._call(self._waiting.pop(0)[1])

    def _tell(self) -> None:
        if self._timer.interval() != _POLL_MS:
            self._timer.setInterval(_POLL_MS)
            self.busy.emit(True)
        if self.task is not None:
            self.progressed.emit(self.task.progress)


__all__ = ["Progress", "Work"]
