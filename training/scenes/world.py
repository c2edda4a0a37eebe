"""Worlds: the classes of things that recur from scene to scene."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from training.scenes.shapes import SHAPES
from training.scenes.textures import TEXTURES

VARIANTS = 12
"""Tiles that there are of each texture."""
HOMES = ("anywhere", "sky", "horizon", "ground")


@dataclass(frozen=True)
class Kind:
    """A class of things: what its members share, and how they differ.

    ``colour``: (3,) in [0, 1], the mean; ``spread`` of each member around it. ``contrast`` of the texture, whose
    ``tint`` (3,) it is drawn in. ``size``: usual radius as a fraction of the image's shorter side. ``home``: where in
    a scene with a sky and a ground its members are.
    """

    shape: str
    corners: int
    aspect: float
    size: float
    colour: np.ndarray
    spread: float
    texture: str
    variant: int
    contrast: float
    tint: np.ndarray
    home: str


@dataclass(frozen=True)
class World:
    """A table of classes, decided by a seed.

    The first of them are grounds and skies, which fill what things leave free; the others are things. Class numbers
    begin at 1; 0 stands for no object. ``only``: the classes of things that scenes are made of, by default all.
    """

    seed: int
    things: int = 24
    grounds: int = 8
    only: tuple[int, ...] = ()

    @cached_property
    def kinds(self) -> tuple[Kind, ...]:
        """All classes; class number c is ``kinds[c - 1]``."""
        rng = np.random.default_rng([self.seed, 1])
        return tuple(_draw_kind(rng, ground=number < self.grounds) for number in range(self.grounds + self.things))

    @property
    def thing_classes(self) -> np.ndarray:
        return np.array(self.only) if self.only else np.arange(self.grounds, self.grounds + self.things) + 1

    @property
    def ground_classes(self) -> np.ndarray:
        """The first half are at home below the horizon, the second above."""
        return np.arange(self.grounds) + 1

    def at_home(self, home: str) -> np.ndarray:
        """Classes of things that belong there."""
        return np.array([number for number in self.thing_classes if self.kinds[number - 1].home == home], dtype=int)


def _draw_kind(rng: np.random.Generator, *, ground: bool) -> Kind:
    colour = _natural_colour(rng)
    tint = rng.normal(size=3) * 0.35 + np.sign(rng.normal())
    return Kind(
        shape=str(rng.choice(SHAPES)),
        corners=int(rng.integers(3, 8)),
        aspect=float(np.exp(np.abs(rng.normal(0, 0.6)))),
        size=float(np.exp(rng.uniform(np.log(0.05), np.log(0.3)))),
        colour=colour,
        spread=float(rng.uniform(0.02, 0.09)),
        texture=str(rng.choice(TEXTURES)),
        variant=int(rng.integers(VARIANTS)),
        contrast=float(rng.uniform(0.02, 0.10 if ground else 0.16)),
        tint=tint / np.linalg.norm(tint) * 3**0.5,
        home=str(rng.choice(HOMES, p=(0.1, 0.2, 0.3, 0.4))),
    )


def _natural_colour(rng: np.random.Generator) -> np.ndarray:
    """Lightness anywhere, hue anywhere, mostly little saturated, as in photographs."""
    light, hue = rng.uniform(0.12, 0.88), rng.uniform(0, 2 * np.pi)
    saturation = rng.beta(1.2, 3.0) * 0.55
    wheel = np.cos(hue + np.array([0, 2, 4]) * np.pi / 3)
    return np.clip(light + saturation * wheel, 0.02, 0.98)
