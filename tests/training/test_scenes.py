"""Scenes: what is said about them is exactly what they show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.scenes import KINDS, Scene, World, make_scene, scenes
from training.scenes.painting import Canvas
from training.scenes.shapes import SHAPES, draw_outline
from training.scenes.textures import SIDE, TEXTURES, tile

WORLD = World(7)


@given(seed=st.integers(0, 2**31), kind=st.sampled_from(KINDS), rows=st.integers(8, 90), columns=st.integers(8, 90))
@settings(max_examples=40, deadline=None)
def test_labels_are_without_gaps_and_every_object_has_a_class(seed: int, kind: str, rows: int, columns: int) -> None:
    scene = make_scene(seed, size=(rows, columns), kind=kind)
    assert scene.image.shape == (rows, columns, 3)
    assert scene.image.dtype == np.uint8
    assert scene.labels.shape == (rows, columns)
    present = np.unique(scene.labels)
    assert set(present) | {0} == set(range(len(scene.classes)))
    assert scene.classes[0] == 0
    assert (scene.classes[1:] > 0).all()
    assert (scene.class_map == scene.classes[scene.labels]).all()
    if kind != "microscopy":
        assert present[0] == 1, "every pixel of a scene of leaves shows an object"


@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_decided_by_its_number(kind: str) -> None:
    first, again = (list(scenes(5, 3, size=(48, 40), kind=kind, world=WORLD)) for _ in range(2))
    alone = make_scene([5, 2], size=(48, 40), kind=kind, world=WORLD)
    assert all(same(a, b) for a, b in zip(first, again, strict=True))
    assert same(first[2], alone)
    assert not same(first[0], first[1])


def same(first: Scene, second: Scene) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("image", "labels", "classes"))


def test_what_is_put_first_is_in_front() -> None:
    canvas = Canvas(np.random.default_rng(0), (40, 40))
    front, behind = (
        draw_outline(canvas.rng, "ellipse", row=20, column=column, size=10, aspect=1) for column in (16, 24)
    )
    canvas.put(front, WORLD.kinds[0], 1)
    before = canvas.labels.copy()
    canvas.put(behind, WORLD.kinds[1], 2)
    assert (canvas.labels[before == 1] == 1).all()
    rows, columns = np.indices((40, 40))
    inside = np.hypot(rows - 20, columns - 24) < 9.9
    assert (canvas.labels[inside & (before == 0)] == 2).all()
    canvas.fill(WORLD.kinds[2], 3)
    assert canvas.free() == 0


def test_an_object_cut_in_two_keeps_one_number() -> None:
    from skimage.measure import label

    canvas = Canvas(np.random.default_rng(0), (60, 60))
    bar = draw_outline(canvas.rng, "box", row=30, column=30, size=9, aspect=9)
    canvas.put(bar, WORLD.kinds[0], 1)
    canvas.put(draw_outline(canvas.rng, "ellipse", row=30, column=30, size=20, aspect=1), WORLD.kinds[1], 2)
    assert label(canvas.labels == 2).max() == 2
    assert canvas.classes == [0, 1, 2]


def test_the_classes_of_a_world_recur_and_are_its_own() -> None:
    made = list(scenes(1, 60, size=(64, 64), kind="leaves", world=WORLD))
    assert WORLD.kinds[3].texture == World(7).kinds[3].texture
    often = np.bincount(np.concatenate([np.unique(scene.classes[1:]) for scene in made]), minlength=33)
    assert (often[WORLD.thing_classes] >= 2).all()
    assert often[0] == 0


def test_things_of_a_place_are_where_they_belong() -> None:
    """The grounds of the lower half are below, those of the upper half above."""
    rows = np.arange(64)[:, None] + np.zeros((64, 64))
    below, above = [], []
    for scene in scenes(2, 30, size=(64, 64), kind="landscape", world=WORLD):
        below += list(rows[np.isin(scene.class_map, WORLD.ground_classes[:4])])
        above += list(rows[np.isin(scene.class_map, WORLD.ground_classes[4:])])
    assert np.mean(above) < 25 < 38 < np.mean(below)


def test_some_scenes_are_grey_and_some_in_colour() -> None:
    grey = [(scene.image == scene.image[..., :1]).all() for scene in scenes(3, 60, size=(24, 24))]
    assert 4 <= sum(grey) <= 30


@pytest.mark.parametrize("shape", SHAPES)
def test_outlines_lie_within_their_box(shape: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        outline = draw_outline(rng, shape, row=100, column=100, size=20, aspect=rng.uniform(1, 4), corners=4)
        whole = outline.depth((slice(0, 200), slice(0, 200))) > 0
        part = np.zeros_like(whole)
        box = outline.box((200, 200))
        part[box] = outline.depth(box) > 0
        assert (whole == part).all()
        assert whole.sum() > 300


@pytest.mark.parametrize("texture", TEXTURES)
def test_tiles_close_at_their_sides(texture: str) -> None:
    made = tile(texture, 1)
    assert made.shape == (SIDE, SIDE)
    within = np.abs(np.diff(made, axis=0)).mean(), np.abs(np.diff(made, axis=1)).mean()
    across = np.abs(made[0] - made[-1]).mean(), np.abs(made[:, 0] - made[:, -1]).mean()
    assert across[0] <= 1.5 * within[0] + 1e-6
    assert across[1] <= 1.5 * within[1] + 1e-6


def test_what_cannot_be_made_is_said() -> None:
    with pytest.raises(ValueError, match="expected one of"):
        make_scene(1, kind="portrait")
    with pytest.raises(ValueError, match="8 pixels"):
        make_scene(1, size=(4, 40))
