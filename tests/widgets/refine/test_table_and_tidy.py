"""The table of objects and what is done in it; tidying up, on the selection or all, one plane or every one."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QItemSelectionModel, Qt

from napari_what_where.widgets.picking import camera_of
from napari_what_where.widgets.refine.editing import names_of
from napari_what_where.widgets.refine.table_model import KIND, LABEL, LOCK, NAME, POSITION, SCORE, SIZE, ObjectsModel


@pytest.fixture
def opened(driver, picture, wrong):
    driver.viewer.add_image(picture, name="discs")
    driver.viewer.add_labels(wrong.copy(), name="theirs")
    driver.wait_for_table()
    return driver


def cells(driver, column):
    model = driver.panel.model_of_objects
    return [model.data(model.index(row, column)) for row in range(model.rowCount())]


def select(driver, *labels):
    view, model = driver.panel.table, driver.panel.model_of_objects
    view.clearSelection()
    for label in labels:
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        view.selectionModel().select(model.index(model.row_of(label), 0), flags)


def test_rows_are_the_objects_of_the_plane(opened, wrong):
    assert cells(opened, LABEL) == ["2", "3", "4", "5", "9"]
    assert cells(opened, SIZE)[-1] == str((wrong == 9).sum())
    assert cells(opened, POSITION)[2] == "46, 16"
    assert cells(opened, SCORE)[0] == "–"  # nothing is known of the image yet
    opened.press("split")
    opened.click((16, 16))
    opened.wait_for_table()
    assert cells(opened, LABEL) == ["2", "3", "4", "5", "9", "10"]
    assert 0 < float(cells(opened, SCORE)[2]) <= 1
    assert cells(opened, KIND)[3] != "–"
    opened.dock.layer.undo()
    opened.wait_for_table()
    assert cells(opened, LABEL) == ["2", "3", "4", "5", "9"]


def test_physical_units(driver, wrong):
    driver.viewer.add_labels(wrong.copy(), scale=(0.5, 0.25), units=("um", "um"))
    driver.wait_for_table()
    model = driver.panel.model_of_objects
    assert model.headerData(SIZE, Qt.Orientation.Horizontal) == "Size (µm²)"
    assert float(cells(driver, SIZE)[0]) == pytest.approx((wrong == 2).sum() / 8, rel=1e-4)


def test_rows_follow_the_plane_on_screen(driver, wrong):
    driver.viewer.add_labels(np.stack([wrong, np.where(wrong == 3, 3, 0)]))
    driver.viewer.dims.set_current_step(0, 0)
    driver.wait_for_table()
    assert len(cells(driver, LABEL)) == 5
    driver.viewer.dims.set_current_step(0, 1)
    driver.wait_for_table()
    assert cells(driver, LABEL) == ["3"]


def test_a_click_goes_there(opened, wrong):
    camera_of(opened.viewer).center = (0, 0)
    model = opened.panel.model_of_objects
    opened.panel.table.clicked.emit(model.index(model.row_of(5), LABEL))
    np.testing.assert_allclose(np.array(camera_of(opened.viewer).center)[-2:], (46, 48), atol=0.6)
    assert opened.dock.layer.selected_label == 5


def test_delete_and_merge_rows(opened, wrong):
    select(opened, 3, 9)
    opened.press("join")
    assert set(np.unique(opened.labels)) == {0, 2, 3, 4, 5} or set(np.unique(opened.labels)) == {0, 2, 9, 4, 5}
    opened.wait_for_table()
    select(opened, 4, 5)
    opened.press("delete")
    assert not np.isin(opened.labels, (4, 5)).any()
    for _ in range(2):
        opened.dock.layer.undo()
    np.testing.assert_array_equal(opened.labels, wrong)


def test_rename_in_place_and_undo(opened):
    model = opened.panel.model_of_objects
    index = model.index(model.row_of(4), NAME)
    assert model.flags(index) & Qt.ItemFlag.ItemIsEditable
    model.setData(index, "nucleus ")
    assert cells(opened, NAME)[2] == "nucleus"
    assert names_of(opened.dock.layer) == {4: "nucleus"}
    model.setData(index, "nucleus")
    assert len(opened.dock.layer._undo_history) == 1  # nothing new
    opened.press("undo")
    assert cells(opened, NAME)[2] == ""
    opened.press("redo")
    assert cells(opened, NAME)[2] == "nucleus"


def test_locks_are_shown_and_kept(opened, wrong):
    model = opened.panel.model_of_objects
    opened.panel.table.clicked.emit(model.index(model.row_of(2), LOCK))
    locks = [model.data(model.index(row, LOCK), Qt.ItemDataRole.AccessibleTextRole) for row in range(5)]
    assert locks == ["locked", "free", "free", "free", "free"]
    assert model.data(model.index(0, LOCK), Qt.ItemDataRole.DecorationRole) is not None
    select(opened, 2, 3)
    opened.press("delete")
    assert (opened.labels[wrong == 2] == 2).all()
    assert not (opened.labels == 3).any()
    opened.wait_for_table()
    select(opened, 4)
    opened.press("lock_others")
    assert opened.dock.locks.of(opened.dock.layer) == {2, 5, 9}
    select(opened, 2, 5, 9)
    opened.press("lock")
    assert not opened.dock.locks.of(opened.dock.layer)


def test_sorting_and_selection_survive_an_edit(opened):
    opened.panel.table.sortByColumn(SIZE, Qt.SortOrder.DescendingOrder)
    assert cells(opened, LABEL)[0] == "2"
    select(opened, 5)
    opened.press("merge")
    opened.click((16, 75))
    opened.click((16, 85))
    opened.wait_for_table()
    sizes = [float(each) for each in cells(opened, SIZE)]
    assert sizes == sorted(sizes, reverse=True)


def test_thousands_of_rows_sort_at_once():
    model = ObjectsModel()
    many = np.arange(1, 5001)
    columns = {name: many.astype(float) for name in ("area", "score", "centroid_row", "centroid_column")}
    model.show({"label": many, **columns}, names={7: "x"}, locked=[9], colour=lambda label: None, unit=None)
    for column in range(model.columnCount()):
        for order in (Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder):
            model.sort(column, order)
            assert sorted(model.labels) == many.tolist()
    model.sort(LOCK)
    assert model.label_at(0) == 9


def test_without_a_choice_nothing_is_deleted(driver, wrong):
    labels = np.where(wrong == 2, 1, wrong)
    layer = driver.viewer.add_labels(labels.copy())
    assert layer.selected_label == 1  # as napari begins
    layer.new_colormap()  # tells of the selected label, too
    for key in ("Shift-D", "Shift-J", "Shift-N", "Shift-G"):
        assert driver.key(key)
        assert "click" in driver.message
        np.testing.assert_array_equal(driver.labels, labels)
    assert not layer._undo_history
    assert not driver.dock.locks.of(layer)


@pytest.mark.parametrize("how", ["napari's picker", "napari's control", "a tool", "another label before the dock"])
def test_what_was_chosen_is_deleted(driver, wrong, how):
    label = 3 if how == "another label before the dock" else 1
    labels = np.where(wrong == 2, 1, wrong)
    layer = driver.viewer.add_labels(labels.copy())
    if how == "napari's picker":
        layer.mode = "pick"
        assert not driver.dock.objects.selected()
        driver.click((16, 16))
        layer.mode = "pan_zoom"
        assert not [each for each in layer.mouse_drag_callbacks if each.__module__.startswith("napari_what_where")]
    elif how == "napari's control":
        layer.selected_label = 4
        layer.selected_label = 1
    elif how == "a tool":
        driver.press("merge")
        driver.click((16, 16))
        driver.press("merge")
        driver.panel.table.clearSelection()
    else:
        other = driver.viewer.add_labels(labels.copy())
        layer.selected_label = label
        driver.viewer.layers.selection.active = layer
        driver.viewer.layers.remove(other)
    assert layer.selected_label == label
    assert driver.key("Shift-D")
    np.testing.assert_array_equal(driver.labels, np.where(labels == label, 0, labels))


# Stacks


@pytest.fixture
def stacked(driver, wrong):
    driver.stack = np.stack([wrong, np.where(wrong == 3, 3, 0), np.where(wrong > 3, wrong, 0)])
    driver.stack[2, :4, :4] = 12
    driver.viewer.add_labels(driver.stack.copy(), name="theirs")
    driver.viewer.dims.set_current_step(0, 0)
    driver.wait_for_table()
    return driver


EVERY = pytest.mark.parametrize(("every", "told"), [(False, "on this plane"), (True, "on all planes")])


@EVERY
def test_delete_in_a_stack_goes_by_the_choice_of_planes(stacked, every, told):
    stacked.panel.planes.setCurrentIndex(int(every))
    select(stacked, 3, 5)
    stacked.press("delete")
    assert stacked.message == f"2 objects are deleted {told}."
    gone = np.isin(stacked.stack, (3, 5)) & (every | (np.arange(3) == 0)[:, None, None])
    np.testing.assert_array_equal(stacked.labels, np.where(gone, 0, stacked.stack))
    assert len(stacked.dock.layer._undo_history) == 1
    stacked.press("undo")
    np.testing.assert_array_equal(stacked.labels, stacked.stack)


@EVERY
@pytest.mark.parametrize("by", ["rows", "clicks"])
def test_merge_in_a_stack_goes_by_the_choice_of_planes(stacked, every, told, by):
    stacked.panel.planes.setCurrentIndex(int(every))
    if by == "rows":
        select(stacked, 4, 5, 9)
        stacked.press("join")
    else:
        stacked.press("merge")
        stacked.click((0, 46, 16))
        stacked.click((0, 46, 48))
        stacked.click((0, 16, 85))
    members = np.isin(stacked.stack, (4, 5, 9)) & (every | (np.arange(3) == 0)[:, None, None])
    assert told in stacked.message
    target = stacked.dock.layer.selected_label
    assert target in (4, 5)
    np.testing.assert_array_equal(stacked.labels, np.where(members, target, stacked.stack))
    assert len(stacked.dock.layer._undo_history) == (1 if by == "rows" else 2)
    for _ in range(2):
        stacked.dock.layer.undo()
    np.testing.assert_array_equal(stacked.labels, stacked.stack)


@pytest.mark.parametrize("name", ["small", "relabel"])
def test_tidying_a_plane_of_a_stack_says_so(stacked, name):
    stacked.panel.small.setValue(10_000)
    stacked.press(name)
    assert stacked.message.endswith(" on this plane.")
    np.testing.assert_array_equal(stacked.labels[1:], stacked.stack[1:])


def test_merging_goes_on_from_plane_to_plane(stacked):
    stacked.panel.planes.setCurrentIndex(1)
    stacked.press("merge")
    stacked.click((0, 46, 16))
    stacked.viewer.dims.set_current_step(0, 2)
    stacked.click((2, 1, 1))
    assert "now object 4 on all planes" in stacked.message
    np.testing.assert_array_equal(stacked.labels, np.where(stacked.stack == 12, 4, stacked.stack))


@pytest.mark.parametrize("at_once", [2**21, 0])
@EVERY
def test_lock_others_in_a_stack_goes_by_the_choice_of_planes(stacked, every, told, at_once, monkeypatch):
    monkeypatch.setattr("napari_what_where.widgets.refine.steps.AT_ONCE", at_once)
    stacked.panel.planes.setCurrentIndex(int(every))
    select(stacked, 4)
    stacked.press("lock_others")
    assert stacked.dock.locks.of(stacked.dock.layer) == ({2, 3, 5, 9, 12} if every else {2, 3, 5, 9})
    assert told in stacked.message
    if every:  # so that the rest stays as it is
        stacked.press("relabel")
        stacked.press("small")
        others = stacked.stack != 4
        np.testing.assert_array_equal(stacked.labels[others], stacked.stack[others])


def test_what_is_done_on_one_plane_of_a_stack_says_so(driver, picture, wrong):
    driver.viewer.add_image(np.stack([picture[..., 0]] * 2))
    driver.viewer.add_labels(np.stack([wrong] * 2))
    driver.viewer.dims.set_current_step(0, 0)
    assert driver.panel.planes.isVisibleTo(driver.dock)
    driver.panel.planes.setCurrentIndex(1)
    driver.press("split")
    driver.click((0, 16, 16))
    assert driver.message.endswith("is new on this plane.")
    driver.press("grow")
    driver.turn((0, 46, 16), -1)
    assert driver.message.endswith("pixels on this plane.")
    np.testing.assert_array_equal(driver.labels[1], wrong)
    driver.dock.layer.data = wrong.copy()
    assert not driver.panel.planes.isVisibleTo(driver.dock)
    driver.wait_for_table()
    select(driver, 4)
    driver.press("delete")
    assert driver.message == "Object 4 is deleted."


# Tidying


@pytest.fixture
def messy(wrong):
    labels = wrong.copy()
    labels[44:48, 14:18] = 0  # a hole
    labels[60, 60], labels[2:4, 30:32] = 5, 3  # specks
    return labels


TIDIERS = {
    "holes": {"4"},
    "small": {"3", "5"},
    "largest": {"3", "5"},
    "separate": {"3", "5"},
    "relabel": None,
    "snap": None,
}


@pytest.mark.parametrize("name", TIDIERS)
def test_tidying_is_one_step(driver, picture, messy, name):
    driver.viewer.add_image(picture)
    driver.viewer.add_labels(messy.copy())
    driver.press(name)
    assert not np.array_equal(driver.labels, messy), driver.message
    assert len(driver.dock.layer._undo_history) == 1
    assert driver.viewer.status == driver.message
    driver.dock.layer.undo()
    np.testing.assert_array_equal(driver.labels, messy)


def test_tidying_the_selection(driver, messy):
    driver.viewer.add_labels(messy.copy())
    driver.wait_for_table()
    driver.panel.scope.setCurrentIndex(1)
    select(driver, 5)
    driver.press("small")
    assert driver.labels[60, 60] == 0
    assert driver.labels[2, 30] == 3
    select(driver)
    driver.dock.layer.selected_label = 77
    driver.press("small")
    assert "No object is selected" in driver.message


@pytest.mark.parametrize("name", ["holes", "small", "largest", "separate", "relabel"])
def test_tidying_all_planes_is_one_step(driver, messy, name):
    stack = np.stack([messy, np.where(messy > 3, messy, 0), np.roll(messy, 3)])
    driver.viewer.add_labels(stack.copy())
    driver.panel.planes.setCurrentIndex(1)
    driver.press(name)
    assert not np.array_equal(driver.labels, stack)
    assert len(driver.dock.layer._undo_history) == 1
    if name == "relabel":  # numbers mean the same on all planes
        assert len(np.unique(np.stack([stack, driver.labels]).reshape(2, -1), axis=1).T) == len(np.unique(stack))
    if name == "separate":
        new = [set(np.unique(plane)) - set(np.unique(stack)) for plane in driver.labels]
        assert not new[0] & new[2]
    driver.dock.layer.undo()
    np.testing.assert_array_equal(driver.labels, stack)


@pytest.mark.parametrize("every", [False, True])
def test_names_follow_their_objects_to_other_numbers(driver, messy, every):
    from napari_what_where.widgets.refine.editing import rename

    messy[messy == 4] = 40
    driver.viewer.add_labels(np.stack([messy, messy]) if every else messy.copy())
    layer = driver.dock.layer
    for label, name in ((3, "mother"), (5, "daughter"), (40, "cup"), (1, "gone")):
        rename(layer, label, name)
    before, named = driver.labels.copy(), names_of(layer)
    driver.panel.planes.setCurrentIndex(1 if every else 0)
    driver.press("relabel")
    after = driver.labels.copy()
    expected = {int(after[before == label][0]): name for label, name in named.items() if label in before}
    assert not np.array_equal(after, before)
    assert {label: name for label, name in names_of(layer).items() if label in after} == expected
    layer.undo()
    assert names_of(layer) == named
    np.testing.assert_array_equal(driver.labels, before)
    layer.redo()
    assert {label: name for label, name in names_of(layer).items() if label in after} == expected
    np.testing.assert_array_equal(driver.labels, after)


@pytest.mark.parametrize("every", [False, True])
def test_only_the_selection_is_numbered(driver, messy, every):
    from napari_what_where.widgets.refine.editing import rename

    driver.viewer.add_labels(np.stack([messy, messy]) if every else messy.copy())
    driver.viewer.dims.set_current_step(0, 0)
    rename(driver.dock.layer, 9, "half")
    driver.wait_for_table()
    driver.dock.locks.set(driver.dock.layer, [5])
    driver.panel.scope.setCurrentIndex(1)
    driver.panel.planes.setCurrentIndex(1 if every else 0)
    before = driver.labels.copy()
    select(driver, 3, 5, 9)
    driver.press("relabel")
    # 2 and 4 belong to others, 5 is locked, and 3 appears before 9.
    expected = before.copy()
    expected[before == 3], expected[before == 9] = 1, 3
    np.testing.assert_array_equal(driver.labels, expected)
    assert names_of(driver.dock.layer) == {3: "half"}
    driver.dock.layer.undo()
    np.testing.assert_array_equal(driver.labels, before)
    assert names_of(driver.dock.layer) == {9: "half"}


def test_negative_labels_get_no_number(driver, messy):
    messy[messy == 9] = -1
    driver.viewer.add_labels(messy.copy())
    driver.press("relabel")
    np.testing.assert_array_equal(driver.labels == -1, messy == -1)
    assert "Negative labels stay" in driver.message


def test_locked_labels_stay_untidy(driver, messy):
    driver.viewer.add_labels(messy.copy())
    driver.dock.locks.set(driver.dock.layer, [3, 4, 5])
    for name in ("holes", "small", "largest", "separate", "relabel"):
        driver.press(name)
    for label in (3, 4, 5):
        np.testing.assert_array_equal(driver.labels == label, messy == label)
