"""Labels in every kind of array: those that take new values are edited, of the others the dock says so at once."""

from __future__ import annotations

import dask.array
import numpy as np
import pytest
import tensorstore
import zarr
from napari.layers import Labels

from napari_what_where.refinement.edit import edit_between
from napari_what_where.widgets.refine.editing import names_of, prepare, write
from napari_what_where.widgets.refine.target import every_plane, plane_on_screen
from tests.widgets.refine.test_editing import plane_of, write_plane
from tests.widgets.refine.test_table_and_tidy import select


def in_zarr(array, tmp_path, mode="r+"):
    made = zarr.create_array(
        tmp_path / "a.zarr", shape=array.shape, dtype=array.dtype, chunks=(1, 32, 32)[-array.ndim :]
    )
    made[...] = array
    return zarr.open_array(tmp_path / "a.zarr", mode=mode)


def in_tensorstore(array, tmp_path, mode="r+"):
    spec = {"driver": "zarr", "kvstore": {"driver": "file", "path": str(tmp_path / "b.zarr")}}
    made = tensorstore.open(spec, create=True, dtype=array.dtype, shape=array.shape).result()
    made[...] = array
    return made if mode == "r+" else tensorstore.open(spec, read=True, write=False).result()


KINDS = {"numpy": lambda array, tmp_path: array.copy(), "zarr": in_zarr, "tensorstore": in_tensorstore}


@pytest.mark.parametrize("kind", KINDS)
def test_all_kinds_of_edits_and_their_undo(driver, picture, wrong, tmp_path, kind):
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(KINDS[kind](wrong.astype(np.uint8), tmp_path))
    assert kind == "numpy" or not isinstance(layer.data, np.ndarray)
    driver.wait_for_table()
    select(driver, 4)
    driver.press("delete")
    assert "deleted" in driver.message
    assert not (driver.labels == 4).any()
    driver.press("split")
    driver.click((16, 16))
    assert "is new" in driver.message
    driver.press("grow")
    driver.turn((46, 48), 1)
    driver.press("scribble")
    assert driver.dock.active == "scribble", driver.message
    driver.press("scribble")
    driver.press("relabel")
    driver.dock.actions.rename(2, "coin")
    steps = len(layer._undo_history)
    assert steps == 5
    after = driver.labels.copy()
    np.testing.assert_array_equal(np.unique(after), range(6))
    for _ in range(steps):
        driver.press("undo")
    np.testing.assert_array_equal(driver.labels, wrong)
    assert names_of(layer) == {}
    for _ in range(steps):
        driver.press("redo")
    np.testing.assert_array_equal(driver.labels, after)
    assert names_of(layer) == {2: "coin"}


def memory_map(array, tmp_path):
    array.tofile(tmp_path / "labels.raw")
    return np.memmap(tmp_path / "labels.raw", array.dtype, "r", shape=array.shape)


READ_ONLY = {
    "a memory map": memory_map,
    "numpy": lambda array, tmp_path: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "broadcast": lambda array, tmp_path: np.broadcast_to(array, (2, *array.shape)),
    "zarr": lambda array, tmp_path: in_zarr(array, tmp_path, "r"),
    "tensorstore": lambda array, tmp_path: in_tensorstore(array, tmp_path, "r"),
    "dask": lambda array, tmp_path: dask.array.from_array(array),
}


@pytest.mark.parametrize("kind", READ_ONLY)
def test_what_can_only_be_read_is_refused_before_anything_is_begun(driver, picture, wrong, tmp_path, kind):
    driver.viewer.add_image(picture)
    layer = driver.viewer.add_labels(READ_ONLY[kind](wrong, tmp_path), name="theirs")
    driver.wait_for_table()
    model = driver.panel.model_of_objects
    assert model.rowCount() == 5  # to look at it, it will do
    select(driver, 4)
    for name in ("scribble", "merge", "split", "grow", "similar", "holes", "relabel", "delete", "join"):
        driver.panel.message.setText("")
        driver.press(name)
        assert "'theirs' can only be read" in driver.message, name
        assert ("Duplicate" if isinstance(layer.data, np.ndarray) else "Save it") in driver.message
        assert driver.dock.active is None
    driver.dock.actions.rename(4, "coin")
    assert "can only be read" in driver.message
    assert not layer._undo_history
    assert not layer._staged_history
    assert driver.names() == [driver.viewer.layers[0].name, "theirs"]


def test_what_is_duplicated_can_be_edited(driver, wrong, tmp_path):
    from napari.layers._layer_actions import _duplicate_layer

    driver.viewer.add_labels(memory_map(wrong, tmp_path))
    _duplicate_layer(driver.viewer.layers)
    driver.viewer.layers.selection.active = driver.viewer.layers[-1]
    driver.wait_for_table()
    select(driver, 4)
    driver.press("delete")
    assert not (driver.labels == 4).any()


def test_several_resolutions_are_refused_in_words(driver, picture, wrong):
    driver.viewer.add_image(picture)
    driver.viewer.add_labels([wrong, wrong[::2, ::2]], multiscale=True)
    for name in ("scribble", "split", "holes", "delete"):
        driver.panel.message.setText("")
        driver.press(name)
        assert "several resolutions" in driver.message
        assert driver.dock.active is None
    assert len(driver.viewer.layers) == 2


class Failing(np.ndarray):
    """An array whose third write fails."""

    writes = 0

    def __setitem__(self, key, value):
        Failing.writes += 1
        if Failing.writes == 3:
            raise OSError("The disk is full")
        super().__setitem__(key, value)


def test_a_write_that_fails_midway_leaves_nothing(make_napari_viewer, rng):
    stack = rng.integers(0, 5, (4, 8, 9)).astype(np.int32)
    viewer = make_napari_viewer()
    layer = viewer.add_labels(stack.copy())
    layer.paint((0, 2, 2), 7)
    layer.undo()
    layer._data = layer.data.view(Failing)
    Failing.writes = 0
    planes = list(every_plane(plane_on_screen(viewer, layer)))
    changes = [prepare(plane, edit_between(plane.read(), plane.read() + 1, "")) for plane in planes]
    with pytest.raises(OSError, match="disk is full"):
        write(layer, changes)
    np.testing.assert_array_equal(layer.data, stack)
    assert not layer._undo_history
    assert not layer._staged_history
    assert len(layer._redo_history) == 1
    write(layer, changes)
    np.testing.assert_array_equal(layer.data, stack + 1)
    layer.undo()
    np.testing.assert_array_equal(layer.data, stack)


def test_who_fails_when_told_of_a_step_does_not_have_it_done_twice(rng):
    labels = rng.integers(0, 5, (8, 9)).astype(np.int32)
    layer = Labels(labels.copy())

    def fail(event):
        raise RuntimeError("a plugin")

    layer.events.paint.connect(fail)
    with pytest.raises(Exception, match="plugin"):
        write_plane(plane_of(layer), labels + 1)
    assert len(layer._undo_history) == 1
    assert not layer._staged_history
    layer.undo()
    np.testing.assert_array_equal(layer.data, labels)
