"""Every plane of a stack at one scale; the one that is to blame is named."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from napari_what_where.pipeline import analyze
from napari_what_where.planes import SCALE_PLANES, analyze_planes, find_stack_objects
from napari_what_where.progress import Cancelled, Progress


class Lazy:
    """Planes that are read when asked for; remembers which were."""

    def __init__(self, count, shape=(24, 30)):
        self.count, self.shape, self.asked = count, shape, []

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        self.asked.append(index)
        return np.random.default_rng(index).integers(0, 200, self.shape).astype(np.uint16) + np.uint16(index)


def test_one_plane_is_the_image_itself():
    (only,), image = analyze_planes(Lazy(1), count=4), Lazy(1)[0]
    assert np.array_equal(only.tree.labels(7), analyze(image, count=4).tree.labels(7))


def test_planes_are_read_one_by_one_and_share_a_scale(monkeypatch):
    planes, scales = Lazy(3), []

    def spy(image, *, scale, **settings):
        scales.append(scale)
        return analyze(image, scale=scale, **settings)

    monkeypatch.setattr("napari_what_where.pipeline.analyze", spy)
    analyses = analyze_planes(planes, count=4, normalization="none")
    assert planes.asked == [0, 1, 2, 0, 1, 2]
    assert len(analyses) == 3
    assert len({id(scale) for scale in scales}) == 1
    assert [analysis.provenance["options"]["normalization"] for analysis in analyses] == ["none"] * 3


def test_the_scale_is_of_a_few_planes_evenly_spaced():
    planes = Lazy(50, (6, 6))

    def stop(progress):
        if "plane" in progress.stage:
            raise Cancelled

    with pytest.raises(Cancelled):
        analyze_planes(planes, count=4, report=stop)
    sampled = planes.asked[:SCALE_PLANES]
    assert (sampled[0], sampled[-1]) == (0, 49)
    assert max(np.diff(sampled)) - min(np.diff(sampled)) <= 1


def test_progress_names_the_plane():
    stages = []
    analyze_planes(Lazy(2), count=4, report=lambda progress: stages.append(progress.stage))
    assert stages[0] == "reading"
    assert {"segments, plane 1 of 2", "segments, plane 2 of 2"} <= set(stages)


@pytest.mark.parametrize("bad", [0, 20, 37])
def test_a_bad_plane_is_named(bad):
    stack = np.random.default_rng(0).random((38, 8, 9)).astype(np.float32)
    stack[bad, 3, 4] = np.nan
    with pytest.raises(ValueError, match=rf"Plane {bad} \(of 38, counted from 0\): .*NaN"):
        analyze_planes(stack, count=2)


def test_bad_settings_are_no_planes_fault():
    with pytest.raises(ValueError, match=r"^Backbone 'filters' cannot give pathway 'where'"):
        analyze_planes(Lazy(2), count=2, pathway="where")


def test_planes_of_other_shape_or_kind_are_named():
    with pytest.raises(ValueError, match=r"Plane 1 .*\(9, 8\) rows and columns; expected \(8, 9\)"):
        analyze_planes([np.eye(8, 9), np.eye(9, 8)], count=2)
    with pytest.raises(TypeError, match=r"Plane 1 .*complex"):
        analyze_planes([np.eye(8, 9), np.eye(8, 9) * 1j], count=2)
    with pytest.raises(ValueError, match="no planes"):
        analyze_planes([])


@pytest.fixture
def found(monkeypatch):
    """Objects of three planes, as the finder would number them, and stand-ins for their analyses."""
    planes = np.zeros((3, 12, 20), np.int32)
    for number, plane in enumerate(planes):
        plane[1:5, 2 + number : 7 + number] = 1
        plane[7:11, 9 : 15 - number] = 2
    planes[1, 8, 18] = 3
    analyses = [SimpleNamespace(tree=SimpleNamespace(shape=plane.shape), plane=plane) for plane in planes]

    def find(analysis, report):
        report(Progress("objects", 0, 1))
        return analysis.plane.copy()

    monkeypatch.setattr("napari_what_where.segments.objects.find.find_objects", find)
    return planes, analyses


def test_objects_of_planes_go_on_counting(found):
    planes, analyses = found
    objects = find_stack_objects(analyses)
    assert objects.dtype == np.int32
    for plane, own, before in zip(objects, planes, (0, 2, 5), strict=True):
        np.testing.assert_array_equal(plane, np.where(own > 0, own + before, 0))


def test_linked_objects_keep_their_number(found):
    planes, analyses = found
    np.testing.assert_array_equal(find_stack_objects(analyses, linked=True), planes)


@pytest.mark.parametrize(("linked", "numbers"), [(True, [0, 2, 3]), (False, [0, 2, 4, 5, 7])])
def test_objects_outside_are_gone_before_numbers_are_given(found, linked, numbers):
    planes, analyses = found
    outline = np.arange(12)[:, None] * np.ones(20) >= 6
    objects = find_stack_objects(analyses, linked=linked, outline=outline)
    np.testing.assert_array_equal(objects > 0, (planes > 0) & outline)
    assert np.unique(objects).tolist() == numbers


def test_objects_report_their_plane_and_can_be_cancelled(found):
    stages = []
    find_stack_objects(found[1], report=stages.append)
    assert [stage.stage for stage in stages] == [f"objects, plane {number} of 3" for number in (1, 2, 3)]

    def stop(_):
        raise Cancelled

    with pytest.raises(Cancelled):
        find_stack_objects(found[1], report=stop)
