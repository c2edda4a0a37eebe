"""Capture on every class of diffusion model, and the layers of the published ones."""

from __future__ import annotations

import re
from collections import Counter

import pytest
import torch

from napari_what_where.activations.capture import AttentionCall, capture_attention
from napari_what_where.activations.networks.diffusion import Prepared

from .capture_conformance import CaptureCase, CaptureConformance, project
from .tiny_diffusion import LAYERS, PIPELINES, warm
from .true_configs import parts

SHAPES = ((8, 8), (8, 32))
"""Of latents; DiT puts together images of a square number of tokens only."""


def project_joint(module, merged, args, kwargs):
    """Image and text are projected apart, where the module does it; in Flux's blocks of one sequence its block does."""
    if not hasattr(module, "to_out"):
        return merged
    count = kwargs["hidden_states"].shape[1]
    flux = type(module).__name__ == "FluxAttention"  # Text first.
    image, text = (merged[:, -count:], merged[:, :-count]) if flux else (merged[:, :count], merged[:, count:])
    if module.to_add_out is None:
        return module.to_out[0](image)
    return module.to_out[0](image), module.to_add_out(text)


def project_any(module, merged, args, kwargs):
    flux = type(module).__name__ == "FluxAttention"
    joint = flux or module.added_kv_proj_dim is not None
    return (project_joint if joint else project)(module, merged, args, kwargs)


def case_of(backbone):
    """The model as its adapter runs it, on latents."""
    text = backbone.text()

    def run(model, latents):
        shape = (latents.shape[2] * backbone.cell, latents.shape[3] * backbone.cell)
        texts = {name: each.repeat(len(latents), *[1] * (each.ndim - 1)) for name, each in text.items()}
        return backbone.denoise(latents, torch.full((len(latents),), 50), Prepared(shape, latents, latents, texts))

    torch.manual_seed(7)
    latents = tuple(torch.randn(2, backbone.latent_channels, *shape) for shape in SHAPES)
    return CaptureCase(
        backbone.module, run, latents, backbone.attention, LAYERS[backbone.info.name], project=project_any
    )


class TestEveryClass(CaptureConformance):
    @pytest.fixture(params=PIPELINES)
    def case(self, request):
        return case_of(warm(request.param))


def on_meta(name):
    """A published model without its weights."""
    import diffusers

    class_name, config, _ = parts(name)[0]
    with torch.device("meta"):
        return getattr(diffusers, class_name).from_config(config).eval()


@pytest.mark.parametrize(
    ("name", "adapter", "count"),
    [
        ("stable-diffusion-1.4", "stable_diffusion:StableDiffusionUNet", 16),
        ("stable-diffusion-2.1", "stable_diffusion:StableDiffusionUNet", 16),
        ("stable-diffusion-xl", "stable_diffusion:StableDiffusionUNet", 70),
        ("stable-diffusion-3-medium", "stable_diffusion_3:StableDiffusion3", 24),
        ("stable-diffusion-3.5-medium", "stable_diffusion_3:StableDiffusion3", 24 + 13),
        ("flux-dev", "flux:Flux", 19 + 38),
        ("dit-xl-2-256", "dit:DiT", 28),
        ("pixart-sigma", "pixart:PixArt", 28),
    ],
)
def test_all_self_attention_of_the_published_models_is_named(name, adapter, count):
    module, _, kind = adapter.partition(":")
    package = pytest.importorskip(f"napari_what_where.activations.networks.{module}")
    pattern = getattr(package, kind).attention
    names = [each for each, _ in on_meta(name).named_modules() if re.fullmatch(pattern, each)]
    assert len(names) == count


def test_stable_diffusion_1_has_sixteen_layers_on_four_grids():
    model = on_meta("stable-diffusion-1.4")
    calls: list[AttentionCall] = []
    latents, text = torch.empty(1, 4, 64, 96, device="meta"), torch.empty(1, 77, 768, device="meta")
    attention = r".*\.transformer_blocks\.\d+\.attn1"
    wanted = re.compile(attention).fullmatch
    with torch.no_grad(), capture_attention(model, calls.append, wanted=lambda name: wanted(name) is not None):
        model(latents, torch.zeros(1, device="meta"), encoder_hidden_states=text)
    assert Counter(call.plane for call in calls) == {(64, 96): 5, (32, 48): 5, (16, 24): 5, (8, 12): 1}
    assert all(call.query.shape[2] == call.plane[0] * call.plane[1] for call in calls)
