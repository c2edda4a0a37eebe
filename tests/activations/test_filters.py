"""The filters backbone: its grids, its histograms, and that it sees what it says it sees."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.activations.filters import (
    COLOUR_BINS,
    FINEST_TOKENS,
    WIDEST_TOKEN,
    FiltersBackbone,
    colour_histograms,
    oriented_edges,
    token_grid,
    token_plane,
    token_side,
    unit_channels,
)
from napari_what_where.affinity.cosine import unit_values
from napari_what_where.image import WORKING_SIZE, PerceptualScale, perceptual_channels, soft_bins
from napari_what_where.working_plane.object_scale import plan_plane

from ..images import scene

FILTERS = FiltersBackbone()


def layers_of(image, **options):
    return {layer.name: layer for layer in FILTERS.extract(image, **options)}


def test_four_layers_at_grids_that_do_not_nest():
    layers = layers_of(scene((64, 90), channels=3))
    assert list(layers) == ["colour", "edges", "texture", "surroundings"]
    grids = [layer.grid for layer in layers.values()]
    assert len(set(grids)) == 4
    finest = grids[0]
    assert any(finest[0] % rows or finest[1] % columns for rows, columns in grids[1:])
    assert all(layer.query is None and layer.key is None for layer in layers.values())


@given(st.tuples(st.integers(1, WORKING_SIZE), st.integers(1, WORKING_SIZE)))
def test_the_finest_grid_is_bounded_and_about_square(size):
    side = token_side(size)
    rows, columns = token_grid(size, side)
    assert side >= 1
    assert 1 <= rows <= size[0]
    assert 1 <= columns <= size[1]
    assert rows * columns <= 1.1 * FINEST_TOKENS + max(size)
    for cells, length in ((rows, size[0]), (columns, size[1])):
        assert length / cells <= 1.5 * side or cells == 1


def test_large_images_are_worked_on_smaller():
    layers = layers_of(np.zeros((300, 3000), np.uint8))
    assert layers["colour"].grid == token_grid((102, WORKING_SIZE), token_side((102, WORKING_SIZE)))


@given(st.lists(st.floats(-2, 3, width=32), min_size=1, max_size=20), st.integers(2, 12))
def test_memberships_sum_to_1(values, bins):
    members = soft_bins(np.array(values, np.float32), bins)
    assert members.dtype == np.float32
    assert members.shape == (len(values), bins)
    assert members.min() >= 0
    np.testing.assert_allclose(members.sum(axis=-1), 1, atol=1e-5)


def test_histograms_have_length_1_a_channel():
    for channels in (None, 2, 3):
        value = layers_of(scene(channels=channels))["colour"].value[0]
        assert value.shape[1] == COLOUR_BINS * (channels or 1)
        torch.testing.assert_close(value.square().sum(dim=1), torch.full((len(value),), float(channels or 1)))


def test_bins_mean_the_same_in_every_image_of_a_collection():
    # One image has greens (negative a), the other none: their reds must still fall into the same bins.
    red, green = np.zeros((2, 32, 32, 3), np.uint8)
    red[..., 0] = 200
    green[:, :16, 0], green[:, 16:, 1] = 200, 200
    scale = PerceptualScale.fit([red, green])
    of_red = layers_of(red, scale=scale)["colour"].value[0].reshape(32, 32, -1)
    of_green = layers_of(green, scale=scale)["colour"].value[0].reshape(32, 32, -1)
    torch.testing.assert_close(of_green[:, :8], of_red[:, :8], rtol=0, atol=1e-3)


def unit(image):
    return unit_channels(perceptual_channels(image), colour=PerceptualScale.fit([image]).colour)


@pytest.mark.parametrize("channels", [None, 3, 9])
def test_unit_channels_lie_within_0_and_1(channels):
    planes = unit(scene(channels=channels))
    outside = np.mean((planes < 0) | (planes > 1))
    assert outside < 0.1 if channels == 3 else outside == 0, "but for vivid colours"


@pytest.mark.parametrize("channels", [7, 9, 16])
def test_many_channels_are_not_crushed_into_one_bin(channels):
    planes = unit(scene(channels=channels))
    (histogram,) = colour_histograms(planes[..., :1], 1.0)
    assert np.sum(histogram.mean(axis=(0, 1)) > 0.01) >= 4


@pytest.mark.parametrize("orientation", range(4))
def test_edges_answer_to_their_orientation(orientation):
    rows, columns = np.indices((48, 48)).astype(np.float32)
    angle = orientation * np.pi / 4
    stripes = np.sin((rows * np.sin(angle) + columns * np.cos(angle)) / 3)[..., None]
    for energy in oriented_edges(stripes, 4.0):
        assert energy[12:-12, 12:-12].mean(axis=(0, 1)).argmax() == orientation


@pytest.mark.parametrize("layer", ["colour", "edges", "texture", "surroundings"])
def test_two_textures_are_told_apart(layer):
    rng = np.random.default_rng(0)
    columns = np.indices((96, 96))[1]
    left = 0.4 + 0.1 * np.sin(columns * 1.2)
    right = 0.6 + 0.25 * rng.random((96, 96))
    image = np.where(columns < 48, left, right)
    found = layers_of(image)[layer]
    values = unit_values(found, torch.device("cpu")).reshape(*found.grid, -1)
    third = found.grid[1] // 3
    one, other = (values[:, part].reshape(-1, values.shape[2]) for part in (slice(0, third), slice(-third, None)))
    assert float((one @ other.T).mean()) < float((one @ one.T).mean()) - 0.5


@given(st.integers(0, 3), st.booleans())
@settings(max_examples=8)
def test_turning_and_mirroring_the_image_turns_the_colours(turns, mirror):
    image = scene((32, 32), channels=3)

    def turned(planes):
        planes = np.rot90(planes, turns)
        return planes[:, ::-1] if mirror else planes

    for name in ("colour", "texture", "surroundings"):
        plain, other = layers_of(image)[name], layers_of(turned(image))[name]
        expected = turned(plain.value[0].reshape(*plain.grid, -1).numpy())
        np.testing.assert_allclose(other.value[0].reshape(*other.grid, -1), expected, atol=2e-3)


@pytest.mark.parametrize("channels", [None, 3])
def test_tiles_make_the_tokens_of_the_whole(channels):
    image = scene((170, 230), channels=channels)
    whole, tiled = (
        FiltersBackbone().extract(image, plane=plan_plane((170, 230), 10, tile_side=side)) for side in (1000, 60)
    )
    for one, other in zip(whole, tiled, strict=True):
        assert (one.name, one.grid) == (other.name, other.grid)
        np.testing.assert_allclose(other.value, one.value, atol=1e-5)


def test_small_objects_get_finer_tokens_and_none_are_wider_than_in_one_view():
    view = token_side((1024, 1024))
    for size in (24, 60, 200, 1000, 4000):
        plane = plan_plane((4096, 4096), size)
        fine = token_plane(plane)
        assert fine.side <= WIDEST_TOKEN
        width = fine.side * 4096 / fine.plane.shape[0]
        assert width <= view * 4 * 1.01
        assert size >= 200 or width == pytest.approx(max(size / 2, plane.leaf_side * 4096 / plane.shape[0]), rel=0.05)
