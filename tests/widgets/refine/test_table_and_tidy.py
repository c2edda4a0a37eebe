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
