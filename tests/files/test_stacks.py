"""Planes of files: what numpy takes of their arrays, where they lie, and why not."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_what_where.files.outlines import draw_outline
from napari_what_where.files.reading import read_image
from napari_what_where.files.stacks import FilePart, open_stack

TRIANGLE = ((1.0, 1.0), (1.0, 9.5), (8.0, 1.0))


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """(2, 3, 11, 12) uint16, and a file of it."""
    array = np.random.default_rng(0).integers(0, 999, (2, 3, 11, 12), dtype=np.uint16)
    path = tmp_path_factory.mktemp("volume") / "a.npy"
    np.save(path, array)
    return array, path


@settings(max_examples=100)
@given(st.data())
def test_planes_are_those_of_the_array_whatever_its_axes_mean(volume, data):
    """The twin moves axes one by one, and takes a number for each plane."""
    array, path = volume
    order = data.draw(st.permutations(range(4)))
    uses = data.draw(st.sampled_from(["..", "p.", "c.", "pc"]))
    used = dict(zip(uses, order, strict=False))
    index = [
        data.draw(st.integers(0, array.shape[axis] - 1)) if axis == used.get(".") else slice(None) for axis in range(4)
    ]
    if uses == "..":
        index[order[0]] = data.draw(st.integers(0, array.shape[order[0]] - 1))
    left = [axis for axis in range(4) if isinstance(index[axis], slice)]
    plane, channel = (left.index(used[use]) if use in used else None for use in "pc")
    negative = data.draw(st.booleans())
    given_axes = [axis if axis is None or not negative else axis - len(left) for axis in (plane, channel)]
    stack = open_stack([path], FilePart(tuple(index), given_axes[1], given_axes[0]))
    assert stack.flat == (plane is None)
    expected = []
    for number in range(1 if plane is None else array.shape[left[plane]]):
        at = list(index)
        if plane is not None:
            at[left[plane]] = number
        part = array[tuple(at)]
        if channel is not None:
            part = np.moveaxis(
                part, [axis for axis in left if plane is None or axis != left[plane]].index(left[channel]), -1
            )
        expected.append(part)
    assert len(stack.planes) == len(expected)
    for plane_read, plane_expected in zip(stack.planes, expected, strict=True):
        np.testing.assert_array_equal(plane_read, plane_expected)
        assert plane_read.flags.c_contiguous
        assert type(plane_read) is np.ndarray


def test_without_a_part_a_plane_is_the_image(tmp_path, rng):
    pixels = rng.integers(0, 999, (4, 17, 18), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    (plane,) = open_stack([tmp_path / "a.tif"]).planes
    np.testing.assert_array_equal(plane, read_image(tmp_path / "a.tif").pixels)
    (plane,) = open_stack([tmp_path / "a.tif"], FilePart(channel_axis=0)).planes
    np.testing.assert_array_equal(plane, np.moveaxis(pixels, 0, -1))


def test_colours_stay_last_and_channels_are_no_colours(tmp_path, rng):
    frames = rng.integers(0, 256, (4, 17, 18, 3), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="rgb")
    stack = open_stack([tmp_path / "a.tif"], FilePart(plane_axis=0))
    np.testing.assert_array_equal(np.stack(list(stack.planes)), frames)
    as_data = open_stack([tmp_path / "a.tif"], FilePart(plane_axis=0, channel_axis=3)).planes[1]
    assert as_data.dtype == np.uint16
    np.testing.assert_array_equal(as_data, frames[1])


def test_files_are_the_channels_of_one_image_in_their_order(tmp_path, rng):
    channels = rng.integers(0, 256, (2, 3, 17, 18), dtype=np.uint8)
    paths = [tmp_path / name for name in ("b.tif", "a.tif")]
    for path, channel in zip(paths, channels, strict=True):
        tifffile.imwrite(path, channel, photometric="minisblack")
    stack = open_stack(paths, FilePart(plane_axis=0, within=(TRIANGLE,)))
    assert len(stack.planes) == 3
    window, outline = draw_outline([TRIANGLE], (17, 18))
    np.testing.assert_array_equal(stack.outline, outline)
    assert stack.window == window
    np.testing.assert_array_equal(stack.planes[2], np.moveaxis(channels[:, 2], 0, -1)[window])
    assert stack.planes[2].dtype == np.uint16


def test_what_looks_like_colour_is_asked_of_the_part(tmp_path):
    """As the dock does: floats within [0, 1] are taken for colours where all that is analysed is."""
    pixels = np.random.default_rng(0).random((3, 17, 18)).astype(np.float32)
    pixels[:, 15:] *= 900
    np.save(tmp_path / "a.npy", pixels)
    (plane,) = open_stack([tmp_path / "a.npy"], FilePart(channel_axis=0, within=(TRIANGLE,))).planes
    np.testing.assert_array_equal(plane, np.moveaxis(pixels, 0, -1)[1:9, 1:11] * np.float32(256))


OME = {"axes": "ZCYX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeZ": 2.0}


@pytest.mark.parametrize(
    ("part", "size", "spacing"),
    [
        (FilePart((1, 0)), (0.5, 0.25), None),
        (FilePart((1, 0, slice(3, 9), slice(None, None, 2))), (0.5, 0.5), None),
        (FilePart((1,), 0), (0.5, 0.25), None),
        (FilePart((slice(None), 0, 2)), None, None),
        (FilePart((slice(None), 0), plane_axis=0), (0.5, 0.25), 2.0),
        (FilePart((slice(None, None, -2), 0), plane_axis=-3), (0.5, 0.25), 4.0),
        (FilePart(None, 1, 0), (0.5, 0.25), 2.0),
        (FilePart((0,), None, 0), (0.5, 0.25), None),
        (FilePart((slice(None), 0), plane_axis=1), None, None),
    ],
)
def test_a_part_has_the_size_of_a_pixel_if_it_is_a_plane_of_the_file(tmp_path, part, size, spacing):
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((5, 3, 17, 18), np.uint16), metadata=OME)
    stack = open_stack([tmp_path / "a.ome.tif"], part)
    assert (stack.pixel_size, stack.units, stack.spacing) == (size, size and "micrometer", spacing)
    assert stack.axis == "Z"


def test_depth_in_another_unit_than_rows_is_not_taken_for_theirs(tmp_path):
    scale = {**OME, "axes": "ZYX", "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((5, 17, 18), np.uint16), metadata=scale)
    assert open_stack([tmp_path / "a.ome.tif"], FilePart(plane_axis=0)).spacing is None


@pytest.mark.parametrize(("axes", "key"), [("ZYX", "spacing"), ("TYX", "finterval")])
def test_imagej_says_what_planes_lie_along(tmp_path, axes, key):
    metadata = {"axes": axes, "unit": "um", key: 3.0}
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((5, 17, 18), "u2"), imagej=True, resolution=(4, 2), metadata=metadata)
    stack = open_stack([tmp_path / "a.tif"], FilePart(plane_axis=0))
    assert (stack.axis, stack.spacing) == (axes[0], 3.0)
    assert stack.pixel_size == pytest.approx((0.5, 0.25))


@pytest.mark.parametrize(
    ("part", "says"),
    [
        (FilePart(plane_axis=0), "expected three axes, plane axis 0 among them"),
        (FilePart(None, 1, 7), "plane axis 7 and channel axis 1 among its axes"),
        (FilePart(None, 1, -3), "plane axis -3 and channel axis 1 among its axes"),
        (FilePart((0,), 1, 0), "expected four axes"),
        (FilePart((0,)), "Select one plane, like 0,:,:"),
        (FilePart((0, 0), within=(((50.0, 50.0), (50.0, 60.0), (60.0, 60.0)),)), "less than 2 pixels"),
    ],
)
def test_a_part_that_does_not_fit_says_why(volume, part, says):
    with pytest.raises(ValueError, match=says):
        open_stack([volume[1]], part)


def test_channels_that_do_not_match_say_why(tmp_path):
    for name, shape in (("a", (17, 18)), ("b", (17, 19)), ("c", (17, 18, 3))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"{name}.png")
    with pytest.raises(ValueError, match=r"b.png has shape \(17, 19\), .*a.png \(17, 18\); channels of one image need"):
        open_stack([tmp_path / "a.png", tmp_path / "b.png"])
    with pytest.raises(ValueError, match="c.png has channels or colours itself"):
        open_stack([tmp_path / "a.png", tmp_path / "c.png"])
