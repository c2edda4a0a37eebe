"""Work on the tiles of a plane, two at a time, reported and cancelled from the calling thread."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TypeVar

from napari_what_where.progress import Cancelled, Progress, checkpoints

Item = TypeVar("Item")
Result = TypeVar("Result")

MOST_THREADS = 2
"""Threads at work on tiles; each holds some hundred megabytes."""


def map_tiles(
    work: Callable[[Item], Result], items: Sequence[Item], report: Callable[[float], None]
) -> Iterator[Result]:
    """The results of ``work`` on each of ``items``, in their order.

    ``report`` is told the share that is done, 0 … 1, at least some ten times a second, from the calling thread; what
    it raises passes through once the threads have stopped, for which ``work`` calls
    :func:`~napari_what_where.progress.checkpoint` now and then. One item is worked on in the calling thread.
    """
    if len(items) < 2:
        with checkpoints(lambda progress: report(0.0), Progress("", 0, 0)):
            yield from map(work, items)
        return
    stop = threading.Event()

    def watched(item: Item) -> Result:
        with checkpoints(lambda progress: _raise_if(stop), Progress("", 0, 0)):
            return work(item)

    threads = min(MOST_THREADS, _cores())
    waiting: deque[Item] = deque(items)
    with ThreadPoolExecutor(threads, thread_name_prefix="tiles") as pool:
        running: deque[Future[Result]] = deque()
        try:
            while waiting or running:
                while waiting and len(running) <= threads:
                    running.append(pool.submit(watched, waiting.popleft()))
                while not running[0].done():
                    report(1 - (len(waiting) + len(running)) / len(items))
                    wait([running[0]], timeout=0.1)
                yield running.popleft().result()
        finally:
            stop.set()
            for future in running:
                future.cancel()


def _raise_if(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
