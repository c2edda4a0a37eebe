"""Imports ahead: what they import, and that the interpreter is as before when they are done."""

from __future__ import annotations

import gc
import sys
import weakref

import pytest

from napari_what_where.activations.networks.families import FAMILIES
from napari_what_where.widgets import warming


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def collecting():
    gc.enable()
    yield
    gc.enable()


@pytest.mark.parametrize("class_name", {place.partition(":")[0]: name for name, place in FAMILIES.items()}.values())
def test_what_a_class_of_models_needs_can_be_imported(class_name):
    warming.import_model(class_name)  # in the background nobody would hear that it cannot


def test_the_interpreter_is_as_before():
    interval = sys.getswitchinterval()
    with warming._gently():
        assert not gc.isenabled()
        assert sys.getswitchinterval() < interval
    assert gc.isenabled()
    assert sys.getswitchinterval() == interval


def test_who_does_not_collect_garbage_keeps_it_so():
    gc.disable()
    with warming._gently():
        pass
    assert not gc.isenabled()


def test_what_was_made_meanwhile_is_not_looked_at_at_once_but_goes_with_all_old():
    with warming._gently():
        gone = weakref.ref(Cycle())
    many = [[] for _ in range(5_000)]  # enough for several collections of what is young
    assert gone() is not None
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert gone() is None
    assert len(many) == 5_000


def test_what_others_have_frozen_stays_frozen():
    gc.freeze()
    try:
        with warming._gently():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_imports_that_fail_are_silent_and_the_next_go_on():
    seen = []

    def fail() -> None:
        raise ImportError("no such library")

    for load in (fail, lambda: seen.append(gc.isenabled())):
        warming._in_background(load).join()
    assert seen == [False]
    assert gc.isenabled()
