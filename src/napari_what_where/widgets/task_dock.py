"""What every dock with a Run and a Cancel has in common: one task at a time, its progress, and what came of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_what_where.progress import Report
from napari_what_where.widgets.task import Task, said_of

if TYPE_CHECKING:
    from napari_what_where.widgets.models import Models

_POLL_MS = 50
STILL_RUNNING = "Still running; press Cancel first."


class TaskDock(QWidget):
    """A dock that does one thing at a time off the GUI thread.

    Subclasses set ``panel``, its controls, and ``models``, and say what goes before and after a task.
    """

    panel: Any
    models: Models

    def __init__(self) -> None:
        super().__init__()
        self.task: Task | None = None
        self.details = ""
        """The full report of the last error."""
        self._on_cancel: Callable[[], str] = str
        self._timer = QTimer(self)
        self._timer.setInterval(_POLL_MS)
        self._timer.timeout.connect(self._show_progress)

    def before_task(self) -> None:
        """A task is about to start."""

    def follow_up(self, task: Task) -> bool:
        """A task has ended: start what belongs to it, if anything does; whether that is so."""
        return False

    def after_task(self, task: Task) -> None:
        """Nothing runs any more, and the controls can be used again."""

    def begin(
        self,
        work: Callable[[Report], Any],
        finish: Callable[[Any], None],
        *,
        what: str = "The run",
        cancellable: bool = True,
        on_failure: Callable[[Exception, str], bool] = lambda problem, said: False,
        on_cancel: Callable[[], str] = lambda: "Cancelled; nothing has changed.",
        quiet: bool = False,
    ) -> None:
        """Do ``work(report)`` in a thread, then ``finish(answer)`` here; ``what`` it is, should it fail.

        ``on_failure`` is given the exception and a sentence about it, and answers whether it has told the user;
        ``on_cancel`` answers what to say after a cancellation;
        ``quiet`` leaves on the panel what was said before.
        """
        self.before_task()
        self._set_busy(True)
        self.panel.cancel.setEnabled(cancellable)
        if not quiet:
            self.panel.say("")

        def succeed(answer: Any) -> None:
            if task.cancelled:
                return
            try:
                finish(answer)
                task.succeeded = True
            except Exception as problem:
                fail(problem)

        def fail(problem: Exception) -> None:
            if not task.cancelled:
                self._fail(problem, what, on_failure)

        self._on_cancel = on_cancel
        self.task = task = Task(work, on_success=succeed, on_failure=fail, on_end=self._end, aside=True)
        self.task.start()
        self._timer.start()

    def cancel(self) -> None:
        """Stop what is running; every layer stays as it is."""
        if self.task is not None:
            self.task.cancel()
            self.panel.say("Cancelling …")

    def _end(self) -> None:
        task, self.task = self.task, None
        if task is None or self.follow_up(task):
            return
        self._timer.stop()
        self._set_busy(False)
        if task.cancelled:
            self.panel.say(self._on_cancel())
        self.after_task(task)

    def _fail(self, problem: Exception, what: str, told: Callable[[Exception, str], bool]) -> None:
        self.details = "".join(traceback.format_exception(problem))
        said, obscure = said_of(problem, what)
        if not told(problem, said):
            self.panel.say(said, problem=True, details=obscure)

    def _set_busy(self, busy: bool) -> None:
        self.panel.set_busy(busy)
        self.models.set_busy(busy)

    def _show_progress(self) -> None:
        if self.task is not None:
            self.panel.show_progress(self.task.progress)
