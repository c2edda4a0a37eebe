"""Prompts of diffusion models, against diffusers' own way of reading them."""

from __future__ import annotations

import gc
import shutil
import weakref

import pytest
import torch

from napari_what_where.activations.networks import prompts

from ..images import scene
from .conformance import same
from .tiny_diffusion import LAYERS, PIPELINES, tiny, tiny_folder, warm

TEXTS = [name for name in PIPELINES if not name.startswith(("unconditional", "dit"))]


@pytest.mark.parametrize("name", TEXTS)
def test_prompts_change_activations(name):
    prompted = tiny(tiny_folder(name), prompt="a cat").extract(scene())
    assert not same(prompted, warm(name).extract(scene()))
    assert same(prompted, tiny(tiny_folder(name), prompt="a cat").extract(scene()))


def encoded_by_diffusers(name, folder, prompt):
    """What the pipeline itself makes of a prompt."""
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(folder, local_files_only=True)
    if name == "stable-diffusion":
        return [pipeline.encode_prompt(prompt, "cpu", 1, False)[0]]
    if name == "stable-diffusion-xl":
        given = pipeline.encode_prompt(prompt, device="cpu", do_classifier_free_guidance=False)
        return [given[0], given[2]]
    if name.startswith("pixart"):
        states, mask, *_ = pipeline.encode_prompt(prompt, do_classifier_free_guidance=False, device="cpu")
        return [states[:, : int(mask.sum())]]
    if name.startswith("stable-diffusion-3"):
        given = pipeline.encode_prompt(prompt, None, None, device="cpu", do_classifier_free_guidance=False)
        return [given[0], given[2]]
    return list(pipeline.encode_prompt(prompt, device="cpu", max_sequence_length=256)[:2])


@pytest.mark.parametrize("prompt", ["", "A cat on a mat "])
@pytest.mark.parametrize("name", [name for name in TEXTS if name not in ("stable-diffusion-3.5", "flux-dev")])
def test_prompts_are_read_as_diffusers_reads_them(name, prompt):
    with torch.no_grad():
        expected = encoded_by_diffusers(name, tiny_folder(name), prompt)
    given = tiny(tiny_folder(name), prompt=prompt).text()
    assert list(given) == ["states", "pooled"][: len(expected)]
    for mine, theirs in zip(given.values(), expected, strict=True):
        torch.testing.assert_close(mine, theirs.float(), rtol=1e-5, atol=1e-5)


def test_text_encoders_are_freed(monkeypatch):
    loaded = []

    def watched(*args):
        model = load(*args)
        loaded.append(weakref.ref(model))
        return model

    load = prompts.load_component
    monkeypatch.setattr(prompts, "load_component", watched)
    backbone = tiny(tiny_folder("stable-diffusion-3"))
    backbone.extract(scene())
    backbone.extract(scene())
    gc.collect()
    assert len(loaded) == 3, "read once"
    assert not any(model() for model in loaded)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("stable-diffusion", ["text_encoder", "tokenizer"]),
        ("stable-diffusion-xl", ["text_encoder_2"]),
        ("pixart-sigma", ["text_encoder"]),
        ("stable-diffusion-3", ["text_encoder", "text_encoder_2", "text_encoder_3"]),
        ("flux-schnell", ["text_encoder", "text_encoder_2"]),
    ],
)
def test_without_text_encoders_an_empty_prompt_is_zeros_and_another_refused(name, missing, tmp_path):
    folder = shutil.copytree(tiny_folder(name), tmp_path / name)
    for part in missing:
        shutil.rmtree(folder / part)
    backbone = tiny(folder)
    assert len(backbone.extract(scene())) == LAYERS[name]
    assert not any(bool(each.any()) for each in backbone.text().values())
    with pytest.raises(ValueError, match=r"prompt is 'cat', but the text encoder of .* get the text_encoder"):
        tiny(folder, prompt="cat").extract(scene())


@pytest.mark.parametrize(
    ("name", "missing"), [("stable-diffusion-3", "text_encoder_3"), ("flux-dev", "text_encoder_2")]
)
def test_t5_may_be_missing(name, missing, tmp_path):
    folder = shutil.copytree(tiny_folder(name), tmp_path / name)
    shutil.rmtree(folder / missing)
    with_clip, whole = tiny(folder, prompt="cat"), tiny(tiny_folder(name), prompt="cat")
    assert len(with_clip.extract(scene())) == LAYERS[name]
    assert torch.equal(with_clip.text()["pooled"], whole.text()["pooled"])
    assert with_clip.text()["states"].shape == whole.text()["states"].shape


def told(module, run):
    """What a denoiser is given beside latents and timestep, by name, at its first call."""
    seen = []
    hook = module.register_forward_pre_hook(lambda module, args, kwargs: seen.append(kwargs), with_kwargs=True)
    run()
    hook.remove()
    given = {**seen[0], **(seen[0].get("added_cond_kwargs") or {})}
    return {name: each for name, each in given.items() if isinstance(each, torch.Tensor)}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("stable-diffusion", {"encoder_hidden_states"}),
        ("stable-diffusion-xl", {"encoder_hidden_states", "text_embeds", "time_ids"}),
        ("stable-diffusion-3.5", {"encoder_hidden_states", "pooled_projections"}),
        ("flux-schnell", {"encoder_hidden_states", "pooled_projections", "txt_ids", "img_ids"}),
        ("flux-dev", {"encoder_hidden_states", "pooled_projections", "txt_ids", "img_ids", "guidance"}),
    ],
)
def test_the_denoiser_is_told_what_diffusers_tells_it(name, names):
    from diffusers import DiffusionPipeline

    pipeline = DiffusionPipeline.from_pretrained(tiny_folder(name), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    options = {"max_sequence_length": 256} if "flux" in name else {}
    guidance = 3.5 if "flux" in name else 1.0
    theirs = told(
        getattr(pipeline, "unet", None) or pipeline.transformer,
        lambda: pipeline(
            "a cat",
            height=24,
            width=40,
            num_inference_steps=1,
            guidance_scale=guidance,
            output_type="latent",
            **options,
        ),
    )
    backbone = tiny(tiny_folder(name), prompt="a cat", resolution=31)
    mine = told(backbone.module, lambda: backbone.extract(scene((24, 40))))
    for each in names:
        torch.testing.assert_close(mine[each], theirs[each].to(mine[each].dtype), rtol=1e-5, atol=1e-5)


def test_pixart_is_told_the_size_of_the_picture_where_it_asks():
    """As diffusers does for models of 1024 pixels, of which tiny ones cannot be."""
    alpha, sigma = (tiny(tiny_folder(f"pixart-{name}"), resolution=31) for name in ("alpha", "sigma"))
    given = told(alpha.module, lambda: alpha.extract(scene((24, 40))))
    assert given["resolution"].tolist() == [[24, 40]]
    assert given["aspect_ratio"].tolist() == [[pytest.approx(24 / 40)]]
    assert "resolution" not in told(sigma.module, lambda: sigma.extract(scene((24, 40))))


def test_dit_is_told_that_the_class_is_unknown():
    backbone = warm("dit")
    labels = told(backbone.module, lambda: backbone.extract(scene()))["class_labels"]
    embedding = backbone.module.transformer_blocks[0].norm1.emb.class_embedder.embedding_table
    assert labels.tolist() == [embedding.num_embeddings - 1], "the last row, which is learnt without a class"
