"""What decides the activations of an image, as one number."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.image import describe_image

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.image import PerceptualScale
    from napari_what_where.working_plane.object_scale import WorkingPlane

CAPTURE_FORMAT = 1
"""Counts up whenever other activations are captured of the same model, or they are written otherwise."""
_LIBRARIES = ("torch", "diffusers", "transformers")


def sign(pixels: np.ndarray, scale: PerceptualScale, plane: WorkingPlane | None, backbone: Backbone) -> str:
    """SHA-256, in hexadecimal, of image and its scaling, what of it the model sees, model and options, and libraries.

    ``pixels``: (rows, columns[, channels]), checked; ``plane``: None for one view of the whole image. Which device
    computes does not count: it may round otherwise, but its precision is an option. Cost: one pass over the image.
    """
    parts = {
        "format": CAPTURE_FORMAT,
        "image": describe_image(pixels),
        "scale": dataclasses.asdict(scale),
        "view": backbone.describe_view(plane),
        "backbone": backbone.describe(),
        "libraries": {library: _version(library) for library in _LIBRARIES},
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [str(value.dtype), value.shape, value.tolist()]
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} in what a backbone says of itself; expected what JSON knows.")


@cache  # some milliseconds each, which thousands of small images would feel
def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
