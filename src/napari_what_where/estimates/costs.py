"""What a run costs in bytes and seconds: a model of its stages, with figures from ``benchmarks/estimates.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_what_where.activations.filters import FILTER_REACH, TOKEN_REACH, TokenPlane, token_plane, token_side
from napari_what_where.estimates.networks import NetworkLook
from napari_what_where.grids import fit_within
from napari_what_where.image import MAX_DATA_CHANNELS
from napari_what_where.working_plane.object_scale import WORKING_SIZE, WorkingPlane
from napari_what_where.working_plane.tiling import MOST_THREADS

MEGA = 1e6
HALO_LEAVES = 7
"""Sides of a leaf around a tile that are worked on with it."""
NETWORK_RANK = 10_000
"""Values of a token of the finest grid, of all network layers: 2,700 for Stable Diffusion 1.5, 9,216 for ViT-B."""
PARALLEL = 1.7
"""By how much two threads on tiles are faster than one."""


@dataclass(frozen=True)
class Job:
    """One plane, in the terms that cost goes by. ``shape``: (rows, columns) of the image."""

    shape: tuple[int, int]
    dtype: np.dtype
    channels: int
    count: int
    follow_edges: bool
    plane: WorkingPlane

    @property
    def pixels(self) -> int:
        """Of the image."""
        return self.shape[0] * self.shape[1]

    @property
    def seen(self) -> int:
        """Channels that are compared: alpha is composited away, and many are projected."""
        channels = 3 if self.channels == 4 and self.dtype == np.uint8 else self.channels
        return min(channels, MAX_DATA_CHANNELS)

    @cached_property
    def looked_at(self) -> TokenPlane:
        """The plane that the backbone sees."""
        if not self.plane.view:
            return token_plane(self.plane)
        shape = fit_within(self.shape, WORKING_SIZE)
        return TokenPlane(WorkingPlane(shape), token_side(shape))

    @property
    def tokens(self) -> float:
        """Of the finest grid."""
        return self.looked_at.plane.pixels / self.looked_at.side**2

    @property
    def rank(self) -> int:
        """Values of a token, of all network layers."""
        return 16 * self.seen + 36


def peak_bytes(job: Job, look: NetworkLook | None = None) -> float:
    """Bytes at the worst moment: of looking at the image, of each stage, or of giving labels.

    ``look``: what a network needs in place of the filters, or beside them.
    """
    checking = job.pixels * job.channels * (2.0 if job.dtype.kind == "f" else 1.0)
    fine = job.looked_at
    looking = (100 + 8 * job.seen) * _at_a_time(fine.plane, FILTER_REACH + TOKEN_REACH * fine.side)
    grid, weights = job.tokens, 0
    tokens = grid * (16 * job.rank + 60 * job.count)
    if look is not None:
        weights, network = look.weight_bytes, float(look.bytes + look.joint_bytes)
        grid = max(grid, look.tokens) if look.filters else look.tokens
        looking = max(looking, network) if look.filters else network
        beside = tokens if look.filters else 0.0
        tokens = beside + look.joint_bytes + look.tokens * 4 * NETWORK_RANK + grid * 60 * job.count
    features = (225 if job.follow_edges else 60) + 5 * job.seen
    tile = _at_a_time(job.plane, HALO_LEAVES * job.plane.leaf_side)
    segments = tile * max(features, 80 + 12 * job.count) + 24 * job.plane.pixels
    labels = kept_bytes(job) + label_bytes(job) + job.pixels
    # What the solver gave back stays with the process: small blocks go into the allocator's store.
    return 4 * MEGA + weights + max(checking, looking, tokens, segments, labels) + 90 * job.count * grid


def kept_bytes(job: Job) -> float:
    """Bytes of an analysis: leaves, channels, eigenvectors, sums over regions."""
    channels = 4 * job.seen * job.plane.pixels if len(job.plane.tiles) == 1 and job.follow_edges else 0
    return 4 * job.plane.pixels + channels + 8 * job.count * job.tokens + 16 * job.count * job.plane.leaves


def label_bytes(job: Job) -> float:
    """Bytes of one segmentation, and of the leaves that it is looked up in, where these were enlarged."""
    enlarged = job.plane.pixels < job.pixels
    return (8 if enlarged else 4) * job.pixels


def device_bytes(job: Job, look: NetworkLook | None = None) -> int:
    """Bytes on a GPU: the factors of the affinities, those of their sum, and eigenvectors in float64; of a network
    also its weights, of which half precision is taken there, and what a forward pass needs.
    """
    if look is not None:
        # Weights that do not fit visit the card one module at a time.
        return int(look.bytes + look.joint_bytes + look.tokens * (4 * NETWORK_RANK + 60 * job.count))
    return int(job.tokens * (12 * job.rank + 60 * job.count))


def seconds_of(job: Job, look: NetworkLook | None = None) -> float:
    """Seconds of one plane on the machine that was measured."""
    fine = job.looked_at
    reading = 0.006 * job.pixels * job.channels
    looking = (1.7 + 0.8 * job.seen) * _effort(fine.plane, FILTER_REACH + TOKEN_REACH * fine.side)
    grid = job.tokens
    if look is not None:
        beside = looking if look.filters else 0.0
        looking, grid = look.seconds * MEGA + beside, max(look.tokens, grid if look.filters else 0.0)
    solving = (0.6 + 0.18 * job.count + 0.0007 * job.count**2) * grid
    weighed = (0.66 + 0.42 * job.seen if job.follow_edges else 0.3) + 0.054 * job.count
    features = weighed * _effort(job.plane, HALO_LEAVES * job.plane.leaf_side)
    return (reading + looking + solving + features) / MEGA + 0.21 * job.plane.leaves / 1500


def seconds_of_objects(job: Job) -> float:
    """Seconds more for finding objects."""
    return 1.7 + 2.0 * job.plane.pixels / MEGA


def _at_a_time(plane: WorkingPlane, reach: float) -> float:
    """Pixels that are worked on at a time: of the plane, or of the tiles of all threads with what lies around them."""
    if len(plane.tiles) == 1:
        return plane.pixels
    return min(MOST_THREADS * _grown(plane, reach), MOST_THREADS * plane.pixels)


def _effort(plane: WorkingPlane, reach: float) -> float:
    """Pixels that one thread would work on in the same time."""
    if len(plane.tiles) == 1:
        return plane.pixels
    return len(plane.tiles) * _grown(plane, reach) / PARALLEL


def _grown(plane: WorkingPlane, reach: float) -> float:
    """Pixels of a typical tile with what lies around it, as far as the plane goes."""
    count = len(plane.tiles)
    side = math.sqrt(plane.pixels / count)
    # At the border of the plane there is nothing around: of 2 tiles a side each has one neighbour.
    neighbours = 2 * (1 - 1 / math.sqrt(count))
    return (side + neighbours * reach) ** 2
