"""Tiles against the whole: the same leaves, graph and tree, whatever is cut where."""

from __future__ import annotations

import threading
import traceback
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.metrics import adapted_rand_error

from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.image import PerceptualScale
from napari_what_where.progress import Cancelled, Progress
from napari_what_where.segments.features import Recipe, feature_groups, leaf_strength
from napari_what_where.segments.gradients import interpolate, interpolate_to, wide_squared_gradient
from napari_what_where.segments.kinds import node_kinds
from napari_what_where.segments.leaves import LeafWork, node_means
from napari_what_where.segments.statistics import node_statistics
from napari_what_where.segments.superpixels import nearest_index
from napari_what_where.segments.tree import even_image, region_tree
from napari_what_where.working_plane.object_scale import Part, Tile, WorkingPlane, plan_plane

from ..images import scene
from .helpers import all_connected, random_embedding

SHAPE = (150, 190)


def work_on(plane: WorkingPlane, *, channels: int | None = 3, follow_edges: bool = True) -> LeafWork:
    image = scene(SHAPE, channels=channels)
    even = even_image(image, PerceptualScale.fit([image]), plane=plane)
    return LeafWork(even, random_embedding((15, 19)), plane, replace(Recipe(), leaves=plane.leaves), follow_edges)


@pytest.mark.parametrize("side", [1.0, 6.0, 13.7])
@pytest.mark.parametrize("window", [Tile(40, 110, 50, 150), Tile(0, 90, 100, 190), Tile(60, 150, 0, 80)])
def test_gradients_of_a_part_are_those_of_the_whole_away_from_its_sides(side, window):
    planes = np.random.default_rng(0).random((*SHAPE, 2)).astype(np.float32)
    whole = wide_squared_gradient(planes, side, (0.4, 0.8))
    part = wide_squared_gradient(planes[window.rows, window.columns], side, (0.4, 0.8), Part(window, SHAPE))
    # As far as the window's own sides are not those of the plane.
    reach = int(3.2 * side) + 4
    inner = Tile(*(at if at in ends else at + step * reach for at, ends, step in (
        (window.top, (0,), 1), (window.bottom, (SHAPE[0],), -1), (window.left, (0,), 1), (window.right, (SHAPE[1],), -1)
    )))  # fmt: skip
    np.testing.assert_allclose(part[inner.within(window)], whole[inner.rows, inner.columns], atol=1e-6)


@given(st.tuples(st.integers(1, 12), st.integers(1, 12)), st.integers(0, 30), st.integers(1, 20))
def test_interpolating_a_part_is_part_of_interpolating(grid, first, length):
    planes = np.random.default_rng(0).random((*grid, 3)).astype(np.float32)
    tile = Tile(first, min(first + length, 37), 5, 41)
    part = interpolate_to(planes, Part(tile, (37, 41)))
    np.testing.assert_allclose(part, interpolate(planes, (37, 41))[tile.rows, tile.columns], atol=1e-6)


@pytest.mark.parametrize("follow_edges", [True, False])
@pytest.mark.parametrize("tile", [Tile(50, 100, 60, 120), Tile(100, 150, 130, 190)])
def test_features_of_a_tile_are_those_of_the_whole(tile, follow_edges):
    plane = WorkingPlane(SHAPE, 700, view=False)
    work = work_on(plane, follow_edges=follow_edges)
    even, window = work.even[:, :], tile.grown(plane.halo, SHAPE)
    options = {"follow_edges": follow_edges, "recipe": work.recipe}
    part = Part(window, SHAPE)
    strength = leaf_strength(even, work.embedding, **options)
    of_part = leaf_strength(even[window.rows, window.columns], work.embedding, part=part, **options)
    np.testing.assert_allclose(of_part[tile.within(window)], strength[tile.rows, tile.columns], atol=1e-5)
    whole = feature_groups(even, work.embedding, **options)
    tiled = feature_groups(even[window.rows, window.columns], work.embedding, part=part, **options)
    for one, other in zip(whole, tiled, strict=True):
        np.testing.assert_allclose(other.planes[tile.within(window)], one.planes[tile.rows, tile.columns], atol=1e-5)
        np.testing.assert_allclose(other.squared[tile.within(window)], one.squared[tile.rows, tile.columns], atol=1e-5)


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("follow_edges", [True, False])
@pytest.mark.parametrize("tile_side", [40, 90])
def test_tiles_make_the_same_leaves_and_graph(channels, follow_edges, tile_side):
    whole, tiled = (WorkingPlane(SHAPE, 700, side, view=False) for side in (1000, tile_side))
    assert len(tiled.tiles) > 1 == len(whole.tiles)
    one, other = (work_on(plane, channels=channels, follow_edges=follow_edges) for plane in (whole, tiled))
    leaves, found = one.find_leaves(), other.find_leaves()
    assert found.dtype == np.int32
    assert all_connected(found)
    assert np.array_equal(np.unique(found), np.unique(leaves))
    assert (leaves != found).mean() < 0.02
    graph, of_tiles = one.graph(leaves), other.graph(leaves)
    np.testing.assert_array_equal(of_tiles.pairs, graph.pairs)
    np.testing.assert_array_equal(of_tiles.lengths, graph.lengths)
    for name in ("areas", "features", "edges"):
        np.testing.assert_allclose(getattr(of_tiles, name), getattr(graph, name), atol=1e-5)


def colours() -> np.ndarray:
    grey = scene(SHAPE)
    return np.stack([grey, 255 - grey, grey // 2], axis=2)


@pytest.mark.parametrize("image", [colours(), scene(SHAPE, dtype="uint16")], ids=["colour", "data"])
def test_the_trees_agree_at_every_count(image):
    whole, tiled = (plan_plane(SHAPE, 20, tile_side=side) for side in (1000, 60))
    embedding = spectral_embedding(joint_affinity(FiltersBackbone().extract(image)), 8)
    one, other = (region_tree(embedding, image, plane=plane) for plane in (whole, tiled))
    for count in (2, 5, 10, 30, 100, "auto"):
        assert adapted_rand_error(one.labels(count), other.labels(count))[0] <= 0.05


def test_a_tree_of_tiles_keeps_the_contract():
    tree = region_tree(random_embedding((15, 19)), scene(SHAPE), plane=plan_plane(SHAPE, 20, tile_side=60))
    labels = tree.labels(1)
    for count in range(1, 12):
        finer = tree.labels(count + 1)
        assert np.array_equal(np.unique(finer), np.arange(1, count + 2))
        assert all_connected(finer)
        split = labels[finer == count + 1]
        assert len(np.unique(split)) == 1
        assert np.array_equal(np.where(finer == count + 1, split[0], finer), labels)
        assert (finer == split[0]).sum() >= (finer == count + 1).sum()
        labels = finer


def test_regions_do_not_stop_where_tiles_do():
    image = np.full(SHAPE, 60, np.uint8)
    image[20:130, 25:165] = 180
    plane = plan_plane(SHAPE, 24, tile_side=50)
    assert len(plane.tiles) > 6
    labels = region_tree(random_embedding((15, 19)), image, plane=plane).labels(2)
    assert (labels == np.where(image == 180, labels[75, 95], labels[0, 0])).mean() > 0.99


def test_sums_over_nodes_are_those_of_the_whole(monkeypatch):
    whole, tiled = (WorkingPlane(SHAPE, 200, side, view=False) for side in (1000, 40))
    embedding = random_embedding((15, 19))
    leaves = work_on(whole).find_leaves()
    children = np.array([[0, 1], *([i + leaves.max(), i + 1] for i in range(1, leaves.max()))])
    means = node_means(leaves, children, embedding, whole)
    np.testing.assert_allclose(node_means(leaves, children, embedding, tiled), means, atol=1e-5)
    sums = node_statistics(leaves, (300, 380), children, embedding.sharp_vectors)
    monkeypatch.setattr("napari_what_where.segments.statistics.STRIP_PIXELS", 2000)
    in_strips = node_statistics(leaves, (300, 380), children, embedding.sharp_vectors)
    np.testing.assert_allclose(in_strips.sums, sums.sums, rtol=1e-9, atol=1e-6)
    np.testing.assert_array_equal(in_strips.low, sums.low)
    np.testing.assert_array_equal(in_strips.high, sums.high)
    assert len(node_kinds(means, sums.areas, np.arange(9))) == len(means)


@pytest.mark.parametrize("percent", [5, 20, 58])
def test_cancelling_inside_tiles_stops_them(percent):
    image, plane, seen = scene(SHAPE), plan_plane(SHAPE, 16, tile_side=40), []
    running, caller = threading.active_count(), threading.get_ident()

    def report(progress: Progress) -> None:
        seen.append(progress)
        assert threading.get_ident() == caller
        if progress.done >= percent:
            raise Cancelled

    with pytest.raises(Cancelled):
        region_tree(random_embedding((15, 19)), image, plane=plane, report=report)
    assert threading.active_count() == running
    assert [progress.done for progress in seen] == sorted(progress.done for progress in seen)


def test_every_long_step_can_be_stopped_inside(monkeypatch):
    for module in ("leaves", "merging", "statistics", "tree"):
        monkeypatch.setattr(f"napari_what_where.segments.{module}.OFTEN", 16)
    heard: Counter[str] = Counter()

    def report(progress: Progress) -> None:
        heard.update({frame.f_code.co_name for frame, _ in traceback.walk_stack(None)})

    plane = plan_plane(SHAPE, 16, tile_side=40)
    tree = region_tree(random_embedding((15, 19)), scene(SHAPE), plane=plane, report=report)
    rounds = tree.leaf_count // 16
    assert rounds > 10
    for name in ("_accumulate", "node_means", "_node_numbers", "__init__", "_queue_leaves"):
        assert heard[name] >= rounds, name
    assert heard["node_statistics"] >= 6 + random_embedding((15, 19)).count
    for name in ("collect_graph", "_smallest", "meeting_heights"):
        assert heard[name] >= 2, name


def test_sums_of_leaves_are_those_of_all_planes_at_once_to_the_last_bit():
    embedding, leaves = random_embedding((15, 19)), work_on(WorkingPlane(SHAPE, 200, 1000, view=False)).find_leaves()
    count, vectors = int(leaves.max()) + 1, embedding.sharp_vectors
    children = np.array([[0, 1], *([i + count - 1, i + 1] for i in range(1, count - 1))])
    found = node_statistics(leaves, SHAPE, children, vectors)
    row, column = (np.arange(size) - (size - 1) / 2 for size in SHAPE)
    ones = [np.ones(size) for size in SHAPE]
    pairs = [
        (ones[0], ones[1]),
        (row, ones[1]),
        (ones[0], column),
        (row**2, ones[1]),
        (row, column),
        (ones[0], column**2),
    ]
    nearest = [nearest_index(SHAPE[axis], vectors.shape[1 + axis]) for axis in (0, 1)]
    planes = [np.outer(*pair) for pair in pairs] + [plane[nearest[0]][:, nearest[1]].astype(float) for plane in vectors]
    naive = np.stack([np.bincount(leaves.ravel(), plane.ravel(), minlength=count) for plane in planes], axis=1)
    np.testing.assert_array_equal(found.sums[:count], naive)


def test_the_memory_of_tiles_is_that_of_tiles():
    asked: list[tuple[int, int]] = []
    plane = WorkingPlane(SHAPE, 700, 40, view=False)
    work = work_on(plane)
    spied = type("Spied", (), {
        "shape": work.even.shape,
        "dtype": work.even.dtype,
        "__getitem__": lambda self, window: (asked.append(work.even[window].shape[:2]), work.even[window])[1],
    })()  # fmt: skip
    watched = replace(work, even=spied)
    watched.graph(watched.find_leaves())
    most = 40 + 2 * plane.halo + plane.leaf_side
    assert len(asked) == 2 * len(plane.tiles)
    assert max(max(shape) for shape in asked) <= most
