"""Edits as steps of napari's own undo: changed pixels only, restored bit for bit, bounded in bytes."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Labels

from napari_what_where.refinement.edit import edit_between
from napari_what_where.widgets.refine import history
from napari_what_where.widgets.refine.editing import named, names_of, prepare, rename, write
from napari_what_where.widgets.refine.history import Packed, bound_history, history_bytes
from napari_what_where.widgets.refine.target import Plane, every_plane


def plane_of(layer, *index) -> Plane:
    index = index or (slice(None),) * 2
    return Plane(layer, index, tuple(axis for axis, step in enumerate(index) if isinstance(step, slice)))


def write_plane(plane, after) -> int:
    return write(plane.layer, [change for change in [prepare(plane, edit_between(plane.read(), after, ""))] if change])


small_planes = arrays.arrays(np.int32, (5, 6), elements=st.integers(0, 4))


@given(first=small_planes, second=small_planes, third=small_planes)
def test_undo_and_redo_restore_every_state(first, second, third):
    layer = Labels(first.copy())
    told = []
    layer.events.paint.connect(lambda event: told.append(layer.data.copy()))
    states = [first]
    for after in (second, third):
        write_plane(plane_of(layer), after)
        if not np.array_equal(states[-1], after):
            states.append(after)
            np.testing.assert_array_equal(told[-1], after)  # it is told when it is done
        np.testing.assert_array_equal(layer.data, after)
    assert len(told) == len(layer._undo_history) == len(states) - 1
    for state in states[-2::-1]:
        layer.undo()
        np.testing.assert_array_equal(layer.data, state)
    for state in states[1:]:
        layer.redo()
        np.testing.assert_array_equal(layer.data, state)


@given(before=small_planes, after=small_planes)
def test_a_step_keeps_changed_pixels_only(before, after):
    """So pixels that a script changes in between stay as the script left them."""
    layer = Labels(before.copy())
    write_plane(plane_of(layer), after)
    kept = before == after
    layer.data[kept] = 7
    layer.undo()
    np.testing.assert_array_equal(layer.data, np.where(kept, 7, before))


@pytest.mark.parametrize(
    "index", [(1, slice(None), slice(None)), (slice(None), 2, slice(None)), (slice(None), slice(None), 3)]
)
@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint64])
def test_planes_of_stacks_along_any_axis(index, dtype, rng):
    stack = rng.integers(0, 9, (4, 5, 6)).astype(dtype)
    layer = Labels(stack.copy())
    after = stack.copy()
    after[index] = rng.integers(0, 9, after[index].shape)
    write_plane(plane_of(layer, *index), after[index].astype(np.int64))
    np.testing.assert_array_equal(layer.data, after)
    assert layer.data.dtype == dtype
    layer.undo()
    np.testing.assert_array_equal(layer.data, stack)


def test_all_planes_are_one_step(rng):
    stack = rng.integers(0, 9, (2, 3, 5, 6)).astype(np.int16)
    layer = Labels(stack.copy())
    planes = list(every_plane(plane_of(layer, 0, 0, slice(None), slice(None))))
    assert len(planes) == 6
    edits = [edit_between(plane.read(), plane.read() + 1, "") for plane in planes]
    write(layer, [prepare(plane, edit) for plane, edit in zip(planes, edits, strict=True)])
    np.testing.assert_array_equal(layer.data, stack + 1)
    assert len(layer._undo_history) == 1
    layer.undo()
    np.testing.assert_array_equal(layer.data, stack)


def test_a_label_that_does_not_fit_is_refused_in_words():
    layer = Labels(np.zeros((4, 5), np.uint8))
    with pytest.raises(ValueError, match="300 does not fit into 'Labels', whose labels go up to 255"):
        prepare(plane_of(layer), edit_between(layer.data, np.full((4, 5), 300), ""))
    assert not layer.data.any()


def test_what_napari_draws_is_as_if_it_were_drawn_anew(rng):
    for contour in (0, 1):
        layer = Labels(rng.integers(0, 9, (12, 14)).astype(np.int32))
        layer.contour = contour
        write_plane(plane_of(layer), rng.integers(0, 9, (12, 14)))
        drawn = np.array(layer._slice.image.view)
        layer.refresh()
        np.testing.assert_array_equal(drawn, layer._slice.image.view)


def test_the_history_is_bounded_in_bytes(rng):
    layer = Labels(rng.integers(0, 9, (40, 50)).astype(np.int32))
    for _ in range(30):
        write_plane(plane_of(layer), rng.integers(0, 9, (40, 50)))
    assert len(layer._undo_history) == 30
    most = history_bytes(layer) // 3
    assert bound_history(layer, most) >= 19
    assert history_bytes(layer) <= most
    state = layer.data.copy()
    kept = len(layer._undo_history)
    for _ in range(kept):
        layer.undo()
    assert bound_history(layer, most // 2) > 0  # redo counts, too
    assert history_bytes(layer) <= most // 2
    assert not np.array_equal(layer.data, state)


def test_huge_steps_are_packed_and_can_be_undone(monkeypatch, rng):
    monkeypatch.setattr(history, "PACKED_FROM", 1000)
    before = rng.integers(0, 3, (10, 10)).repeat(8, 0).repeat(8, 1).astype(np.int32)
    layer = Labels(before.copy())
    after = np.where(before == 1, 300 + before, before + 1)
    write_plane(plane_of(layer), after)
    assert history_bytes(layer) < before.nbytes / 4
    layer.undo()
    np.testing.assert_array_equal(layer.data, before)
    layer.redo()
    np.testing.assert_array_equal(layer.data, after)


@given(arrays.arrays(st.sampled_from([np.bool_, np.uint8, np.int64]), arrays.array_shapes(max_dims=3)))
def test_packed_arrays_come_back(array):
    back = np.asarray(Packed(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_an_older_napari_gets_indices(monkeypatch, rng):
    from napari.layers.labels import labels as module

    monkeypatch.delattr(module, "_MaskedPaintAtom")
    before = rng.integers(0, 3, (6, 7)).astype(np.int32)
    mask = before == 1
    indices, old, new = history.atom((slice(2, 8), slice(3, 10)), mask, before[mask], before[mask] + 5)
    np.testing.assert_array_equal(np.array(indices), np.add(np.nonzero(mask), [[2], [3]]))
    assert (old == 1).all()
    assert new == 6


def test_names_take_their_turn_in_undo():
    layer = Labels(np.ones((4, 5), np.int32))
    rename(layer, 1, "nucleus")
    layer.paint((1, 1), 2)
    rename(layer, 2, "speck")
    assert names_of(layer) == {1: "nucleus", 2: "speck"}
    layer.undo()
    assert names_of(layer) == {1: "nucleus"}
    layer.undo()
    assert (layer.data == 1).all()
    layer.undo()
    assert names_of(layer) == {}
    for _ in range(3):
        layer.redo()
    assert names_of(layer) == {1: "nucleus", 2: "speck"}
    assert layer.data[1, 1] == 2


def test_features_of_others_stay():
    import pandas as pd

    theirs = pd.DataFrame({"area": [0.0, 4.0, 5.0], "kind": [0, 1, 2]})
    table = named(theirs, 2, "cell")
    assert list(table["index"]) == [0, 1, 2]  # napari takes rows for labels where there is no such column
    assert table["name"][2] == "cell"
    pd.testing.assert_frame_equal(table[["area", "kind"]], theirs)
    more = named(table, 9, "new")
    assert more["name"].tolist()[-1] == "new"
    pd.testing.assert_frame_equal(more[["area"]][:3], theirs[["area"]])
