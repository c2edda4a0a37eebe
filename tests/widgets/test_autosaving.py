"""What the user paints is on disk within seconds, and comes back."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_what_where.files import recovery
from napari_what_where.widgets import watching
from napari_what_where.widgets.autosaving import Autosaver
from napari_what_where.widgets.recovering import RecoveryBar, describe, offer_recovery


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv(recovery.FOLDER_VARIABLE, str(tmp_path / "kept"))
    monkeypatch.setattr(watching, "QUIET_SECONDS", 0.15)
    monkeypatch.setattr(watching, "LATEST_SECONDS", 0.4)
    return tmp_path / "kept"


class Desk:
    """A viewer with one watched layer."""

    def __init__(self, viewer, qtbot, data=None):
        self.viewer, self.qtbot = viewer, qtbot
        data = np.zeros((60, 80), np.int32) if data is None else data
        self.layer = viewer.add_labels(
            data, name="cells", scale=(2.0, 0.5), translate=(3, 4), rotate=30, units=("um", "um")
        )
        self.saver = Autosaver(viewer)
        self.told: list[str] = []
        self.saver.failed.connect(self.told.append)
        self.saver.watch(self.layer)
        self.settle()

    def settle(self):
        """Until nothing is pending."""
        self.qtbot.waitUntil(
            lambda: self.saver._thread is None and all(each.first is None for each in self.saver._watched)
        )

    def entries(self) -> list[np.ndarray]:
        return [np.load(file)["labels"] for file in sorted(self.saver.session.glob("*.npz"))]

    def is_saved(self) -> bool:
        self.settle()
        kept = self.entries()
        return len(kept) == 1 and np.array_equal(kept[0], self.layer.data)


@pytest.fixture
def desk(qtbot):
    """Without a window, which has no part in this and takes seconds to make."""
    desk = Desk(ViewerModel(), qtbot)
    yield desk
    desk.saver.close()
    assert not [thread for thread in threading.enumerate() if thread.name in ("autosave", "recovery")]


EDITS = {
    "paint": lambda layer: layer.paint((20, 20), 3),
    "fill": lambda layer: layer.fill((20, 20), 4),
    "polygon": lambda layer: layer.paint_polygon([[5, 5], [5, 40], [40, 40]], 5),
    "set item": lambda layer: layer.data_setitem((np.array([1, 2]), np.array([1, 2])), 6),
    "assign": lambda layer: setattr(layer, "data", np.full((60, 80), 7, np.int32)),
    "in place, with a refresh": lambda layer: (layer.data.__setitem__((3, 3), 8), layer.refresh()),
}


@pytest.mark.parametrize("edit", EDITS)
def test_every_edit_is_saved(desk, edit):
    assert desk.entries() == []
    EDITS[edit](desk.layer)
    assert desk.is_saved()


def test_undo_and_redo_are_saved(desk):
    desk.layer.paint((20, 20), 3)
    assert desk.is_saved()
    desk.layer.undo()
    assert desk.is_saved()
    assert not desk.layer.data.any()
    desk.layer.redo()
    assert desk.is_saved()


def test_a_write_that_announces_nothing_is_found(desk):
    desk.layer.data[5, 5] = 9
    desk.settle()
    assert desk.entries() == []
    desk.saver._look_at_all()
    assert desk.is_saved()


def test_a_layer_that_nobody_edited_is_not_saved(desk):
    desk.layer.refresh()
    desk.layer.opacity = 0.3
    desk.layer.name = "renamed"
    desk.settle()
    desk.saver._look_at_all()
    desk.settle()
    assert desk.entries() == []


def test_our_own_writes_are_no_edits(desk):
    desk.layer.data = np.full((60, 80), 2, np.int32)
    desk.saver.accept(desk.layer)
    desk.settle()
    assert desk.entries() == []
    desk.layer.paint((20, 20), 3)
    assert desk.is_saved()


def test_painting_at_once_after_our_own_write_is_saved(desk):
    desk.layer.data = np.full((60, 80), 2, np.int32)
    desk.saver.accept(desk.layer)
    desk.layer.paint((20, 20), 3)
    assert desk.is_saved()


def test_painting_while_it_is_first_looked_at_is_saved(desk, monkeypatch):
    run, started = watching.Look.run, threading.Event()

    def slow(look, session):
        started.set()
        time.sleep(0.2)
        return run(look, session)

    monkeypatch.setattr(watching.Look, "run", slow)
    layer = desk.viewer.add_labels(np.zeros((60, 80), np.int32))
    desk.saver.watch(layer)
    desk.qtbot.waitUntil(started.is_set)
    layer.data[7, 7] = 5  # as a stroke does, before it is announced
    layer.paint((20, 20), 3)
    desk.settle()
    assert any(np.array_equal(kept, layer.data) for kept in desk.entries())


def test_continuous_painting_is_saved_before_it_ends(desk):
    saved = []
    desk.saver.saved.connect(lambda name: saved.append(time.monotonic()))
    start = time.monotonic()
    while time.monotonic() - start < 1.5:
        desk.layer.paint((20, int(10 + 30 * (time.monotonic() - start))), 3)
        desk.qtbot.wait(10)
    assert len(saved) >= 2
    assert saved[0] - start < 1.2
    assert desk.is_saved()


def test_never_two_saves_at_once_and_the_last_state_wins(desk, monkeypatch):
    run, running, most = watching.Look.run, [], []

    def counted(look, session):
        running.append(look)
        most.append(len(running))
        time.sleep(0.1)
        answer = run(look, session)
        running.pop()
        return answer

    monkeypatch.setattr(watching.Look, "run", counted)
    others = [desk.viewer.add_labels(np.zeros((20, 20), np.int32)) for _ in range(2)]
    for layer in others:
        desk.saver.watch(layer)
    for step in range(8):
        for layer in (desk.layer, *others):
            layer.paint((5, step), 1 + step)
        desk.qtbot.wait(90)
    desk.settle()
    assert set(most) == {1}
    for layer in (desk.layer, *others):
        assert any(np.array_equal(kept, layer.data) for kept in desk.entries())


def test_trouble_is_told_once_and_saving_tried_again(desk, monkeypatch):
    def full(*arguments, **settings):
        raise OSError(28, "No space left on device", "somewhere/file")

    monkeypatch.setattr(recovery, "save", full)
    for label in (3, 4):
        desk.layer.paint((20, 20), label)
        desk.settle()
    assert desk.told == ["Edits of 'cells' are not autosaved. The disk is full (somewhere). Nothing was half-written; "
                         "free some space or choose another folder."]  # fmt: skip
    monkeypatch.undo()
    desk.saver._look_at_all()
    desk.settle()
    assert len(list(recovery.recovery_folder().rglob("*.npz"))) + len(desk.entries()) >= 1


def test_what_is_exported_need_not_be_kept(desk):
    desk.layer.paint((20, 20), 3)
    assert desk.is_saved()
    taken = desk.saver.changes(desk.layer)
    desk.saver.exported(desk.layer, taken)
    desk.settle()
    assert desk.entries() == []
    desk.layer.paint((40, 40), 5)
    assert desk.is_saved()


def test_what_was_painted_during_an_export_is_kept(desk):
    taken = desk.saver.changes(desk.layer)
    desk.layer.paint((20, 20), 3)
    desk.saver.exported(desk.layer, taken)
    assert desk.is_saved()


def test_a_layer_that_is_removed_is_saved_first(desk):
    desk.layer.paint((20, 20), 3)
    painted = desk.layer.data.copy()
    desk.viewer.layers.remove(desk.layer)
    desk.qtbot.waitUntil(lambda: not desk.saver._watched)
    assert np.array_equal(desk.entries()[0], painted)


def test_closing_saves_what_is_pending(desk):
    desk.layer.paint((20, 20), 3)
    desk.saver.close()
    (entry,) = recovery.abandoned()
    assert np.array_equal(recovery.load(entry), desk.layer.data)


def test_forgotten_layers_have_no_listeners_left(desk):
    before = len(desk.layer.events.paint.callbacks)
    desk.saver.forget(desk.layer)
    assert len(desk.layer.events.paint.callbacks) == before - 1
    desk.layer.paint((20, 20), 3)
    desk.qtbot.wait(400)
    assert desk.entries() == []


@pytest.fixture
def left(desk):
    """Edits that a closed window left."""
    desk.layer.paint((20, 20), 3)
    desk.saver.close()
    (entry,) = recovery.abandoned()
    desk.saver = Autosaver(desk.viewer)
    return entry


def shown(qtbot, desk) -> RecoveryBar:
    bar = offer_recovery(desk.viewer, desk.saver)
    qtbot.addWidget(bar)
    bar.wait()
    return bar


def test_what_was_left_is_offered_and_restored_where_it_was(desk, left, qtbot):
    bar = shown(qtbot, desk)
    assert not bar.isHidden()
    assert bar.text.text().startswith("Edits of 'cells' from ")
    bar.restore.click()
    bar.wait()
    layer = desk.viewer.layers[-1]
    assert layer.name == "cells (recovered)"
    assert isinstance(layer.data, np.ndarray)
    assert np.array_equal(layer.data, desk.layer.data)
    np.testing.assert_allclose(layer.data_to_world((7, 9)), desk.layer.data_to_world((7, 9)))
    assert layer.units == desk.layer.units
    assert bar.isHidden()
    layer.paint((50, 50), 9)
    desk.layer = layer
    assert desk.is_saved()


def test_a_crash_after_restoring_loses_nothing(desk, left, qtbot):
    bar = shown(qtbot, desk)
    bar.restore.click()
    bar.wait()
    (kept,) = desk.entries()
    assert np.array_equal(kept, desk.viewer.layers[-1].data)
    desk.saver.close()
    (entry,) = recovery.abandoned()
    assert entry.name == "cells"


def test_what_is_discarded_is_not_offered_again(desk, left, qtbot):
    bar = shown(qtbot, desk)
    bar.discard.click()
    assert bar.isHidden()
    assert recovery.abandoned() == []
    assert shown(qtbot, desk).isHidden()


def test_what_somebody_else_took_meanwhile_is_told(desk, left, qtbot):
    bar = shown(qtbot, desk)
    recovery.discard(left)
    bar.restore.click()
    bar.wait()
    assert "cannot be restored" in bar.text.text()
    assert [layer.name for layer in desk.viewer.layers] == ["cells"]


def test_a_stack_in_another_place_is_restored(qtbot):
    viewer = ViewerModel()
    data = np.zeros((3, 20, 30), np.uint16)
    affine = np.array([[1, 0, 0, 2], [0, 0.8, -0.6, 1], [0, 0.6, 0.8, 0], [0, 0, 0, 1.0]])
    layer = viewer.add_labels(
        data, name="stack", scale=(5, 2, 1), shear=[0, 0, 0.3], affine=affine, units=("s", "um", "um"),
        axis_labels=("t", "y", "x"), metadata={"made": {"by": np.float32(2)}},
    )  # fmt: skip
    saver = Autosaver(viewer)
    saver.watch(layer)
    layer.paint((1, 5, 5), 2)
    saver.close()
    saver = Autosaver(viewer)
    bar = offer_recovery(viewer, saver)
    qtbot.addWidget(bar)
    bar.wait()
    bar.restore.click()
    bar.wait()
    again = viewer.layers[-1]
    assert again.data.dtype == np.uint16
    for corner in ((0, 0, 0), (2, 19, 0), (1, 7, 29)):
        np.testing.assert_allclose(again.data_to_world(corner), layer.data_to_world(corner))
    assert (again.units, again.axis_labels) == (layer.units, layer.axis_labels)
    assert again.metadata == {"made": {"by": 2.0}}
    saver.close()


def test_what_is_offered_says_when_it_was(left):
    today = left.saved_at.astimezone()
    assert describe([left], now=today) == f"Edits of 'cells' from {today:%H:%M} were not saved."
    later = today.replace(year=today.year + 1)
    assert f"{today:%B}" in describe([left, left], now=later)
    assert describe([left, left]).endswith("(1 more).")


PAINT_WITH_THE_MOUSE = """
import sys, time, napari, numpy as np
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from napari_what_where.widgets.autosaving import Autosaver

def settle(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.005)

viewer = napari.Viewer()
layer = viewer.add_labels(np.zeros((400, 400), np.int32), name="mine")
saver = Autosaver(viewer)
saver.watch(layer)
layer.mode, layer.brush_size, layer.selected_label = "paint", 30, 3
settle(1.0)
canvas = viewer.window._qt_viewer.canvas.native
middle = canvas.rect().center()
QTest.mousePress(canvas, Qt.MouseButton.LeftButton, pos=middle)
for step in range(30):
    QTest.mouseMove(canvas, middle + QPoint(3 * step, step))
    settle(0.01)
QTest.mouseRelease(canvas, Qt.MouseButton.LeftButton, pos=middle + QPoint(90, 30))
np.save(sys.argv[1], layer.data)
print("painted", int((layer.data == 3).sum()), flush=True)
settle(60)
"""


@pytest.mark.slow
def test_killed_five_seconds_after_the_last_stroke_nothing_is_lost(tmp_path):
    """A window of its own, painted in with the mouse, at the real pace."""
    command = [sys.executable, "-c", PAINT_WITH_THE_MOUSE, str(tmp_path / "painted.npy")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        word, count = process.stdout.readline().split()
        time.sleep(5)
        process.send_signal(signal.SIGKILL)
    assert word == "painted"
    assert int(count) > 1000
    (entry,) = recovery.abandoned()
    assert entry.name == "mine"
    assert np.array_equal(recovery.load(entry), np.load(tmp_path / "painted.npy"))
