"""Work off the GUI thread, with progress to poll and a cancellation that acts inside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from superqt.utils import FunctionWorker

from napari_what_where.failures import Explained, explain
from napari_what_where.progress import Cancelled, Progress, Report
from napari_what_where.widgets.collector import hold_aside, let_go


class Task:
    """One function running in a worker thread.

    ``work(report)`` is called there; its ``report`` raises ``Cancelled`` once :meth:`cancel` was called or the
    application quits. Progress is not signalled but kept in ``progress``, for a timer to look at: a chatty worker
    cannot flood the event loop. The callbacks run in the GUI thread; after a cancellation only ``on_end`` does.
    """

    def __init__(
        self,
        work: Callable[[Report], Any],
        *,
        on_success: Callable[[Any], None],
        on_failure: Callable[[Exception], None],
        on_end: Callable[[], None],
        aside: bool = False,
    ) -> None:
        """``aside``: it may take long, and until it ends the garbage collector looks at nothing that is there now."""
        self.progress = Progress("starting", 0, 0)
        self.cancelled = False
        self.succeeded = False
        """Whether its answer has been taken, for whoever gave it to say."""
        self._aside = aside
        self._worker: Any = FunctionWorker(self._run, work)
        self._worker.returned.connect(on_success)
        self._worker.errored.connect(on_failure)
        self._worker.finished.connect(on_end)
        self._worker.finished.connect(self._end)

    def start(self) -> None:
        """Start the worker thread."""
        if self._aside:
            hold_aside()
        self._worker.start()

    @property
    def running(self) -> bool:
        """Whether the worker thread is still at it."""
        return self._worker is not None and bool(self._worker.is_running)

    def cancel(self) -> None:
        """Ask the work to stop at its next report."""
        self.cancelled = True
        if self._worker is not None:
            self._worker.quit()

    def _end(self) -> None:
        if self._aside:
            let_go()
        # It refers to the task, and to all that the work holds: a circle that the garbage collector would find late.
        self._worker = None

    def _run(self, work: Callable[[Report], Any]) -> Any:
        try:
            return work(self._report)
        except Cancelled:
            self.cancel()
            return None

    def _report(self, progress: Progress) -> None:
        # The worker's own flag is also set when the application quits.
        if self._worker.abort_requested:
            raise Cancelled
        self.progress = progress
        # Hands the GIL to the GUI thread, which pure-Python stretches of the work would otherwise starve.
        time.sleep(2e-4)


def said_of(problem: Exception, what: str) -> tuple[str, bool]:
    """What a dock says when ``what`` failed and all was put back, and whether the traceback would tell more."""
    clear = isinstance(problem, ValueError | TypeError | Explained)
    sentence = explain(problem).rstrip(".")
    said = f"{sentence if clear else f'{what} failed: {sentence}'}. No layer was changed."
    return said, not clear and not isinstance(problem, OSError)
