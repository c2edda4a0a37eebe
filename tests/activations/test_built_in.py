"""The model that comes with the package, and the filters beside it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_what_where as ww
from napari_what_where.activations.registry import BUILT_IN_FOLDER
from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity.cosine import CosineAffinity


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


def test_its_weights_are_small_enough_to_ship_and_its_card_has_no_gap():
    files = [path for path in BUILT_IN_FOLDER.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 15_000_000
    assert "$" not in (BUILT_IN_FOLDER / "README.md").read_text()
    curve = np.genfromtxt(BUILT_IN_FOLDER / "training.csv", delimiter=",", names=True)
    assert curve["held_out"][-1] < curve["held_out"][0] / 2


def test_it_attends_at_three_token_grids_and_the_filters_join_them(image):
    layers = ww.load_backbone("built-in", resolution=64).extract(image)
    network = [layer for layer in layers if not layer.stands_in]
    assert len({layer.grid for layer in network}) == 3
    assert all(layer.query is not None and layer.value is not None for layer in network)
    beside = [layer.name for layer in layers if layer.stands_in]
    assert beside == ["filters colour", "filters edges", "filters texture", "filters surroundings"]


def test_without_the_filters_it_is_the_network_alone(image):
    joined = ww.load_backbone("built-in", resolution=64).extract(image)
    alone = ww.load_backbone("built-in", resolution=64, filters=False)
    layers = alone.extract(image)
    assert alone.describe()["options"]["filters"] is False
    kept = [layer for layer in joined if not layer.stands_in]
    assert [layer.name for layer in layers] == [layer.name for layer in kept]
    assert all(torch.equal(one.value, other.value) for one, other in zip(layers, kept, strict=True))


@pytest.mark.parametrize("channels", [None, 1, 2, 5])
@pytest.mark.parametrize("pathway", ["what", "where", "both"])
def test_every_pathway_of_any_number_of_channels(channels, pathway):
    shape = (33, 57) if channels is None else (33, 57, channels)
    given = np.random.default_rng(1).integers(0, 4000, shape, dtype=np.uint16)
    analysis = ww.analyze(given, backbone="built-in", backbone_options={"resolution": 64}, pathway=pathway, count=4)
    assert analysis.embedding.vectors.shape[0] == 4
    assert np.isfinite(analysis.embedding.vectors).all()
    assert analysis.tree.labels(3).shape == (33, 57)


def test_small_objects_are_seen_by_network_and_filters_alike(image):
    large = np.kron(image, np.ones((8, 8, 1), np.uint8))
    analysis = ww.analyze(
        large, backbone="built-in", backbone_options={"resolution": 64}, count=4, smallest_object=12.0
    )
    assert analysis.tree.shape == large.shape[:2]


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        ({"filters": 1}, TypeError, "filters is 1; expected True or False"),
        ({"colour": 1}, TypeError, "built-in has no option 'colour'; expected some of filters, layers"),
        ({"prompt": "a cat"}, ValueError, "reads no text"),
    ],
)
def test_wrong_options_are_refused_in_words(options, kind, said):
    with pytest.raises(kind, match=said):
        ww.load_backbone("built-in", **options)


# ------------------------------------------------------------------------- what the joint operator makes of such layers


def layer(name: str, seed: int, **more) -> TokenActivations:
    query, key, value = torch.randn(3, 2, 12, 4, generator=torch.Generator().manual_seed(seed))
    attention = {} if more.get("stands_in") else {"query": query, "key": key}
    return TokenActivations(name, (3, 4), value=value, **attention, **more)


@pytest.mark.parametrize("pathway", ["what", "where", "both"])
@pytest.mark.parametrize("form", ["auto", "dense", "matrix-free"])
@pytest.mark.parametrize("collapse", [True, False])
def test_layers_count_by_their_weight_and_values_stand_in(pathway, form, collapse):
    attends, beside = layer("a", 0, weight=2.0), layer("b", 1, weight=0.5, stands_in=True)

    def alone(each: TokenActivations, way: str) -> torch.Tensor:
        plain = TokenActivations(each.name, each.grid, each.query, each.key, each.value)
        return ww.joint_affinity([plain], pathway=way).dense()

    joint = ww.joint_affinity([attends, beside], pathway=pathway, form=form, collapse=collapse).dense()
    expected = (2.0 * alone(attends, pathway) + 0.5 * alone(beside, "what")) / 2.5
    torch.testing.assert_close(joint, expected, rtol=1e-4, atol=1e-6)


def test_without_standing_in_where_still_wants_queries():
    bare = TokenActivations("bare", (2, 2), value=torch.ones(1, 4, 2))
    with pytest.raises(ValueError, match="bare"):
        ww.joint_affinity([bare], pathway="where")
    assert CosineAffinity.of(bare, torch.device("cpu")).tokens == 4


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_above_zero(weight):
    with pytest.raises(ValueError, match="weight is"):
        TokenActivations("a", (1, 1), value=torch.ones(1, 1, 1), weight=weight)
