"""What is said of each kind of things, and that it is found once."""

from __future__ import annotations

import json

import numpy as np
import pytest

import napari_what_where as ww
from napari_what_where.collection import kinds as module
from napari_what_where.collection.answer import CollectionAnalysis
from napari_what_where.collection.kinds import describe_kinds
from napari_what_where.collection.report.typical import shares_of
from napari_what_where.progress import ignore_progress

from .test_analysis import scene

NAMES = ["a", "b", "c"]


@pytest.fixture
def analysis(tmp_path) -> CollectionAnalysis:
    images = [scene(seed)[0] for seed in range(2)] + [np.full((3, 3, 3, 3), 1, np.uint8)]
    return ww.analyze_collection(images, clusters=3, count=6, folder=tmp_path, skip_bad=True)


def test_kinds_are_told_by_share_and_where_they_are_most_themselves(analysis):
    told = describe_kinds(analysis, NAMES, ignore_progress)
    assert [kind.number for kind in told] == [1, 2, 3]
    shares = np.array([shares_of(analysis.labels[number], 3) for number in (0, 1)])
    np.testing.assert_allclose([kind.share for kind in told], shares.mean(axis=0))
    assert [kind.images for kind in told] == (shares > 0).sum(axis=0).tolist()
    for kind in told:
        image, box = kind.typical
        assert (analysis.labels[image][box] == kind.number).any()


def test_they_are_found_once_and_again_for_other_labels(analysis, monkeypatch, tmp_path):
    told = describe_kinds(analysis, NAMES, ignore_progress)
    (kept,) = tmp_path.rglob("kinds.json")
    calls = []
    describe = module._describe
    monkeypatch.setattr(module, "_describe", lambda *given: calls.append(1) or describe(*given))
    assert describe_kinds(analysis, NAMES, ignore_progress) == told
    assert not calls
    for content in ("{", '{"made_at": 1}', json.dumps({**json.loads(kept.read_text()), "made_at": "earlier"})):
        kept.write_text(content)
        assert describe_kinds(analysis, NAMES, ignore_progress) == told
    assert len(calls) == 3
    ww.analyze_collection([scene(5)[0]], clusters=3, count=6, folder=tmp_path)
    assert not kept.exists(), "what was said of other labels has gone with them"


def test_of_a_loaded_projection_there_is_nothing_to_say(analysis, tmp_path):
    analysis.save(tmp_path / "alone.pt")
    with pytest.raises(LookupError, match="Only the projection was loaded"):
        describe_kinds(CollectionAnalysis.load(tmp_path / "alone.pt"), NAMES, ignore_progress)
