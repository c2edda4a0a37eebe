"""Images as files give them: their pixels, their scale, or why not."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_what_where.files.export import write_labels
from napari_what_where.files.reading import read_image, read_stored


@pytest.mark.parametrize("shape", [(5, 6), (5, 6, 3), (5, 6, 4)])
def test_png_reads_as_it_was_written(tmp_path, rng, shape):
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").pixels, pixels)


def test_sixteen_bits_palettes_and_masks_keep_their_values(tmp_path, rng):
    deep = rng.integers(0, 65_536, (5, 6), dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png").pixels, deep)
    colours = np.zeros((5, 6, 3), np.uint8)
    colours[2:] = (200, 30, 40)
    Image.fromarray(colours).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(read_image(tmp_path / "palette.png").pixels, colours)
    Image.fromarray(colours[..., 0] > 0).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(read_image(tmp_path / "mask.png").pixels, 255 * (colours[..., 0] > 0))


@pytest.mark.parametrize("compression", [None, "zlib", "lzw"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_reads_as_it_was_written(tmp_path, rng, dtype, compression):
    pixels = (1000 * rng.random((17, 18))).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, compression=compression)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, pixels)


def test_channels_of_a_micrograph_come_last(tmp_path, rng):
    pixels = rng.integers(0, 999, (4, 17, 18), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "imagej.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    tifffile.imwrite(tmp_path / "ome.ome.tif", pixels, metadata={"axes": "CYX"})
    for name in ("imagej.tif", "ome.ome.tif"):
        np.testing.assert_array_equal(read_image(tmp_path / name).pixels, np.moveaxis(pixels, 0, -1))


def test_planes_of_length_one_are_no_stack(tmp_path, rng):
    pixels = rng.integers(0, 999, (1, 1, 17, 18), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", pixels, imagej=True, metadata={"axes": "TZYX"})
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").pixels, pixels[0, 0])


@pytest.mark.parametrize("units", ["micrometer", "nanometer"])
def test_the_size_of_a_pixel_is_read(tmp_path, units):
    labels = np.eye(17, dtype=np.uint16)
    image = read_image(write_labels(tmp_path / "a.tif", labels, pixel_size=(0.5, 0.25), units=units))
    assert image.pixel_size == pytest.approx((0.5, 0.25))
    assert image.units == units


def test_the_size_of_a_pixel_is_read_from_ome(tmp_path):
    scale = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.ome.tif", np.zeros((17, 18), np.uint16), metadata=scale)
    image = read_image(tmp_path / "a.ome.tif")
    assert (image.pixel_size, image.units) == ((0.5, 0.25), "micrometer")


def write_two_pages(path):
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(np.zeros((17, 18), np.uint8))
        tiff.write(np.zeros((9, 8), np.uint16))


def write_animation(path):
    frames = [Image.new("L", (9, 9), value) for value in (0, 99)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


@pytest.mark.parametrize(
    ("name", "write", "error", "says"),
    [
        ("missing.png", lambda path: None, FileNotFoundError, "no such file"),
        ("folder.png", lambda path: path.mkdir(), IsADirectoryError, "is a folder"),
        ("text.png", lambda path: path.write_text("no pixels"), ValueError, "no image that can be read"),
        ("text.tif", lambda path: path.write_text("no pixels"), ValueError, "TIFF"),
        ("empty.jpg", lambda path: path.touch(), ValueError, "no image that can be read"),
        ("z.tif", lambda path: tifffile.imwrite(path, np.zeros((6, 17, 18), "u2")), ValueError, "stack.*one plane"),
        ("pages.tif", write_two_pages, ValueError, "holds 2 images"),
        ("moving.gif", write_animation, ValueError, "holds 2 frames"),
        ("objects.npy", lambda path: np.save(path, np.array([None])), ValueError, "pickle"),
    ],
)
def test_what_is_no_image_says_why(tmp_path, name, write, error, says):
    write(tmp_path / name)
    with pytest.raises(error, match=says):
        read_image(tmp_path / name)


@pytest.mark.parametrize("compression", [None, "zlib"])
def test_a_stack_is_read_with_all_its_axes(tmp_path, rng, compression):
    stack = rng.integers(0, 999, (2, 3, 17, 18), dtype=np.uint16)
    tifffile.imwrite(tmp_path / "a.ome.tif", stack, metadata={"axes": "ZCYX"}, compression=compression)
    np.save(tmp_path / "a.npy", stack)
    for name in ("a.ome.tif", "a.npy"):
        np.testing.assert_array_equal(read_stored(tmp_path / name).array, stack)


def test_frames_and_colours_are_read_as_axes(tmp_path, rng):
    write_animation(tmp_path / "moving.gif")
    frames = read_stored(tmp_path / "moving.gif").array
    assert frames.shape == (2, 9, 9, 3)
    assert [np.unique(frame).tolist() for frame in frames] == [[0], [99]]
    pixels = rng.integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_stored(tmp_path / "a.png").array, pixels)


def test_several_images_in_one_file_are_no_array(tmp_path):
    write_two_pages(tmp_path / "pages.tif")
    with pytest.raises(ValueError, match="holds 2 images"):
        read_stored(tmp_path / "pages.tif")
