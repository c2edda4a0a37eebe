"""Running on part of a large image, and the size of things."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.widgets.picking import camera_of


@pytest.fixture
def large(picture) -> np.ndarray:
    return np.kron(picture[..., 0], np.ones((4, 4), np.uint8))


def choose_part(driver, part):
    driver.panel.inputs.part.setCurrentIndex(driver.panel.inputs.part.findData(part))


@pytest.mark.parametrize("transform", [{}, {"scale": (0.5, 2), "translate": (7, -3)}, {"scale": (2, 2), "rotate": 30}])
def test_run_inside_a_rectangle(driver, large, transform):
    image = driver.viewer.add_image(large, name="large", **transform)
    corners = [(20, 40), (20, 149), (99, 149), (99, 40)]
    shapes = driver.viewer.add_shapes(
        np.array([image.data_to_world(corner) for corner in corners]), shape_type="polygon"
    )
    choose_part(driver, "shape")
    driver.viewer.layers.selection.active = image
    driver.run()
    segments = driver.segments
    assert segments.data.shape == (80, 110)
    np.testing.assert_allclose(segments.data_to_world((0, 0)), image.data_to_world((20, 40)), atol=1e-6)
    np.testing.assert_allclose(segments.data_to_world((79, 109)), image.data_to_world((99, 149)), atol=1e-6)
    assert segments.name == "large [20:100, 40:150] segments (what)"
    assert shapes in driver.viewer.layers


def test_outside_of_an_ellipse_is_background_in_labels_and_table(driver, large):
    driver.viewer.add_image(large)
    driver.viewer.add_shapes(np.array([(20, 40), (20, 139), (99, 139), (99, 40)]), shape_type="ellipse")
    choose_part(driver, "shape")
    driver.run()
    segments = driver.segments
    inside = segments.data > 0
    assert inside.mean() == pytest.approx(np.pi / 4, abs=0.02)
    assert not inside[0, 0]
    labels, areas = np.unique(segments.data[inside], return_counts=True)
    np.testing.assert_array_equal(segments.features["index"], labels)
    np.testing.assert_array_equal(segments.features["area"], areas)
    driver.panel.copy.click()
    from qtpy.QtWidgets import QApplication

    scope = {"viewer": driver.viewer}
    exec(QApplication.clipboard().text(), scope)
    np.testing.assert_array_equal(scope["labels"], segments.data)


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda viewer: None, "There is no shape"),
        (lambda viewer: viewer.add_shapes(np.array([(5, 5), (60, 60)]), shape_type="line"), "has no inside"),
        (
            lambda viewer: viewer.add_shapes(np.array([(-90, -90), (-90, -50), (-50, -50)]), shape_type="polygon"),
            "less than 2",
        ),
        (
            lambda viewer: viewer.add_shapes([np.eye(3, 2) * 50, np.eye(3, 2) * 60], shape_type="polygon"),
            "select those to run on",
        ),
    ],
    ids=["none", "line", "outside", "two"],
)
def test_what_cannot_be_run_on_is_said(driver, large, draw, told):
    driver.viewer.add_image(large)
    draw(driver.viewer)
    choose_part(driver, "shape")
    driver.run()
    assert told in driver.message
    assert not any("segments" in name for name in driver.names())


def test_run_on_what_is_on_screen(make_napari_viewer, qtbot, large):
    from tests.widgets.conftest import Driver

    driver = Driver(make_napari_viewer(show=True), qtbot)
    image = driver.viewer.add_image(large, name="large")
    camera_of(driver.viewer).center, camera_of(driver.viewer).zoom = (0, 128, 192), 8
    qtbot.wait(200)
    choose_part(driver, "screen")
    driver.run()
    segments = driver.segments
    assert 2 <= segments.data.shape[0] < 256
    assert segments.data.shape[1] < 384
    corner = image.world_to_data(segments.data_to_world((0, 0)))
    far = image.world_to_data(segments.data_to_world(np.array(segments.data.shape) - 1))
    assert (corner < (128, 192)).all()
    assert (far > (128, 192)).all()


def test_the_smallest_object_is_typed_in_the_unit_of_the_image(driver, large):
    driver.viewer.add_image(large, scale=(0.5, 0.5), units=("um", "um"))
    size = driver.panel.inputs.size
    assert size.pixels is None
    assert size.unit.count() == 2
    size.unit.setCurrentIndex(1)
    size.spin.setValue(20)
    assert size.pixels == pytest.approx(40)
    size.unit.setCurrentIndex(0)
    assert size.spin.value() == pytest.approx(40)
    driver.run()
    assert driver.dock.session.findings.analyses[0].provenance["options"]["smallest_object"] == pytest.approx(40)


def test_the_smallest_object_is_drawn(driver, large):
    driver.viewer.add_image(large, scale=(0.5, 0.5))
    driver.panel.inputs.size.draw.click()
    drag(driver.viewer, (10, 10), (10, 22))
    assert driver.panel.inputs.size.pixels == pytest.approx(24)
    assert not driver.panel.inputs.size.draw.isChecked()
    assert camera_of(driver.viewer).mouse_pan
    assert not our_callbacks(driver.viewer)


def our_callbacks(viewer):
    return [each for each in viewer.mouse_drag_callbacks if each.__module__.startswith("napari_what_where")]


def drag(viewer, start, end):
    """A drag on the canvas, in world coordinates, as napari passes it to the viewer's callbacks."""

    class Event:
        type = "mouse_press"
        position = start

    event = Event()
    for callback in our_callbacks(viewer):
        steps = callback(viewer, event)
        next(steps)
        for event.type, event.position in (("mouse_move", end), ("mouse_release", end)):
            for _ in steps:
                break
