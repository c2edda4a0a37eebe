"""Outlines along the edges of pixels: exact, simple, and valid as polygons with holes."""

from __future__ import annotations

import hypothesis.extra.numpy as arrays
import hypothesis.strategies as st
import numpy as np
import pytest
import shapely
from hypothesis import given

from napari_what_where.files.formats.rings import cut_open, trace_parts
from napari_what_where.progress import Cancelled, Progress, checkpoints

PLANES = arrays.arrays(
    np.int64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=10), elements=st.sampled_from([0, 0, 1, 1, 5])
)


@given(plane=PLANES)
def test_the_outline_of_a_part_is_the_union_of_its_pixels(plane):
    from skimage.measure import label

    connected = label(plane, connectivity=1)
    parts = trace_parts(plane)
    assert len(parts) == connected.max()
    for part in parts:
        pixels = np.argwhere(connected == connected[part.pixel])
        naive = shapely.union_all([shapely.box(x, y, x + 1, y + 1) for y, x in pixels])
        polygon = shapely.Polygon(part.shell, part.holes)
        assert polygon.is_valid
        assert polygon.exterior.is_ccw  # counted with y upwards: clockwise on the screen
        assert polygon.equals(naive)
        for ring in (part.shell, *part.holes):
            assert len(set(map(tuple, ring.tolist()))) == len(ring)  # no corner twice
            steps = np.diff(ring, axis=0, append=ring[:1]) != 0
            assert (steps.sum(axis=1) == 1).all()  # along rows and columns
            assert (steps != np.roll(steps, 1, axis=0)).all()  # no corner that is none


@given(plane=PLANES, offset=st.tuples(st.integers(0, 9), st.integers(0, 9)))
def test_cut_open_a_part_is_covered_once_without_holes(plane, offset):
    for part in trace_parts(plane, offset=offset):
        pieces = [shapely.Polygon(ring) for ring in cut_open(part, plane, offset=offset)]
        assert all(piece.is_valid for piece in pieces)
        whole = shapely.Polygon(part.shell, part.holes)
        assert shapely.union_all(pieces).equals(whole)
        assert sum(piece.area for piece in pieces) == pytest.approx(whole.area)


def test_tracing_can_be_cancelled():
    def stop(_: Progress) -> None:
        raise Cancelled

    with pytest.raises(Cancelled), checkpoints(stop, Progress("writing", 0, 1)):
        trace_parts(np.eye(3, dtype=int))
