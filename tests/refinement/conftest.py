"""One small analysed image for all: two colours of discs on a ground that brightens to the right."""

from __future__ import annotations

import numpy as np
import pytest

import napari_what_where as ww
from napari_what_where.refinement.guide import Guide, make_guide

from .helpers import disc_plan


@pytest.fixture(scope="session")
def plan() -> np.ndarray:
    """(72, 96) int: 1 … for red discs, −1 … for blue ones, 0 for the ground."""
    return disc_plan()


@pytest.fixture(scope="session")
def image(plan) -> np.ndarray:
    rng = np.random.default_rng(0)
    pixels = np.full((*plan.shape, 3), 205.0)
    pixels[plan > 0], pixels[plan < 0] = (200, 40, 40), (40, 40, 200)
    return np.clip(pixels + rng.normal(0, 5, pixels.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def analysis(image):
    return ww.analyze(image, backbone="filters", device="cpu")


@pytest.fixture(scope="session")
def guide(analysis) -> Guide:
    return make_guide(analysis)
