"""The door: every real array is an image, everything else is refused in words, and one scale serves many images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis.extra import numpy as stn

from napari_what_where.image import (
    MAX_DATA_CHANNELS,
    PerceptualScale,
    check_image,
    composite_alpha,
    is_colour,
    perceptual_channels,
    working_channels,
)
from napari_what_where.progress import Cancelled

from .images import DTYPES, REFUSED, scene

REAL = stn.boolean_dtypes() | stn.integer_dtypes() | stn.unsigned_integer_dtypes() | stn.floating_dtypes(endianness="=")
SHAPES = stn.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=9)


def images(dtypes=REAL):
    def of(dtype):
        finite = {"allow_nan": False, "allow_infinity": False} if dtype.kind == "f" else {}
        return stn.arrays(dtype, SHAPES, elements=stn.from_dtype(dtype, **finite))

    return dtypes.flatmap(of)


# ------------------------------------------------------------------------------------------------------------ door


@pytest.mark.parametrize(("image", "error", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_image_is_refused_in_words(image, error, words):
    for refuse in (check_image, lambda image: PerceptualScale.fit([image]), perceptual_channels):
        with pytest.raises(error, match=words):
            refuse(image)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 1, 2, 3, 5, 9])
def test_every_real_dtype_passes_unchanged(dtype, channels):
    image = scene(channels=channels, dtype=dtype)
    checked = check_image(image)
    assert checked.dtype == (np.int8 if dtype == "bool" else dtype)
    np.testing.assert_array_equal(checked, image[..., 0] if channels == 1 else image)


def test_an_image_is_not_copied_without_need():
    image = scene(channels=3)
    assert check_image(image) is image


def test_lists_tensors_and_lazy_arrays_are_images():
    image = scene(dtype="float32")
    dask = pytest.importorskip("dask.array")
    for given_as in (image.tolist(), torch.from_numpy(image), dask.from_array(image), memoryview(image)):
        np.testing.assert_allclose(check_image(given_as), image)


def test_a_tensor_that_numpy_cannot_read_is_refused_in_words():
    with pytest.raises(TypeError, match="Tensor, which numpy cannot read as one array"):
        check_image(torch.zeros(4, 4, requires_grad=True))


def test_long_doubles_become_float64():
    image = scene(dtype="float64").astype(np.longdouble)
    assert check_image(image).dtype == np.float64
    if np.finfo(np.longdouble).max > np.finfo(np.float64).max:
        image[0, 0] = np.finfo(np.longdouble).max
        with pytest.raises(ValueError, match="1 NaN or infinite"):
            check_image(image)


# ----------------------------------------------------------------------------------------------------------- alpha


def test_alpha_of_8_bit_colour_is_composited_over_white():
    image = np.zeros((2, 2, 4), np.uint8)
    image[..., 0] = 200
    image[0, 0, 3], image[0, 1, 3], image[1, 0, 3] = 255, 0, 51
    checked = check_image(image)
    assert checked.dtype == np.uint8
    np.testing.assert_array_equal(checked[0, 0], [200, 0, 0])
    np.testing.assert_array_equal(checked[0, 1], [255, 255, 255])
    np.testing.assert_array_equal(checked[1, 0], [244, 204, 204])
    np.testing.assert_array_equal(checked[1, 1], [255, 255, 255])


def test_full_opacity_keeps_the_colours():
    image = scene(channels=4)
    image[..., 3] = 255
    np.testing.assert_array_equal(check_image(image), image[..., :3])


def test_alpha_of_floats():
    image = np.random.default_rng(0).random((3, 4, 4)).astype(np.float32)
    blended = composite_alpha(image)
    assert blended.dtype == np.float32
    np.testing.assert_allclose(blended, image[..., :3] * image[..., 3:] + 1 - image[..., 3:], rtol=1e-5)


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if dtype != "uint8"])
def test_otherwise_a_fourth_channel_is_data(dtype):
    assert check_image(scene(channels=4, dtype=dtype)).shape == (24, 32, 4)


# ---------------------------------------------------------------------------------------------------------- colour


@pytest.mark.parametrize(
    ("dtype", "channels", "colour"),
    [
        ("uint8", 3, True),
        ("float16", 3, True),
        ("float32", 3, True),
        ("float64", 3, True),
        ("uint16", 3, False),
        ("int32", 3, False),
        ("bool", 3, False),
        ("uint8", None, False),
        ("uint8", 2, False),
        ("uint8", 5, False),
    ],
)
def test_what_counts_as_colour(dtype, channels, colour):
    image = scene(channels=channels, dtype=dtype)
    assert is_colour(check_image(image)) is colour
    assert PerceptualScale.fit([image]).colour is colour


def test_floats_beyond_1_are_data():
    assert not is_colour(scene(channels=3, dtype="float32") * 1.5)
    assert not is_colour(scene(channels=3, dtype="float32") - 0.5)


def test_colour_becomes_cielab():
    image = np.zeros((2, 2, 3), np.uint8)
    image[0] = 255
    image[1, 1] = [255, 0, 0]
    channels = perceptual_channels(image)
    np.testing.assert_allclose(channels[0], [[1, 0, 0]] * 2, atol=1e-3)
    np.testing.assert_allclose(channels[1, 0], 0, atol=1e-3)
    np.testing.assert_allclose(channels[1, 1], [0.5324, 0.8009, 0.6720], atol=1e-3)


def test_colour_means_the_same_in_every_dtype():
    expected = perceptual_channels(scene(channels=3))
    for dtype, tolerance in (("float16", 0.02), ("float32", 1e-4), ("float64", 1e-4)):
        image = (scene(channels=3) / 255).astype(dtype)
        np.testing.assert_allclose(perceptual_channels(image), expected, atol=tolerance)


# ----------------------------------------------------------------------------------------------------------- scale


@given(images())
@settings(max_examples=150)
def test_data_fill_0_to_1_whatever_their_range(image):
    before = image.copy()
    channels = perceptual_channels(image)
    assert channels.dtype == np.float32
    assert channels.shape[:2] == image.shape[:2]
    assert channels.shape[2] <= max(3, MAX_DATA_CHANNELS)
    assert np.isfinite(channels).all()
    if not PerceptualScale.fit([image]).colour:
        assert channels.min() >= 0
        assert channels.max() <= 1
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32", "float64"])
def test_data_do_not_depend_on_units(dtype):
    plane = scene(dtype="uint8")
    expected = perceptual_channels(plane)
    np.testing.assert_allclose(perceptual_channels(plane.astype(dtype)), expected, atol=1e-5)
    np.testing.assert_allclose(perceptual_channels(plane.astype(np.float64) * 1e-9 - 4), expected, atol=1e-4)


@pytest.mark.parametrize("top", [1.7e308, 1e-300])
def test_extreme_floats(top):
    plane = scene(dtype="float64")
    expected = perceptual_channels(plane)
    np.testing.assert_allclose(perceptual_channels((plane - 0.5) * top), expected, atol=1e-4)


def test_extreme_halves():
    plane = scene(dtype="float64")
    expected = perceptual_channels(plane)
    np.testing.assert_allclose(perceptual_channels(((plane - 0.5) * 1.3e5).astype(np.float16)), expected, atol=2e-3)


@pytest.mark.parametrize("dtype", [">u2", ">i4", ">f4", ">f8"])
def test_foreign_byte_orders(dtype):
    plane = scene(dtype="uint16") // 4
    np.testing.assert_allclose(perceptual_channels(plane.astype(dtype)), perceptual_channels(plane), atol=1e-5)


@pytest.mark.parametrize("channels", [None, 3, 5, 9])
def test_any_memory_layout(channels):
    image = scene(channels=channels)
    expected = perceptual_channels(image)
    np.testing.assert_allclose(perceptual_channels(np.asfortranarray(image)), expected, atol=1e-5)
    np.testing.assert_allclose(perceptual_channels(image[::-1, ::-1])[::-1, ::-1], expected, atol=1e-5)
    frozen = image.copy()
    frozen.flags.writeable = False
    np.testing.assert_allclose(perceptual_channels(frozen), expected, atol=1e-5)


def test_a_hot_pixel_does_not_hide_the_rest():
    plane = scene((60, 60), dtype="float32")
    hot = plane.copy()
    hot[5, 5] = 1e6
    assert np.abs(perceptual_channels(hot) - perceptual_channels(plane))[10:].max() < 0.05


def test_a_few_bright_pixels_on_an_even_ground_are_the_signal():
    plane = np.zeros((100, 100), np.uint16)
    plane[50, 50:53] = 700
    assert perceptual_channels(plane).max() == 1


def test_a_constant_image_is_even():
    for image in (np.full((4, 5), 7, np.uint8), np.full((4, 5, 9), -2.5), np.full((4, 5, 3), 0.3)):
        channels = perceptual_channels(image)
        assert np.ptp(channels.reshape(-1, channels.shape[2]), axis=0).max() == 0


def test_more_channels_are_projected_and_fill_0_to_1():
    rng = np.random.default_rng(0)
    sources = rng.random((40, 50, 2))
    image = sources @ rng.random((2, 12)) + 1e-3 * rng.random((40, 50, 12))
    channels = perceptual_channels(image)
    assert channels.shape == (40, 50, MAX_DATA_CHANNELS)
    spread = np.ptp(channels.reshape(-1, MAX_DATA_CHANNELS), axis=0)
    assert spread[0] == pytest.approx(1, abs=1e-5)
    assert np.all(np.diff(spread) < 0.01), "widest first"
    clipped = np.mean((channels == 0) | (channels == 1))
    assert clipped < 0.01
    # Two sources, so two components carry all.
    assert spread[2:].max() < 0.1


def test_up_to_the_limit_channels_are_kept_apart():
    image = scene(channels=MAX_DATA_CHANNELS, dtype="uint16")
    channels = perceptual_channels(image)
    for i in range(MAX_DATA_CHANNELS):
        np.testing.assert_allclose(channels[..., i], perceptual_channels(image[..., i])[..., 0], atol=1e-6)


@pytest.mark.parametrize("channels", [None, 2, 9])
def test_one_scale_for_a_collection(channels):
    dark = scene(channels=channels, dtype="uint16") // 4
    bright = dark * 3
    scale = PerceptualScale.fit([dark, bright])
    if channels != 9:  # principal components have no bright end
        assert scale.apply(bright).mean() > scale.apply(dark).mean()
    both = scale.apply(np.concatenate([dark, bright]))
    np.testing.assert_array_equal(both[: len(dark)], scale.apply(dark))
    np.testing.assert_array_equal(perceptual_channels(dark, scale), scale.apply(dark))


def test_images_of_one_scale_agree_in_kind():
    with pytest.raises(ValueError, match=r"\[1, 3\] channels; expected one number for all"):
        PerceptualScale.fit([scene(), scene(channels=3)])
    with pytest.raises(ValueError, match="no images"):
        PerceptualScale.fit([])
    with pytest.raises(ValueError, match="2 channels; this scale was fitted to 1"):
        PerceptualScale.fit([scene()]).apply(scene(channels=2))
    with pytest.raises(ValueError, match="expected colour like the images this scale was fitted to"):
        PerceptualScale.fit([scene(channels=3)]).apply(scene(channels=3, dtype="uint16"))


def test_large_images_are_sampled_without_randomness():
    image = np.random.default_rng(0).integers(0, 1000, (1500, 900), dtype=np.uint16)
    first, second = (PerceptualScale.fit([image]) for _ in range(2))
    assert first.low == second.low == pytest.approx(1, abs=2)
    assert first.high == second.high == pytest.approx(998, abs=2)


# -------------------------------------------------------------------------------------------------------- working size


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [None, 3, 8])
def test_large_images_are_averaged_down(dtype, channels):
    image = scene((60, 90), channels=channels, dtype=dtype)
    before = image.copy()
    channels_of = working_channels(image, longest=30)
    assert channels_of.shape[:2] == (20, 30)
    assert channels_of.dtype == np.float32
    np.testing.assert_array_equal(image, before)
    whole = perceptual_channels(image)
    means = whole.reshape(20, 3, 30, 3, -1).mean(axis=(1, 3))
    # Averaged in the image's own units: CIELAB and clipping are not linear, so only about the same.
    assert np.abs(channels_of - means).mean() < 0.02


def test_small_images_are_not():
    image = scene(channels=3)
    np.testing.assert_array_equal(working_channels(image), perceptual_channels(image))


@pytest.mark.parametrize("top", [1.7e308, 1e-300])
def test_extreme_floats_are_averaged_down(top):
    plane = scene((60, 90), dtype="float64")
    expected = working_channels(plane, longest=30)
    np.testing.assert_allclose(working_channels((plane - 0.5) * top, longest=30), expected, atol=1e-3)


def test_averaging_down_can_be_cancelled():
    def report(progress):
        assert progress.stage == "reading"
        raise Cancelled

    with pytest.raises(Cancelled):
        working_channels(scene((60, 90)), longest=30, report=report)
