"""Scenes of a world: leaves that fall anywhere, or things in their places."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from training.scenes.microscopy import micrograph
from training.scenes.painting import Canvas, photographed, scattered_outline
from training.scenes.scene import Scene, numbered_as_seen
from training.scenes.world import World

KINDS = ("leaves", "landscape", "microscopy")
MOST_LEAVES = 400


def make_scene(
    seed: int | list[int], *, size: tuple[int, int] = (128, 128), kind: str = "leaves", world: World | None = None
) -> Scene:
    """One scene, decided by its arguments alone.

    ``size``: (rows, columns). ``kind``: "leaves" (things of any class anywhere, occluding each other until nothing is
    free), "landscape" (a sky and a ground, with things where their class is at home) or "microscopy". Without a
    ``world`` the scene has one of its own, with few classes; micrographs have no world. Raises ``ValueError`` for
    another kind or fewer than 8 pixels.
    """
    if kind not in KINDS or min(size) < 8:
        raise ValueError(f"kind {kind!r} of size {size} was asked for; expected one of {KINDS} and 8 pixels or more.")
    rng = np.random.default_rng(seed)
    if kind == "microscopy":
        return micrograph(rng, size)
    world = world or World(int(rng.integers(2**31)), things=int(rng.integers(3, 12)), grounds=4)
    canvas = Canvas(rng, size)
    (_leaves if kind == "leaves" else _landscape)(canvas, world)
    labels, classes = numbered_as_seen(canvas.labels, np.array(canvas.classes, np.int32))
    return Scene(photographed(rng, canvas.colours), labels, classes)


def scenes(
    seed: int, count: int, *, size: tuple[int, int] = (128, 128), kind: str = "leaves", world: World | None = None
) -> Iterator[Scene]:
    """``count`` scenes; each depends on its own number only, so that any part of them can be made alone."""
    for number in range(count):
        yield make_scene([seed, number], size=size, kind=kind, world=world)


def _leaves(canvas: Canvas, world: World) -> None:
    """Leaves from front to back until at most a hundredth is free, or a ground is seen behind them."""
    rng = canvas.rng
    present = rng.choice(
        world.thing_classes, size=min(len(world.thing_classes), int(rng.integers(2, 9))), replace=False
    )
    covered = rng.choice([0.01, 0.01, 0.2, 0.5])
    for _ in range(MOST_LEAVES):
        if canvas.free() <= covered:
            break
        number = int(rng.choice(present))
        # Sizes follow a power law, which looks the same at any distance (Lee, Mumford & Huang 2001).
        zoom = min(2.5, 0.5 * (1 - rng.random()) ** -0.5)
        row, column = rng.uniform(-0.1, 1.1, 2) * canvas.shape
        canvas.put(
            scattered_outline(rng, world.kinds[number - 1], canvas.shape, row, column, zoom),
            world.kinds[number - 1],
            number,
        )
    ground = int(rng.choice(world.ground_classes))
    canvas.fill(world.kinds[ground - 1], ground)


def _landscape(canvas: Canvas, world: World) -> None:
    """Things at home in the sky, on the horizon and on the ground; larger, and more in front, the lower they stand."""
    rng, (rows, columns) = canvas.rng, canvas.shape
    horizon = rng.uniform(0.25, 0.6)
    bottoms = np.sort(rng.uniform(0, 1, int(rng.integers(4, 16))))[::-1]
    for nearness in bottoms:
        home = str(rng.choice(["ground", "ground", "horizon", "sky", "anywhere"]))
        at_home = world.at_home(home)
        if not len(at_home):
            continue
        number = int(rng.choice(at_home))
        row, zoom = {
            "ground": (horizon + (1.05 - horizon) * nearness, 0.5 + nearness),
            "horizon": (horizon, 0.8),
            "sky": (horizon * rng.uniform(0, 0.7), 0.6),
            "anywhere": (rng.uniform(0, 1), 0.8),
        }[home]
        kind = world.kinds[number - 1]
        canvas.put(scattered_outline(rng, kind, canvas.shape, row * rows, rng.uniform(0, columns), zoom), kind, number)
    half = len(world.ground_classes) // 2
    ground, sky = int(rng.choice(world.ground_classes[:half])), int(rng.choice(world.ground_classes[half:]))
    steps = rng.normal(0, 1, columns).cumsum() / columns**0.5
    line = horizon * rows + 0.06 * rows * (steps - np.linspace(0, steps[-1], columns))
    canvas.fill(world.kinds[ground - 1], ground, np.arange(rows)[:, None] > line)
    canvas.fill(world.kinds[sky - 1], sky)
