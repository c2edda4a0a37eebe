"""Wherever a layer lies and whatever part of it is run, results lie over the pixels they came from."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_what_where.widgets.parts import Part
from napari_what_where.widgets.results import arrange, collect, placement
from napari_what_where.widgets.source import Use, source_of

sizes = st.floats(0.01, 100)
shifts = st.floats(-1000, 1000)


@st.composite
def layers(draw):
    """An image layer of two to four axes somewhere in the world, and how its axes are used."""
    ndim = draw(st.integers(2, 4))
    shape = tuple(draw(st.lists(st.integers(4, 9), min_size=ndim, max_size=ndim)))
    transform = {
        "scale": draw(st.lists(sizes, min_size=ndim, max_size=ndim)),
        "translate": draw(st.lists(shifts, min_size=ndim, max_size=ndim)),
    }
    if ndim == 2:
        transform |= {"rotate": draw(st.floats(-180, 180)), "shear": [draw(st.floats(-2, 2))]}
    if draw(st.booleans()):
        affine = np.eye(ndim + 1)
        affine[-3:-1, -3:-1] += np.reshape(draw(st.lists(st.floats(-0.4, 0.4), min_size=4, max_size=4)), (2, 2))
        affine[:-1, -1] = draw(st.lists(shifts, min_size=ndim, max_size=ndim))
        transform["affine"] = affine
    spare = list(range(ndim - 2))
    channel_axis = draw(st.sampled_from([None, *spare]))
    plane_axis = draw(st.sampled_from([None, *[axis for axis in spare if axis != channel_axis]]))
    part = None
    if draw(st.booleans()):
        starts = [draw(st.integers(0, length - 2)) for length in shape[-2:]]
        stops = [draw(st.integers(start + 2, length)) for start, length in zip(starts, shape[-2:], strict=True)]
        part = Part((slice(starts[0], stops[0]), slice(starts[1], stops[1])))
    return Image(np.arange(np.prod(shape)).reshape(shape), **transform), Use(channel_axis, plane_axis, True, part)


@settings(max_examples=60)
@given(layers(), st.data())
def test_a_label_lies_over_its_pixel(made, data):
    layer, use = made
    source = source_of(ViewerModel(), layer, use)
    rows, columns = source.shape
    labels = arrange(np.arange(source.plane_count * rows * columns).reshape(-1, rows, columns), source)
    result = Labels(labels, **placement(source, (rows, columns)))
    plane = data.draw(st.integers(0, source.plane_count - 1))
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    pixel = [0 if isinstance(step, slice) else step for step in source.index]
    for axis, place in zip(source.axes, (row, column), strict=True):
        pixel[axis] = place + (source.index[axis].start or 0)
    if source.plane_axis is not None:
        pixel[source.plane_axis] = plane
    # The value under the image's pixel is that of the plane's, whichever channel is looked at.
    if source.channel_axis is not None:
        pixel[source.channel_axis] = data.draw(st.integers(0, source.channels - 1))
    cell = np.rint(result.world_to_data(layer.data_to_world(pixel))).astype(int)
    assert labels[tuple(cell)] == (plane * rows + row) * columns + column
    value = source.pixels(plane)[row, column]
    expected = layer.data[tuple(pixel)]
    assert expected in value if source.channel_axis is not None else value == expected


@settings(max_examples=60)
@given(layers())
def test_planes_are_got_back_as_they_were_arranged(made):
    layer, use = made
    source = source_of(ViewerModel(), layer, use)
    planes = np.random.default_rng(0).integers(0, 9, (source.plane_count, *source.shape))
    np.testing.assert_array_equal(collect(arrange(planes, source), source), planes)
