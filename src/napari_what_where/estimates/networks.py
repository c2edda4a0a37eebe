"""What it costs to look at an image with a pretrained network: from what its catalogue counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from napari_what_where.activations.catalogue import BUILT_IN, DIFFUSION, ModelRow
from napari_what_where.activations.registry import model_row
from napari_what_where.working_plane.object_scale import OBJECT_SPAN, WorkingPlane

UNIT = 512**2
"""Pixels of the smaller picture that operations are counted on."""
ENCODER = (1_117, 4_879)
"""Gigaflops of Stable Diffusion's encoder over 512² and 1024² pixels; that of all diffusion models on offer."""
RATE = 75.0
"""Gigaflops a second, of the two cores that were measured."""
WATCHING = 1.2
"""By how much collapsing attention prolongs a forward pass."""
PIXEL_BYTES = 2_500
"""Of activations, for each pixel of the picture: the encoder's, which needs most."""
VIEW_TOKENS, OBJECT_TOKENS, MOST_ENLARGED = 32, 3, 2
"""As networks have them; not imported, since that needs torch."""
DENSE_TOKENS = 16_384
"""As affinities have it, likewise."""


class NetworkLook(NamedTuple):
    """One image seen by a network.

    ``weight_bytes`` stay with the process, ``bytes`` are needed at a time, both in float32 (half of the weights on a
    GPU); ``joint_bytes``: of the collapsed operator; ``tokens``: of the finest grid.
    """

    seconds: float
    weight_bytes: int
    bytes: int
    joint_bytes: int
    tokens: float
    filters: bool = False
    """Whether the filters run beside it."""


def look_of(
    backbone: str, options: Mapping[str, Any], shape: tuple[int, int], plane: WorkingPlane, pathway: str
) -> NetworkLook | None:
    """What looking costs; None for what is no pretrained model of the catalogue."""
    row = model_row(backbone)
    if row is None:
        return None
    pixels = _resolution(row, options, plane) ** 2
    timesteps = options.get("timesteps")
    passes = len(timesteps) if isinstance(timesteps, list | tuple) else 1
    diffusion = row.group == DIFFUSION
    share = pixels / UNIT
    work = WATCHING * passes * operations((row.gigaflops_512, row.gigaflops_1024), share)
    tokens = pixels / row.token**2
    return NetworkLook(
        seconds=(work + (operations(ENCODER, share) if diffusion else 0)) / RATE,
        weight_bytes=4 * row.parameters,
        bytes=int(PIXEL_BYTES * pixels),
        joint_bytes=int(12 * tokens**2) if pathway != "what" and tokens <= DENSE_TOKENS else 0,
        tokens=tokens,
        filters=row is BUILT_IN and bool(options.get("filters", True)),
    )


def operations(counted: tuple[int, int], share: float) -> float:
    """Gigaflops over ``share`` times 512² pixels, from those over 512² and 1024²: a · share + b · share².

    Attention grows with the square of the tokens, all else with their number.
    """
    small, large = counted
    square = (large - 4 * small) / 12
    return (small - square) * share + square * share**2


def _resolution(row: ModelRow, options: Mapping[str, Any], plane: WorkingPlane) -> float:
    """Side of the picture: that of the option, or larger for small objects."""
    usual = (
        row.resolution
        if row.group == DIFFUSION or row is BUILT_IN
        else row.token * min(VIEW_TOKENS, 3 * row.resolution // row.token)
    )
    given = float(options.get("resolution") or usual)
    if plane.view:
        return given
    wanted = (plane.shape[0] * plane.shape[1]) ** 0.5 * OBJECT_TOKENS * row.token / OBJECT_SPAN
    return min(MOST_ENLARGED * given, max(given, wanted))
