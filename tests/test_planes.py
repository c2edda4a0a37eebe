"""Every plane of a stack at one scale; the one that is to blame is named."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.pipeline import analyze
from napari_what_where.planes import SCALE_PLANES, analyze_planes
from napari_what_where.progress import Cancelled


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
