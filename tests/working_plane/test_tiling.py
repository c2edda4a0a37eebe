"""Tiles: results in order, reported from the calling thread, stopped at once, and nothing left running."""

from __future__ import annotations

import threading
import time

import pytest

from napari_what_where.progress import Cancelled, checkpoint
from napari_what_where.working_plane.tiling import map_tiles


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_results_come_in_order_and_shares_only_grow(count):
    shares: list[float] = []

    def work(item: int) -> int:
        time.sleep(0.01 * (item % 3))
        checkpoint()
        return item * item

    assert list(map_tiles(work, range(count), shares.append)) == [item * item for item in range(count)]
    assert shares == sorted(shares)
    assert all(0 <= share < 1 for share in shares)


def test_reports_come_from_the_calling_thread_while_others_work():
    threads, workers = set(), set()

    def work(item: int) -> None:
        workers.add(threading.get_ident())
        time.sleep(0.15)

    list(map_tiles(work, range(3), lambda share: threads.add(threading.get_ident())))
    assert threads == {threading.get_ident()}
    assert threading.get_ident() not in workers


@pytest.mark.parametrize("count", [1, 5])
def test_raising_in_a_report_stops_the_work_within_a_checkpoint(count):
    before, finished = threading.active_count(), []

    def work(item: int) -> None:
        for _ in range(2000):
            time.sleep(0.005)
            checkpoint()
        finished.append(item)

    def report(share: float) -> None:
        raise Cancelled

    started = time.perf_counter()
    with pytest.raises(Cancelled):
        list(map_tiles(work, range(count), report))
    assert time.perf_counter() - started < 5
    assert not finished
    assert threading.active_count() == before


def test_errors_of_the_work_pass_through():
    def work(item: int) -> int:
        if item == 2:
            raise RuntimeError("a hole in the image")
        return item

    with pytest.raises(RuntimeError, match="a hole"):
        list(map_tiles(work, range(6), lambda share: None))
