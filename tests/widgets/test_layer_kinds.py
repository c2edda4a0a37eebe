"""Every kind of Image layer that people have: what is analysed, and where the results lie."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.widgets.source import Use, source_of


@pytest.fixture
def channels(picture) -> np.ndarray:
    """The quarters as measured channels, (3, 64, 96) uint16."""
    return np.moveaxis(picture, -1, 0).astype(np.uint16) * 7


@pytest.fixture
def frames() -> np.ndarray:
    """Two bright discs that drift, (4, 64, 64) uint8."""
    rows, columns = np.mgrid[:64, :64]
    stack = np.zeros((4, 64, 64))
    for frame in range(4):
        for row, column in ((16, 14 + 3 * frame), (46, 44 - 3 * frame)):
            stack[frame][np.hypot(rows - row, columns - column) < 9] = 180
    noise = np.random.default_rng(0).integers(0, 20, stack.shape)
    return (stack + noise).astype(np.uint8)


def disc_numbers(layer, frame):
    return int(layer.data[frame, 16, 14 + 3 * frame]), int(layer.data[frame, 46, 44 - 3 * frame])


def test_an_axis_of_channels_is_found_by_its_name_and_seen_beside_each(driver, channels):
    image = driver.viewer.add_image(channels, axis_labels=("c", "y", "x"), name="cells")
    assert driver.panel.inputs.channels.currentText() == "c (3)"
    driver.run()
    segments = driver.segments
    assert driver.dock.session.findings.analyses[0].provenance["image"]["shape"] == [64, 96, 3]
    assert segments.data.shape == (1, 64, 96)
    driver.panel.segments.spin.setValue(4)
    for channel in range(3):
        world = np.array(image.data_to_world((channel, 40, 70)))
        assert round(segments.world_to_data(world)[0]) == 0
        np.testing.assert_allclose(segments.world_to_data(world)[1:], (40, 70))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_channels_on_any_axis_give_the_same_segments(driver, channels, axis):
    driver.viewer.add_image(np.moveaxis(channels, 0, axis).copy(), name="cells", rgb=False)
    driver.panel.inputs.channels.setCurrentIndex(driver.panel.inputs.channels.findData(axis))
    driver.run()
    plane = np.squeeze(driver.segments.data)
    import napari_what_where as ww

    expected = ww.analyze(np.moveaxis(channels, 0, -1)).tree.labels(driver.panel.segments.value)
    np.testing.assert_array_equal(plane, expected)


def test_several_layers_are_the_channels_of_one_image(driver, channels):
    layers = [driver.viewer.add_image(channel, name=f"channel {i}") for i, channel in enumerate(channels)]
    driver.viewer.layers.selection = set(layers)
    offers = driver.panel.inputs.image
    offers.setCurrentIndex(offers.findText("3 selected layers, as channels"))
    driver.run()
    assert driver.dock.session.findings.analyses[0].provenance["image"]["shape"] == [64, 96, 3]
    assert driver.segments.name.startswith("channel 0 + channel 1 + channel 2 ")


def test_layers_that_do_not_match_are_not_offered_together(driver, channels):
    layers = [driver.viewer.add_image(channels[0]), driver.viewer.add_image(channels[1], translate=(5, 0))]
    driver.viewer.layers.selection = set(layers)
    assert driver.panel.inputs.image.count() == 2
    with pytest.raises(ValueError, match="do not lie on each other"):
        source_of(driver.viewer, layers)
    layers[1].translate = (0, 0)
    layers[1].data = channels[1][:50]
    with pytest.raises(ValueError, match="have shapes"):
        source_of(driver.viewer, layers)


def test_eight_bits_on_an_axis_are_data_and_not_colour(driver, picture):
    four = np.concatenate([np.moveaxis(picture, -1, 0), np.zeros((1, 64, 96), np.uint8)])
    layer = driver.viewer.add_image(four)
    plane = source_of(driver.viewer, layer, Use(channel_axis=0)).pixels()
    assert plane.dtype == np.uint16
    assert plane.shape == (64, 96, 4)  # the fourth is not taken for alpha


@pytest.mark.parametrize("linked", [True, False])
def test_every_plane_of_a_stack(driver, frames, linked):
    image = driver.viewer.add_image(
        frames, name="discs", axis_labels=("t", "y", "x"), scale=(2, 0.5, 0.5), translate=(1, 2, 3)
    )
    driver.panel.inputs.planes.setCurrentIndex(1 if linked else 2)
    assert ("linked" in driver.panel.inputs.planes.currentText()) == linked
    driver.run()
    driver.panel.segments.spin.setValue(3)
    segments = driver.segments
    assert segments.data.shape == frames.shape
    np.testing.assert_allclose(segments.data_to_world((2, 5, 7)), image.data_to_world((2, 5, 7)))
    numbers = [disc_numbers(segments, frame) for frame in range(4)]
    assert all(one != other for one, other in numbers)
    assert len(set(numbers)) == (1 if linked else 4)
    if not linked:
        assert len(np.unique(segments.data)) == 12
    eigenvectors = next(layer for layer in driver.viewer.layers if "eigenvectors" in layer.name)
    assert eigenvectors.data.shape[:2] == (16, 4)
    assert eigenvectors.axis_labels == ("eigenvector", "t", "y", "x")
    np.testing.assert_array_equal(segments.features["index"], np.unique(segments.data))
    np.testing.assert_array_equal(
        segments.features["area"], np.bincount(segments.data.ravel())[segments.features["index"]]
    )


def test_objects_of_a_stack_are_linked(driver, frames):
    driver.viewer.add_image(frames, name="discs")
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.run()
    driver.panel.as_objects.click()
    driver.wait()
    numbers = {disc_numbers(driver.segments, frame) for frame in range(4)}
    assert len(numbers) == 1
    assert 0 not in numbers.pop()


def test_a_bad_plane_is_named_and_nothing_changes(driver, frames):
    bad = frames.astype(np.float32)
    bad[2, 3, 4] = np.nan
    driver.viewer.add_image(bad, contrast_limits=(0, 255))
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.run()
    assert "lane 2" in driver.message
    assert "NaN" in driver.message
    assert len(driver.viewer.layers) == 1


@pytest.mark.parametrize("kind", ["dask", "zarr", "dask multiscale", "memory map", "big-endian", "read-only"])
def test_arrays_that_are_not_plain(driver, frames, kind, tmp_path):
    import dask.array as da
    import zarr

    make = {
        "dask": lambda: da.from_array(frames, chunks=(1, 32, 32)),
        "zarr": lambda: zarr.array(frames, chunks=(1, 32, 32)),
        "dask multiscale": lambda: [da.from_array(frames), da.from_array(frames[:, ::2, ::2])],
        "memory map": lambda: np.memmap(_written(frames, tmp_path), np.uint8, "r", shape=frames.shape),
        "big-endian": lambda: frames.astype(">u2"),
        "read-only": lambda: np.broadcast_to(frames[:1], frames.shape),
    }
    driver.viewer.add_image(make[kind](), name="discs", multiscale="multiscale" in kind)
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.run()
    assert driver.segments.data.shape == frames.shape
    assert isinstance(driver.segments.data, np.ndarray)
    assert driver.segments.data.flags.writeable
    driver.segments.paint((1, 10, 10), 500)
    assert driver.segments.data[1, 10, 10] == 500


def _written(array, folder):
    path = folder / "frames.raw"
    array.tofile(path)
    return path


@pytest.mark.parametrize("dtype", [np.complex64, object])
def test_what_is_no_image_is_refused_in_words(driver, frames, dtype):
    from napari.layers import Image

    layer = Image(frames[0])
    driver.viewer.add_layer(layer)
    layer._data = frames[0].astype(dtype)  # napari shows complex and object arrays in some versions only
    driver.run()
    assert "expected a real-valued array" in driver.message
    assert "No layer was changed" in driver.message


def test_a_stack_runs_again_into_the_same_layers_and_keeps_edits(driver, frames):
    image = driver.viewer.add_image(frames)
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.run()
    first, names = driver.segments, driver.names()
    driver.viewer.layers.selection.active = image
    driver.run()
    assert driver.segments is first
    assert driver.names() == names
    first.paint((2, 30, 30), 99)
    edited = first.data.copy()
    driver.panel.segments.spin.setValue(5)
    assert driver.segments is not first
    np.testing.assert_array_equal(first.data, edited)


def test_the_planes_of_an_axis_on_screen_cannot_be_run(driver, frames):
    driver.viewer.add_image(frames)
    driver.panel.inputs.planes.setCurrentIndex(1)
    driver.viewer.dims.order = (1, 0, 2)
    driver.run()
    assert "is on screen" in driver.message


def test_of_a_large_pyramid_no_finer_level_is_read_than_is_needed(driver, picture, monkeypatch):
    """A small pyramid taken for a large one; its finest level fails when it is read."""
    from napari_what_where.widgets import source
    from napari_what_where.working_plane import object_scale

    monkeypatch.setattr(source, "FULL_SIZE", 64 * 96 - 1)
    monkeypatch.setattr(source, "plan_plane", lambda shape, size: object_scale.plan_plane((16, 24), None))
    grey = picture[..., 0]
    image = driver.viewer.add_image(
        [grey, grey[::2, ::2], grey[::4, ::4]], multiscale=True, scale=(0.5, 2), translate=(3, 4)
    )
    made = source_of(driver.viewer, image)
    assert (made.level, made.factor) == (2, 4)
    np.testing.assert_array_equal(made.pixels(), grey[::4, ::4])
    driver.run()
    segments = driver.segments
    assert segments.data.shape == (16, 24)
    np.testing.assert_allclose(segments.data_to_world((2, 5)), image.data_to_world((2 * 4 + 1.5, 5 * 4 + 1.5)))
