"""New layers lie where their source lies, with its units and axis labels."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.widgets.source import source_of


def corners_agree(image, result, grid_axes_factor):
    """World positions of the image's pixel block centres and of the result's cell centres."""
    for cell in ((0, 0), (3, 5)):
        factor = np.asarray(grid_axes_factor)
        pixel = np.asarray(cell) * factor + (factor - 1) / 2
        lead = result.ndim - 2
        world = result.data_to_world((*[0] * lead, *cell))[-2:]
        np.testing.assert_allclose(world, image.data_to_world((*[0] * (image.ndim - 2), *pixel))[-2:], atol=1e-6)


@pytest.mark.parametrize(
    "transform",
    [
        {},
        {"scale": (0.5, 0.25), "translate": (10, -3), "units": ("micrometer", "micrometer"), "axis_labels": ("r", "c")},
        {"scale": (2, 3), "rotate": 30, "translate": (5, 6)},
        {"shear": [0.3], "scale": (2, 1)},
        {"affine": np.array([[0, 1.5, 4], [-1, 0, 7], [0, 0, 1]]), "scale": (1, 2)},
    ],
    ids=["plain", "scaled", "rotated", "sheared", "affine"],
)
def test_layers_lie_over_their_source(driver, picture, transform):
    image = driver.viewer.add_image(picture[..., 0], name="grey", **transform)
    driver.run()
    eigenvectors, composite, segments = driver.viewer.layers[1:]
    grid = np.array(eigenvectors.data.shape[1:])
    factor = np.array(image.data.shape) / grid
    corners_agree(image, segments, (1, 1))
    corners_agree(image, eigenvectors, factor)
    corners_agree(image, composite, factor)
    np.testing.assert_allclose(segments.scale, image.scale)
    np.testing.assert_allclose(segments.rotate, image.rotate)
    assert segments.units == composite.units == image.units
    assert eigenvectors.units[1:] == image.units
    assert segments.axis_labels == composite.axis_labels == image.axis_labels
    assert eigenvectors.axis_labels == ("eigenvector", *image.axis_labels)


def test_the_slice_on_screen_is_analysed_and_its_layers_lie_there(driver, picture):
    stack = np.stack([np.zeros_like(picture[..., 0]), picture[..., 0], picture[..., 1]])
    image = driver.viewer.add_image(
        stack,
        name="cells",
        scale=(5, 0.5, 0.5),
        translate=(100, 0, 0),
        units=("second", "micrometer", "micrometer"),
        axis_labels=("t", "y", "x"),
    )
    driver.viewer.dims.set_current_step(0, 2)
    driver.run()
    segments = driver.segments
    assert segments.name == "cells [t 2] segments (what)"
    assert segments.data.shape == (1, 64, 96)
    np.testing.assert_allclose(segments.data_to_world((0, 3, 4)), image.data_to_world((2, 3, 4)))
    eigenvectors = next(layer for layer in driver.viewer.layers if "eigenvectors" in layer.name)
    assert eigenvectors.data.shape[:2] == (16, 1)
    assert eigenvectors.axis_labels == ("eigenvector", "t", "y", "x")
    # Another slice gets layers of its own; the first slice's stay.
    before = segments.data.copy()
    driver.viewer.dims.set_current_step(1, 1)
    driver.viewer.layers.selection.active = image
    driver.run()
    assert driver.segments.name == "cells [t 1] segments (what)"
    np.testing.assert_array_equal(segments.data, before)


def test_a_source_that_was_moved_gets_new_layers_where_it_is(driver, picture):
    image = driver.viewer.add_image(picture[..., 0])
    driver.run()
    before = driver.segments
    image.scale, image.translate = (2, 2), (10, 20)
    driver.viewer.layers.selection.active = image
    driver.run()
    assert driver.segments is not before
    for layer in driver.viewer.layers[-3:]:
        np.testing.assert_allclose(
            layer.data_to_world((0,) * layer.ndim)[-2:],
            image.data_to_world((np.array(image.data.shape) / layer.data.shape[layer.ndim - 2 :][:2] - 1) / 2),
        )


@pytest.mark.parametrize("ndim", [2, 3])
def test_three_dimensional_display(driver, picture, ndim):
    grey = picture[..., 0]
    driver.viewer.add_image(grey if ndim == 2 else np.stack([grey] * 3), name="cells")
    driver.viewer.dims.ndisplay = 3
    driver.run()
    assert len(driver.viewer.layers) == 4
    for count in (3, 9):
        driver.panel.segments.spin.setValue(count)
        assert len(np.unique(driver.segments.data)) == count
    assert len(driver.viewer.layers) == 4


def test_axes_that_nobody_named_are_not_named(driver, picture):
    driver.viewer.add_image(np.stack([picture[..., 0]] * 3), name="cells")
    driver.viewer.dims.set_current_step(0, 2)
    driver.run()
    assert driver.segments.name == "cells [2] segments (what)"


def test_other_displayed_axes(driver):
    stack = np.random.default_rng(0).integers(0, 255, (40, 12, 50), dtype=np.uint8)
    layer = driver.viewer.add_image(stack)
    driver.viewer.dims.order = (1, 0, 2)
    driver.viewer.dims.set_current_step(1, 7)
    source = source_of(driver.viewer, layer)
    np.testing.assert_array_equal(source.pixels(), stack[:, 7])
    driver.run()
    assert driver.segments.data.shape == (40, 1, 50)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64, bool])
def test_grey_of_any_dtype(driver, picture, dtype):
    grey = picture[..., 0] > 100 if dtype is bool else picture[..., 0].astype(dtype)
    driver.viewer.add_image(grey)
    driver.run()
    assert driver.segments.data.shape == grey.shape


@pytest.mark.parametrize("kind", ["rgba", "float rgba", "multiscale", "dask"])
def test_other_kinds_of_layer(driver, picture, kind):
    import dask.array as da

    opaque = np.dstack([picture, np.full(picture.shape[:2], 255, np.uint8)])
    grey = picture[..., 0]
    if kind == "rgba":
        driver.viewer.add_image(opaque, rgb=True)
    elif kind == "float rgba":
        driver.viewer.add_image((opaque / 255).astype(np.float32), rgb=True)
    elif kind == "multiscale":
        driver.viewer.add_image([grey, grey[::2, ::2]], multiscale=True)
    else:
        driver.viewer.add_image(da.from_array(grey, chunks=16))
    driver.run()
    assert driver.segments.data.shape == grey.shape
