"""What a person at a terminal sees: one-line complaints and warnings, and a progress bar."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROGRAM = "what-where"


@contextmanager
def progress_bar(title: str) -> Iterator[Any]:
    """A ``report`` function that draws a bar on standard error, if that is a terminal."""
    from tqdm import tqdm

    from napari_what_where.progress import Progress

    with tqdm(file=sys.stderr, disable=not sys.stderr.isatty(), leave=False, total=1) as bar:
        stage = None

        def report(progress: Progress) -> None:
            nonlocal stage
            if progress.stage != stage:
                stage = progress.stage
                bar.reset(total=progress.total)
                bar.set_description(f"{title}: {stage}")
            bar.total = progress.total
            bar.update(progress.done - bar.n)

        yield report


def complain(message: str) -> None:
    """One line on standard error."""
    print(f"{PROGRAM}: {message}", file=sys.stderr, flush=True)


def one_line(problem: BaseException) -> str:
    """What an exception says, in one line; with its type where the message alone would not be understood."""
    text = " ".join(str(problem).split())
    if isinstance(problem, OSError) and problem.strerror and problem.filename:
        text = f"{problem.strerror}: {problem.filename}"
    if isinstance(problem, MemoryError):
        return f"not enough memory ({text})" if text else "not enough memory"
    return (
        text if text and isinstance(problem, OSError | ValueError | TypeError) else f"{type(problem).__name__}: {text}"
    )


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show warnings of this package as complaints, and each time."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        complain("warning: " + " ".join(str(message).split()))

    with warnings.catch_warnings():
        warnings.filterwarnings("always", module="napari_what_where", category=UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
