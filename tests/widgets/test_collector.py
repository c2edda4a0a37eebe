"""The garbage collector is kept from old objects while the window is to answer, and looks at them again afterwards."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from napari_what_where.widgets.collector import call_old, hold_aside, let_go
from napari_what_where.widgets.task import Task


class Cycle:
    def __init__(self):
        self.own = self


@pytest.fixture(autouse=True)
def thawed():
    gc.unfreeze()
    yield
    gc.unfreeze()


def test_what_is_held_is_not_looked_at_until_all_have_let_go():
    cycle = Cycle()
    seen = weakref.ref(cycle)
    hold_aside()
    hold_aside()
    del cycle
    let_go()
    gc.collect()
    assert seen() is not None
    let_go()
    assert not gc.get_freeze_count()
    gc.collect()
    assert seen() is None


def test_what_comes_meanwhile_is_looked_at():
    hold_aside()
    seen = weakref.ref(Cycle())
    gc.collect()
    assert seen() is None
    let_go()


def test_what_has_grown_old_is_looked_at_now_and_then():
    seen = []
    for _ in range(40):
        cycle = Cycle()
        hold_aside()
        let_go()
        seen.append(weakref.ref(cycle))
        del cycle
    assert sum(each() is not None for each in seen) <= 8


def test_what_others_have_frozen_stays_so():
    gc.freeze()
    frozen = gc.get_freeze_count()
    hold_aside()
    call_old()
    let_go()
    assert gc.get_freeze_count() >= frozen / 2  # some have gone by themselves


@pytest.mark.parametrize("held", [False, True])
def test_old_objects_are_out_of_the_youngest_generations(held):
    if held:
        hold_aside()
    many = [[] for _ in range(100)]
    call_old()
    assert not any(each is many for each in gc.get_objects(generation=0))
    assert bool(gc.get_freeze_count()) is held
    if held:
        let_go()


@pytest.mark.parametrize("problem", [None, ValueError("no")])
def test_a_task_holds_aside_as_long_as_it_runs(qtbot, problem):
    counts, ended = [], []

    def work(report):
        counts.append(gc.get_freeze_count())
        if problem:
            raise problem

    task = Task(
        work, on_success=lambda _: None, on_failure=lambda _: None, on_end=lambda: ended.append(True), aside=True
    )
    task.start()
    qtbot.waitUntil(lambda: bool(ended))
    assert counts[0] > 0
    qtbot.waitUntil(lambda: not gc.get_freeze_count())


def test_what_a_task_held_goes_with_it(qtbot):
    """Without a full collection."""
    ended, seen = [], []
    for _ in range(5):
        held = np.zeros(10)
        seen.append(weakref.ref(held))
        task = Task(
            lambda report, held=held: held.sum(),
            on_success=lambda _: None,
            on_failure=lambda _: None,
            on_end=lambda: ended.append(True),
            aside=True,
        )
        del held
        task.start()
    qtbot.waitUntil(lambda: len(ended) == 5)
    del task
    qtbot.wait(50)
    gc.collect(1)
    assert [each() for each in seen] == [None] * 5
