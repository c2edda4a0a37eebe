"""The example of docs/your-own-model.md runs as it stands, and its adapter keeps what all backbones must."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from napari_what_where import analyze
from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.networks.network import NetworkBackbone

from ..images import scene
from .capture_conformance import CaptureCase, CaptureConformance
from .conformance import BackboneConformance, same

PAGE = Path(__file__).parents[2] / "docs" / "your-own-model.md"


@pytest.fixture(scope="module")
def example() -> dict[str, Any]:
    """What the page's code leaves behind."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    torch.manual_seed(0)
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(code, str(PAGE), "exec"), names)
    return names


def test_the_example_segments(example):
    image = example["load_sample"]("coffee")
    labels = example["labels"]
    assert labels.shape == image.shape[:2]
    np.testing.assert_array_equal(np.unique(labels), np.arange(1, 9))
    assert example["analysis"].embedding.vectors.shape[0] == 6
    assert example["analysis"].provenance["options"]["backbone"] == "small-vit"


def test_the_example_is_a_dozen_lines():
    adapter = PAGE.read_text(encoding="utf-8").partition("class SmallViTBackbone")[2].partition("\n\n\n")[0]
    assert len([line for line in adapter.splitlines() if line.strip()]) <= 12


def test_the_layers_are_those_of_the_module(example):
    layers = example["backbone"].extract(scene((30, 60), 3))
    assert [layer.name for layer in layers] == [f"encoder.layers.{number}.self_attn" for number in range(3)]
    assert {layer.grid for layer in layers} == {(23, 45)}
    assert {tuple(layer.query.shape) for layer in layers} == {(4, 23 * 45, 16)}


class TestExample(BackboneConformance):
    channels = (None, 3, 5)
    shapes = ((2, 2), (3, 900), (37, 41))

    @pytest.fixture
    def backbone(self, example):
        return example["SmallViTBackbone"](example["model"], resolution=48)


class TestCapture(CaptureConformance):
    @pytest.fixture
    def case(self, example):
        backbone = example["backbone"]
        torch.manual_seed(1)
        pictures = (torch.rand(2, 3, 32, 32), torch.rand(2, 3, 24, 56))
        return CaptureCase(backbone.module, lambda _, x: backbone.run(x), pictures, backbone.attention, 3, fused=True)


# Models of other kinds

INFO = BackboneInfo("own", "own", "random weights", ("what", "where"), 0, "none")


class Attention(torch.nn.Module):
    """Attention on feature maps; ``kind`` is how."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.mix = kind, torch.nn.Conv2d(8, 24, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        query, key, value = self.mix(features).flatten(2).transpose(1, 2)[:, None].chunk(3, -1)
        if self.kind == "by hand":
            seen = (query @ key.transpose(-1, -2) / 8**0.5).softmax(-1) @ value
        else:
            bias = torch.linspace(0, 1, query.shape[2]) if self.kind == "biased" else None
            mask = None if bias is None else bias.expand(query.shape[2], -1)
            seen = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return features + seen[:, 0].transpose(1, 2).unflatten(2, features.shape[2:])


class Own(NetworkBackbone):
    attention = "[13]"
    step, token = 8, 4

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__(INFO, **options)
        self.kind = kind

    def load(self) -> torch.nn.Module:
        torch.manual_seed(0)
        stem, down = torch.nn.Conv2d(3, 8, 4, stride=4), torch.nn.AvgPool2d(2)
        return torch.nn.Sequential(stem, Attention(self.kind), down, Attention(self.kind))

    def run(self, picture: torch.Tensor) -> Any:
        return self.module(picture)


def test_attention_on_feature_maps_has_their_grids():
    layers = Own("plain", resolution=64).extract(scene((30, 60), 3))
    assert [(layer.name, layer.grid) for layer in layers] == [("1", (12, 22)), ("3", (6, 11))]


def test_products_written_by_hand_are_refused_in_words():
    words = "own has no attention product that can be seen.*MultiheadAttention.*written out by hand"
    with pytest.raises(ValueError, match=words):
        Own("by hand").extract(scene())


def test_an_added_bias_refuses_where_and_allows_what():
    image, backbone = scene((30, 60), 3), Own("biased", resolution=64)
    layers = backbone.extract(image)
    assert all(layer.query is None and "bias is added" in layer.obstacle for layer in layers)
    with pytest.raises(ValueError, match="bias is added"):
        analyze(image, backbone=backbone, pathway="where", count=3)
    assert analyze(image, backbone=backbone, pathway="what", count=3).embedding.vectors.shape == (3, 12, 22)


def test_an_early_end_gives_the_same():
    class Early(Own):
        ends_early = True

        def run(self, picture: torch.Tensor) -> Any:
            super().run(picture)
            raise AssertionError("the pass has not been ended")

    image = scene((30, 60), 3)
    assert same(Early("plain").extract(image), Own("plain").extract(image))


def test_without_rows_and_columns_the_grid_is_asked_for(example):
    class Flat(Own):
        attention = "0"

        def load(self) -> torch.nn.Module:
            return torch.nn.Sequential(torch.nn.MultiheadAttention(3, 1, batch_first=True))

        def run(self, picture: torch.Tensor) -> Any:
            tokens = picture.flatten(2).transpose(1, 2)
            return self.module[0](tokens, tokens, tokens)

    with pytest.raises(
        ValueError, match="no module around 0 takes an input with rows and columns.*Override token_grid"
    ):
        Flat("", resolution=16).extract(scene())

    class Told(Flat):
        def token_grid(self, call, picture):
            return picture.shape[2], picture.shape[3]

    assert Told("", resolution=16).extract(scene((20, 20)))[0].grid == (16, 16)
