"""What a person at a terminal sees: one-line complaints and warnings, and a progress bar."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from napari_what_where.failures import explain

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
    """One line on standard error, above the progress bar if there is one."""
    _say(f"{PROGRAM}: {message}", sys.stderr)


def tell(message: str) -> None:
    """One line of results on standard output, likewise."""
    _say(message, sys.stdout)


def _say(line: str, stream: TextIO) -> None:
    from tqdm import tqdm

    with tqdm.external_write_mode(stream):
        print(line, file=stream, flush=True)


def one_line(problem: BaseException) -> str:
    """What an exception says, in one line; see :func:`~napari_what_where.failures.explain`."""
    return explain(problem)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Show warnings of this package as complaints, and each time."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        complain("warning: " + " ".join(str(message).split()))

    with warnings.catch_warnings():
        warnings.filterwarnings("always", module="napari_what_where", category=UserWarning)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
