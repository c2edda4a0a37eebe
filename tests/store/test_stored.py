"""What is replayed is what was captured, for what decides it and nothing else, and no forward is repeated."""

from __future__ import annotations

import dataclasses
import tempfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_what_where.activations.filters import FiltersBackbone
from napari_what_where.activations.types import TokenActivations
from napari_what_where.image import PerceptualScale
from napari_what_where.pipeline import analyze
from napari_what_where.store import signature
from napari_what_where.store.folder import ActivationStore
from napari_what_where.store.stored import Stored, remembered
from napari_what_where.working_plane.object_scale import plan_plane

from ..activations.conformance import BackboneConformance
from ..images import scene
from .fakes import Fake, bits

IMAGE = scene(channels=3)


@pytest.fixture
def store(tmp_path) -> ActivationStore:
    return ActivationStore(tmp_path / "store", limit_bytes=10**9)


class Kept(FiltersBackbone):
    """The filters, as if they were worth keeping."""

    keepable = property(lambda self: True)


class TestConformance(BackboneConformance):
    """A backbone that remembers is a backbone, at first sight and at second."""

    shapes = ((2, 3), (37, 41))

    @pytest.fixture
    def backbone(self, store):
        return Stored(Kept(), store, remark=pytest.fail)


FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@st.composite
def layers(draw) -> TokenActivations:
    grid = draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    heads, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    shape = (heads, grid[0] * grid[1], width)
    kinds = {role: draw(st.sampled_from(FLOATS)) for role in ("query", "key", "value")}
    source = torch.Generator().manual_seed(draw(st.integers(0, 9)))
    special = draw(st.sampled_from([0.0, -0.0, 1e-42, -65504.0, 1.0]))

    def tensor(role: str) -> torch.Tensor:
        drawn = torch.randn(shape, generator=source).to(kinds[role])
        drawn[0] = special
        return drawn.transpose(0, 1).contiguous().transpose(0, 1) if draw(st.booleans()) else drawn

    held = draw(st.sampled_from([("value",), ("query", "key"), ("query", "key", "value")]))
    name, obstacle = draw(st.text(max_size=8)), draw(st.sampled_from(["", "it is causal"]))
    return TokenActivations(name, grid, obstacle=obstacle, **{role: tensor(role) for role in held})


@settings(max_examples=25)
@given(st.lists(layers(), min_size=1, max_size=4))
def test_a_replay_is_the_capture_bit_for_bit(captured):
    with tempfile.TemporaryDirectory() as folder:
        fake = Fake(captured)
        backbone = Stored(fake, ActivationStore(folder, limit_bytes=10**9), remark=pytest.fail)
        for _ in range(2):
            assert bits(backbone.extract(IMAGE)) == bits(captured)
        assert fake.visits == 1


def test_an_array_of_zeros_is_kept_with_its_signs(store):
    zeros = TokenActivations("zeros", (2, 2), value=torch.tensor([0.0, -0.0, 0.0, 0.0]).reshape(1, 4, 1))
    backbone = Stored(Fake([zeros]), store, remark=pytest.fail)
    backbone.extract(IMAGE)
    assert bits(backbone.extract(IMAGE)) == bits([zeros])
    negative = TokenActivations("zeros", (2, 2), value=torch.full((1, 4, 1), -0.0))
    backbone = Stored(Fake([negative], revision=2), store, remark=pytest.fail)
    backbone.extract(IMAGE)
    assert bits(backbone.extract(IMAGE)) == bits([negative])


def test_one_network_layer_is_in_memory_at_a_time(store, monkeypatch):
    from napari_what_where.store.entry import Entry

    backbone, events = Stored(Fake(), store), []
    backbone.extract(IMAGE)
    read = Entry.read
    monkeypatch.setattr(Entry, "read", lambda entry, number: events.append(number) or read(entry, number))
    backbone.visit(IMAGE, lambda layer: events.append(layer.name))
    assert events == [0, "block 0", 1, "block 1", 2, "block 2", 3, "block 3"]


def test_nothing_that_follows_the_activations_repeats_a_forward(store):
    inner = Kept()
    visit, visits = inner.visit, []
    inner.visit = lambda *given, **options: (visits.append(1), visit(*given, **options))[1]
    image = scene((40, 50), channels=3)
    first = analyze(image, backbone=Stored(inner, store), count=4)
    for other in ({"count": 6}, {"normalization": "none"}, {"method": "gradient"}, {"follow_edges": False}):
        analyze(image, backbone=Stored(inner, store), **{"count": 4, **other})
    again = analyze(image, backbone=Stored(inner, store), count=4)
    assert len(visits) == 1
    np.testing.assert_array_equal(again.embedding.vectors, first.embedding.vectors)
    np.testing.assert_array_equal(again.tree.labels(5), first.tree.labels(5))


def test_the_image_s_own_scale_is_the_same_given_or_not(store):
    fake = Fake()
    backbone = Stored(fake, store)
    backbone.extract(IMAGE)
    backbone.extract(IMAGE, scale=PerceptualScale.fit([IMAGE]))
    backbone.extract(np.asfortranarray(IMAGE), plane=plan_plane(IMAGE.shape[:2]))
    assert fake.visits == 1


PLANE = plan_plane(IMAGE.shape[:2], 8)
GREY = scene(dtype="uint16")
SCALE = PerceptualScale.fit([GREY])
SPECTRUM = scene(channels=8, dtype="float32")
WIDE = PerceptualScale.fit([SPECTRUM])
DIFFERENT = {
    "a pixel": ({"image": IMAGE}, {"image": np.where(np.arange(3) == 0, IMAGE ^ 1, IMAGE)}),
    "shape": ({"image": GREY}, {"image": GREY.reshape(16, 48), "scale": SCALE}),
    "dtype": ({"image": GREY, "scale": SCALE}, {"image": GREY.view(np.int16), "scale": SCALE}),
    "scale, low": ({"image": GREY}, {"image": GREY, "scale": dataclasses.replace(SCALE, low=SCALE.low + 1)}),
    "scale, high": ({"image": GREY}, {"image": GREY, "scale": dataclasses.replace(SCALE, high=SCALE.high + 1)}),
    "scale, offset": (
        {"image": SPECTRUM},
        {"image": SPECTRUM, "scale": dataclasses.replace(WIDE, offset=WIDE.offset + 1e-9)},
    ),
    "scale, components": (
        {"image": SPECTRUM},
        {"image": SPECTRUM, "scale": dataclasses.replace(WIDE, components=-WIDE.components)},
    ),
    "scale, colour": ({"image": IMAGE}, {"image": IMAGE, "scale": PerceptualScale.fit([IMAGE.astype(np.uint16)])}),
    "a plane": ({"image": IMAGE}, {"image": IMAGE, "plane": PLANE}),
    "plane, leaves": ({"plane": PLANE}, {"plane": dataclasses.replace(PLANE, leaves=PLANE.leaves + 1)}),
    "plane, tiles": ({"plane": PLANE}, {"plane": dataclasses.replace(PLANE, tile_side=7)}),
    "plane, shape": ({"plane": PLANE}, {"plane": dataclasses.replace(PLANE, shape=(9, 9))}),
    "an option": ({"options": {"resolution": 512}}, {"options": {"resolution": 768}}),
    "another option": ({}, {"options": {"steps": [1, 2]}}),
    "the revision": ({"options": {"weights": "a"}}, {"options": {"weights": "b"}}),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT.keys())
def test_all_that_decides_activations_is_in_the_signature(store, one, other):
    def see(case: dict, visits: int) -> None:
        fake = Fake(**case.get("options", {}))
        given = {name: case[name] for name in ("scale", "plane") if name in case}
        Stored(fake, store, remark=pytest.fail).extract(case.get("image", IMAGE), **given)
        assert fake.visits == visits

    see(one, 1)
    see(other, 1)
    see(one, 0)
    see(other, 0)


@pytest.mark.parametrize("change", [("CAPTURE_FORMAT", 99), ("_version", lambda library: "99")])
def test_so_are_the_format_and_the_libraries(store, monkeypatch, change):
    fake = Fake()
    Stored(fake, store).extract(IMAGE)
    monkeypatch.setattr(signature, *change)
    Stored(fake, store).extract(IMAGE)
    assert fake.visits == 2


def test_what_is_not_keepable_runs_as_ever(store):
    fake = Fake(keep=False)
    assert remembered(fake, store) is fake
    for _ in range(2):
        assert bits(Stored(fake, store).extract(IMAGE)) == bits(fake.extract(IMAGE))
    assert fake.visits == 4
    assert not store.folder.exists()


def test_remembered_wraps_once(store):
    fake = Fake()
    once = remembered(fake, store)
    twice = remembered(once, remark=pytest.fail)
    assert (twice.inner, twice.store) == (fake, store)
    assert (twice.info, twice.describe(), twice.keepable) == (fake.info, fake.describe(), True)
    assert remembered(fake).store.folder == ActivationStore().folder


def test_the_device_and_the_pathway_are_the_model_s(store, monkeypatch):
    fake, told = Fake(), []
    monkeypatch.setattr(fake, "use", told.append, raising=False)
    Stored(fake, store).use(torch.device("cpu"))
    assert told == [torch.device("cpu")]
    with pytest.raises(ValueError, match="expected one of"):
        Stored(fake, store).check_pathway("why")
