"""Diffusion models as backbones: latents, noise, prompts, and everything that a backbone must keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_what_where as ww
from napari_what_where.progress import Cancelled

from ..images import scene
from .conformance import BackboneConformance, same
from .tiny_diffusion import LAYERS, PIPELINES, tiny, tiny_folder, warm

TEXTS = [name for name in PIPELINES if not name.startswith(("unconditional", "dit"))]


class NarrowConformance(BackboneConformance):
    channels = (None, 3, 5)
    shapes = ((2, 2), (5, 7), (3, 900), (900, 3))


class TestStableDiffusion(NarrowConformance):
    @pytest.fixture
    def backbone(self):
        return warm("stable-diffusion")


class TestDiT(NarrowConformance):
    @pytest.fixture
    def backbone(self):
        return warm("dit")


@pytest.mark.parametrize("name", PIPELINES)
def test_every_class_takes_any_aspect_and_knows_its_grid(name):
    backbone = warm(name)
    for shape in ((20, 47), (47, 20), (3, 900)):
        layers = backbone.extract(scene(shape))
        assert len(layers) == LAYERS[name]
        assert all(layer.name.endswith(" t=50") for layer in layers)
        finest = max(layers, key=lambda layer: layer.tokens)
        rows, columns = finest.grid
        assert (rows >= columns) == (shape[0] >= shape[1])
        if backbone.longest is None:
            assert 0.5 < rows * columns * backbone.token**2 / backbone.resolution**2 < 1.5


@pytest.mark.parametrize("name", PIPELINES)
def test_the_patch_that_changes_is_the_token_that_changes(name):
    """Tokens are in raster order and are the image's: text before or behind them would shift the place."""
    backbone = tiny(tiny_folder(name), layers=["*"])
    image = scene((40, 24))
    first = backbone.extract(image)[0]
    cells = tuple(size * backbone.token // backbone.cell for size in first.grid)
    torch.manual_seed(0)
    plain = torch.randn(1, backbone.latent_channels, *cells)
    width = cells[0] // first.grid[0]
    place = (first.grid[0] - 2, 1)
    changed = plain.clone()
    at = [slice(width * each, width * (each + 1)) for each in place]
    changed[:, :, at[0], at[1]] += 3 * torch.randn(1, backbone.latent_channels, width, width)
    seen = []
    for latents in (plain, changed):
        backbone.encode = lambda picture, latents=latents: latents
        seen.append(backbone.extract(image)[0])
    difference = (seen[1].value - seen[0].value).square().sum(dim=(0, 2))
    row, column = divmod(int(difference.argmax()), first.grid[1])
    blur = 1 if backbone.component == "unet" else 0  # Random convolutions move what they spread.
    assert max(abs(row - place[0]), abs(column - place[1])) <= blur


@pytest.mark.parametrize("name", ["stable-diffusion-3", "stable-diffusion-3.5", "flux-schnell", "flux-dev"])
def test_text_tokens_are_left_out(name):
    """The image's own tokens meet the text in the first block: only what comes after it can know."""
    backbone = tiny(tiny_folder(name))
    plain = backbone.extract(scene())
    text = backbone.text()
    backbone._texts[""] = {**text, "states": text["states"] + 1}
    other = backbone.extract(scene())
    assert same(plain[:1], other[:1])
    assert not same(plain[-1:], other[-1:])


def test_several_timesteps_are_passes_of_their_own():
    several = tiny(tiny_folder("stable-diffusion"), timesteps=[250, 10]).extract(scene())
    assert len(several) == 2 * LAYERS["stable-diffusion"]
    alone = [tiny(tiny_folder("stable-diffusion"), timesteps=each).extract(scene()) for each in (250, 10)]
    assert same(several, [*alone[0], *alone[1]])
    assert [layer.name.split()[-1] for layer in several] == ["t=250"] * 7 + ["t=10"] * 7


def noisy_input(backbone, image):
    """What the denoiser is given."""
    seen = []
    hook = backbone.module.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append((args[0], args[1] if len(args) > 1 else kwargs["timestep"])),
        with_kwargs=True,
    )
    backbone.extract(image)
    hook.remove()
    return seen[0]


def test_noise_is_that_of_training():
    """√ᾱ x + √(1 − ᾱ) ε, with the betas of Stable Diffusion, whichever scheduler the folder has."""
    backbone = tiny(tiny_folder("stable-diffusion"), timesteps=300, noise_seed=5)
    noisy, timestep = noisy_input(backbone, scene((32, 32)))
    kept = np.cumprod(1 - np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)[300]
    noise = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(5))
    latents = (noisy - (1 - kept) ** 0.5 * noise) / kept**0.5
    torch.testing.assert_close(latents, latents_of_diffusers(tiny_folder("stable-diffusion"), scene((32, 32))))
    assert int(timestep) == 300


def test_flow_is_a_straight_line():
    backbone = tiny(tiny_folder("stable-diffusion-3"), timesteps=300, noise_seed=5)
    noisy, timestep = noisy_input(backbone, scene((32, 32)))
    noise = torch.randn(noisy.shape, generator=torch.Generator().manual_seed(5))
    latents = (noisy - 0.3 * noise) / 0.7
    torch.testing.assert_close(latents, latents_of_diffusers(tiny_folder("stable-diffusion-3"), scene((32, 32))))
    assert float(timestep) == 300


def latents_of_diffusers(folder, image):
    from diffusers import AutoencoderKL

    from napari_what_where.activations.networks.pictures import picture_tensor

    vae = AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True)
    picture = picture_tensor(image, None, lambda shape: (32, 32), lambda progress: None)
    with torch.no_grad():
        mean = vae.encode(picture * 2 - 1).latent_dist.mean
    return (mean - (vae.config.shift_factor or 0)) * vae.config.scaling_factor


def test_flux_packs_latents_as_diffusers_does():
    from diffusers import FluxPipeline

    backbone = tiny(tiny_folder("flux-schnell"), timesteps=0)
    packed, _ = noisy_input(backbone, scene((32, 32)))
    latents = latents_of_diffusers(tiny_folder("flux-schnell"), scene((32, 32)))
    torch.testing.assert_close(packed, FluxPipeline._pack_latents(latents, 1, 4, 16, 16))


def test_noise_is_its_own():
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = tiny(tiny_folder("dit")).extract(scene())
    assert torch.equal(torch.get_rng_state(), state), "loading and running leave the global generator alone"
    torch.manual_seed(1)
    assert same(tiny(tiny_folder("dit")).extract(scene()), one)
    assert not same(tiny(tiny_folder("dit"), noise_seed=1).extract(scene()), one)


def test_attention_of_the_autoencoder_is_left_out():
    backbone = warm("stable-diffusion")
    backbone.extract(scene())
    model = backbone.encoder._model
    assert any("attentions" in name for name, _ in model.named_modules()), "it has some"
    names = {layer.name.removesuffix(" t=50") for layer in backbone.extract(scene())}
    assert names == set(backbone.network_layers)
    assert names <= {name for name, _ in backbone.module.named_modules()}


def test_large_pictures_are_encoded_tile_by_tile():
    backbone = tiny(tiny_folder("stable-diffusion"))
    picture = torch.rand(1, 3, 48, 64)
    whole = backbone.encoder.encode(picture)
    largest = []
    hook = backbone.encoder._model.encoder.conv_in.register_forward_pre_hook(
        lambda module, args: largest.append(args[0].shape[2] * args[0].shape[3])
    )
    backbone.encoder.untiled = 32**2
    tiled = backbone.encoder.encode(picture)
    hook.remove()
    assert max(largest) <= 16**2
    assert tiled.shape == whole.shape
    assert not torch.equal(tiled, whole)


@pytest.mark.parametrize("name", PIPELINES)
def test_half_precision_is_near_full(name):
    half = tiny(tiny_folder(name), precision="half")
    layers = half.extract(scene())
    assert all(layer.value.dtype == half.half for layer in layers)
    for one, other in zip(layers, warm(name).extract(scene()), strict=True):
        assert torch.cosine_similarity(one.value.float().flatten(), other.value.flatten(), dim=0) > 0.99


def test_half_weights_never_take_the_memory_of_full_ones():
    module = tiny(tiny_folder("flux-schnell"), precision="half").load()
    assert {parameter.dtype for parameter in module.parameters()} == {torch.bfloat16}


def test_full_precision_after_half_reads_the_weights_again():
    backbone = tiny(tiny_folder("dit"), precision="half")
    backbone.extract(scene())
    backbone.precision = "full"
    assert same(backbone.extract(scene()), warm("dit").extract(scene()))


def test_the_first_run_can_be_cancelled_at_every_step_of_loading():
    steps = []
    tiny(tiny_folder("stable-diffusion-3")).extract(scene(), report=steps.append)
    assert steps[0].stage == "loading stable-diffusion-3"
    loading = sum(step.stage.startswith("loading") for step in steps)
    preparing = sum(step.stage == "activations" and step.done == 0 for step in steps)
    assert loading > 30, "text encoders report from inside"
    assert preparing > 30, "so does the autoencoder"
    for last in (0, loading // 2, loading + preparing // 2):
        backbone, seen = tiny(tiny_folder("stable-diffusion-3")), []

        def report(progress, seen=seen, last=last):
            seen.append(progress)
            if len(seen) > last:
                raise Cancelled

        with pytest.raises(Cancelled):
            backbone.extract(scene(), report=report)
        assert len(seen) == last + 1
        assert len(backbone.extract(scene())) == LAYERS["stable-diffusion-3"]


def test_layers_are_chosen():
    layers = tiny(tiny_folder("stable-diffusion"), layers=["mid_block.*"]).extract(scene())
    assert [layer.name for layer in layers] == ["mid_block.attentions.0.transformer_blocks.0.attn1 t=50"]


def test_options_describe_the_activations():
    described = tiny(tiny_folder("stable-diffusion"), timesteps=[1, 2], prompt="a", noise_seed=3).describe()["options"]
    assert described["timesteps"] == [1, 2]
    assert described["prompt"] == "a"
    assert described["noise_seed"] == 3


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"timesteps": 1000}, ValueError, "timesteps is 1000; expected a whole number, or several, in 0…999"),
        ({"timesteps": -1}, ValueError, "in 0…999"),
        ({"timesteps": []}, ValueError, "in 0…999"),
        ({"timesteps": "50"}, ValueError, "in 0…999"),
        ({"timesteps": 2.5}, ValueError, "in 0…999"),
        ({"timesteps": True}, ValueError, "in 0…999"),
        ({"timesteps": [[1], [2, 3]]}, ValueError, "in 0…999"),
        ({"timesteps": [5, 5]}, ValueError, "each once"),
        ({"prompt": 3}, TypeError, "prompt is 3; expected text"),
        ({"noise_seed": -1}, ValueError, "noise_seed is -1; expected a whole number"),
        ({"noise_seed": 0.5}, ValueError, "noise_seed is 0.5"),
        ({"resolution": 0}, ValueError, "resolution is 0"),
        ({"guidance": 3}, TypeError, "guidance"),
    ],
)
def test_options_are_checked_in_words(options, error, words):
    with pytest.raises(error, match=words):
        tiny(tiny_folder("stable-diffusion"), **options)


@pytest.mark.parametrize("name", ["unconditional", "dit"])
def test_models_that_read_no_text_say_so(name):
    with pytest.raises(ValueError, match="reads no text"):
        tiny(tiny_folder(name), prompt="a cat")


def test_the_resolution_is_that_of_training_unless_told():
    assert tiny(tiny_folder("stable-diffusion"), resolution=None).resolution == 32
    assert tiny(tiny_folder("flux-dev"), resolution=None).resolution == 256


@pytest.mark.parametrize("pathway", ["what", "where", "both"])
def test_an_image_is_analysed_by_a_folder(pathway):
    image = scene((40, 56), channels=3)
    backbone = ww.load_backbone(tiny_folder("stable-diffusion"), timesteps=(20, 200))
    analysis = ww.analyze(image, backbone=backbone, pathway=pathway, count=4)
    vectors = analysis.embedding.vectors
    assert vectors.shape[0] == 4
    assert np.isfinite(vectors).all()
    assert len(np.unique(analysis.tree.labels(5))) == 5
    assert analysis.tree.labels(5).shape == (40, 56)
