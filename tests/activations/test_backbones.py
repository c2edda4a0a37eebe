"""Every backbone that runs without a download, against the conformance suite; and how they are found by name."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import napari_what_where as ww
from napari_what_where.activations.backbone import Backbone, BackboneInfo
from napari_what_where.activations.registry import backbone_info, list_backbones, load_backbone
from napari_what_where.activations.types import TokenActivations
from napari_what_where.grids import area_mean
from napari_what_where.image import PerceptualScale
from napari_what_where.progress import Progress, ignore_progress

from .conformance import BackboneConformance


class TestEveryReadyBackbone(BackboneConformance):
    @pytest.fixture(params=[name for name in list_backbones() if backbone_info(name).status == "ready"])
    def backbone(self, request):
        return load_backbone(request.param)


class AttentionBackbone(Backbone):
    """The least that a backbone with attention is: pooled channels times fixed random weights."""

    info = BackboneInfo("tiny attention", "test", "random weights", ("what", "where"), 0, "BSD-3-Clause")

    def visit(self, image, receive, *, scale=None, report=ignore_progress):
        channels = (scale or PerceptualScale.fit([image])).apply(image)
        for done, factor in enumerate((2, 3)):
            report(Progress("activations", done, 2))
            grid = (max(1, channels.shape[0] // factor), max(1, channels.shape[1] // factor))
            tokens = torch.from_numpy(area_mean(channels, grid)).reshape(1, grid[0] * grid[1], -1)
            weights = torch.randn(6, tokens.shape[2], 4, generator=torch.Generator().manual_seed(done))
            query, key, value = (tokens @ weights).split(2)
            receive(TokenActivations(f"layer {done}", grid, query, key, value))
        report(Progress("activations", 2, 2))


class TestTheSuiteOnAttention(BackboneConformance):
    """That the suite asks of a backbone with attention what it can keep."""

    @pytest.fixture
    def backbone(self):
        return AttentionBackbone()


class AttentionOnly(Backbone):
    info = BackboneInfo("attention only", "test", "no values", ("where",), 0, "BSD-3-Clause")

    def visit(self, image, receive, *, scale=None, report=ignore_progress):
        raise NotImplementedError


def test_a_backbone_without_values_says_so():
    with pytest.raises(ValueError, match="it has no values. Use pathway 'where', or another backbone"):
        AttentionOnly().check_pathway("what")
    with pytest.raises(ValueError, match="it has no values"):
        AttentionOnly().check_pathway("both")
    AttentionOnly().check_pathway("where")


# -------------------------------------------------------------------------------------------------------- registry


def test_names_are_listed_once_and_described():
    names = ww.list_backbones()
    assert "filters" in names
    assert len(set(names)) == len(names)
    for name in names:
        info = backbone_info(name)
        assert info.name == name
        assert info.status


def test_loading_gives_the_backbone_of_that_name():
    backbone = ww.load_backbone("filters")
    assert isinstance(backbone, Backbone)
    assert backbone.info == backbone_info("filters")


@pytest.mark.parametrize("name", ["filter", "", "FILTERS"])
def test_unknown_names_are_refused_in_words(name):
    for ask in (load_backbone, backbone_info):
        with pytest.raises(ValueError, match="'filters'"):
            ask(name)


def test_describing_backbones_loads_no_torch():
    code = (
        "import sys; from napari_what_where.activations.registry import backbone_info, list_backbones;"
        "[backbone_info(name) for name in list_backbones()];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
