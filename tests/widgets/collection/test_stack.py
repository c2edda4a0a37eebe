"""The planes of a stack, from Run to labels that mean the same on each."""

from __future__ import annotations

import numpy as np

from napari_what_where.widgets.results import METADATA_KEY


def test_a_time_lapse_is_labelled_alike_on_every_frame(driver, frames):
    driver.viewer.add_image(
        frames, name="cells", scale=(60, 0.5, 0.5), translate=(0, 3, 4), units=("s", "um", "um"),
        axis_labels=("t", "y", "x"),
    )  # fmt: skip
    driver.run()
    assert driver.names() == ["cells", "cells [every t] eigenvectors (what)", "cells [every t] kinds (what)"]
    labels, vectors = driver.layer("kinds"), driver.layer("eigenvectors")
    assert isinstance(labels.data, np.ndarray)
    assert labels.data.shape == frames.shape
    dark = [np.bincount(plane[:, :6].ravel()).argmax() for plane in labels.data]
    bright = [np.bincount(plane[:, -6:].ravel()).argmax() for plane in labels.data]
    assert len(set(dark)) == len(set(bright)) == 1
    assert dark[0] != bright[0]
    assert labels.editable
    np.testing.assert_allclose(labels.scale, (60, 0.5, 0.5))
    np.testing.assert_allclose(labels.translate, (0, 3, 4))
    assert tuple(map(str, labels.units)) == ("second", "micrometer", "micrometer")
    assert labels.axis_labels == ("t", "y", "x")
    assert labels.metadata[METADATA_KEY]["options"]["backbone"] == "filters"
    assert vectors.data.shape[:2] == (4, 5)
    assert type(vectors.data).__module__.startswith("dask")
    np.testing.assert_allclose(vectors.extent.world[:, -1], labels.extent.world[:, -1])
    assert driver.panel.table.rowCount() == 2
    assert driver.message == "2 kinds in 5 images."
    driver.viewer.dims.set_current_step(1, 3)  # reading a plane of the eigenvectors is no trouble
    vectors.visible = True


def test_another_run_writes_the_same_layers_and_edits_stay(driver, frames):
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    first = driver.names()
    labels, before = driver.layer("kinds"), driver.layer("kinds").data.copy()
    driver.run()
    assert driver.names() == first
    assert driver.layer("kinds") is labels
    np.testing.assert_array_equal(labels.data, before)
    driver.panel.clusters.setValue(3)
    driver.run()
    assert driver.layer("kinds") is labels
    assert labels.data.max() == 3

    labels.data_setitem((np.array([1, 1]), np.array([2, 3]), np.array([2, 3])), 9)
    painted = labels.data.copy()
    driver.panel.clusters.setValue(2)
    driver.run()
    np.testing.assert_array_equal(labels.data, painted)
    assert "has your edits and stays" in driver.message
    assert driver.layer("kinds") is not labels
    assert driver.layer("kinds").data.max() == 2
    assert len(driver.names()) == len(first) + 1


def test_a_plane_with_nan_is_left_out_and_told(driver, frames):
    broken = frames.astype(np.float32)
    broken[2, 3, 4] = np.nan
    driver.viewer.add_image(broken, name="cells", contrast_limits=(0, 255))
    driver.run()
    assert driver.message == "2 kinds in 4 images, 1 left out."
    assert "plane 2" in driver.panel.failures.text()
    assert "NaN" in driver.panel.failures.text()
    labels = driver.layer("kinds")
    assert (labels.data[2] == 0).all()
    assert (labels.data[[0, 1, 3, 4]] > 0).all()


def test_a_click_shows_where_a_kind_is_most_typical(driver, frames):
    driver.viewer.add_image(frames, name="cells", scale=(2, 0.5, 0.5))
    driver.run()
    labels = driver.layer("kinds")
    for kind in driver.dock.session.found.kinds:
        driver.panel.table.selectRow(kind.number - 1)
        number, (rows, columns) = kind.typical
        assert driver.dock.session.current() == number
        assert labels.selected_label == kind.number
        (corners,) = driver.viewer.layers["most typical"].data
        np.testing.assert_allclose(corners.min(axis=0), (number, rows.start - 0.5, columns.start - 0.5))
        np.testing.assert_allclose(corners.max(axis=0), (number, rows.stop - 0.5, columns.stop - 0.5))
        assert driver.viewer.layers.selection.active is labels
        assert driver.message.startswith(f"Kind {kind.number} is most typical here, in plane {number}")
    driver.panel.only.click()
    assert labels.show_selected_label
    driver.panel.only.click()
    assert not labels.show_selected_label
    driver.run()
    assert "most typical" not in driver.names()


def test_regions_keep_their_number_while_they_move(driver):
    rng = np.random.default_rng(0)
    frames = rng.integers(20, 40, (4, 30, 40)).astype(np.uint8)
    for number, frame in enumerate(frames):
        frame[4:14, 3 + number : 13 + number] += 180
        frame[17:27, 25 - number : 35 - number] += 180
    frames = frames.astype(np.float32)
    frames[2, 0, 0] = np.nan
    driver.viewer.add_image(frames, name="two", contrast_limits=(0, 255))
    driver.run()
    driver.panel.regions.setValue(3)
    driver.panel.trace.click()
    driver.wait()
    regions = driver.layer("regions")
    assert (regions.data[2] == 0).all()
    for row, first, step in ((9, 8, 1), (22, 30, -1)):
        assert len({int(regions.data[number, row, first + step * number]) for number in (0, 1, 3)}) == 1
    assert regions.data[0, 9, 8] != regions.data[0, 22, 30]
    rows = regions.features.set_index("index")
    assert rows.loc[regions.data[0, 9, 8], "kind"] == rows.loc[regions.data[0, 22, 30], "kind"]
    assert rows.loc[regions.data[0, 9, 8], "plane_max"] == 3
    assert "3 of them on every plane" in driver.message
    assert not driver.layer("kinds").visible
    driver.panel.table.selectRow(0)
    assert driver.layer("kinds").visible
    assert not regions.visible

    regions.data_setitem((np.array([0]), np.array([1]), np.array([1])), 9)
    painted = regions.data.copy()
    driver.panel.regions.setValue(5)
    driver.panel.trace.click()
    driver.wait()
    assert "has your edits and stays" in driver.message
    np.testing.assert_array_equal(regions.data, painted)


def test_channels_of_a_stack_are_channels_of_its_images(driver, frames):
    both = np.stack([frames, 255 - frames], axis=1)
    driver.viewer.add_image(both, name="cells", axis_labels=("t", "c", "y", "x"))
    assert driver.panel.inputs.stack.channels.currentData() == 1
    assert driver.panel.inputs.stack.planes.currentText() == "t (5)"
    driver.run()
    labels, vectors = driver.layer("kinds"), driver.layer("eigenvectors")
    assert labels.data.shape == (5, 1, *frames.shape[1:])
    assert vectors.data.shape[:3] == (4, 5, 1)


def test_a_stack_too_large_for_memory_is_read_plane_by_plane(driver, frames, monkeypatch):
    from napari_what_where.widgets.collection import results

    monkeypatch.setattr(results, "MOST_MEMORY", 0)
    driver.viewer.add_image(frames, name="cells")
    driver.run()
    labels = driver.layer("kinds")
    assert not labels.editable
    driver.viewer.dims.set_current_step(driver.viewer.dims.ndim - 3, 3)
    driver.panel.edit.click()
    copy = driver.layer("cells [3] kinds")
    assert copy.editable
    np.testing.assert_array_equal(copy.data[0], np.asarray(labels.data[3]))
    np.testing.assert_allclose(copy.data_to_world((0, 0, 0)), labels.data_to_world((3, 0, 0)))
    driver.panel.edit.click()
    assert len([name for name in driver.names() if name.startswith("cells [3]")]) == 1
