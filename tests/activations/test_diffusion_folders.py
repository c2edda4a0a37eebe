"""What a folder of a diffusion model must hold, and what is said where it does not."""

from __future__ import annotations

import shutil

import pytest
import torch

from napari_what_where.activations.networks.families import class_of_folder
from napari_what_where.activations.networks.noise import draw_timesteps

from ..images import scene
from .conformance import same
from .tiny_diffusion import tiny, tiny_folder, unet_of_pixels


def test_half_files_are_read_where_there_are_only_these(tmp_path):
    folder = shutil.copytree(tiny_folder("stable-diffusion"), tmp_path / "half")
    for path in folder.rglob("*.safetensors"):
        path.rename(path.with_name(path.stem + ".fp16.safetensors"))
    assert same(tiny(folder).extract(scene()), tiny(tiny_folder("stable-diffusion")).extract(scene()))


def test_pickles_are_not_read(tmp_path):
    folder = shutil.copytree(tiny_folder("unconditional"), tmp_path / "pickled")
    weights = next((folder / "unet").glob("*.safetensors"))
    torch.save({}, weights.with_suffix(".bin"))
    weights.unlink()
    with pytest.raises(ValueError, match=r"no weights that can be read.*found .*\.bin"):
        tiny(folder).extract(scene())


def test_a_denoiser_alone_on_pixels_is_enough():
    folder = tiny_folder("unconditional")
    assert same(tiny(folder / "unet").extract(scene()), tiny(folder).extract(scene()))


def test_a_denoiser_of_latents_needs_its_autoencoder():
    with pytest.raises(ValueError, match="takes latents of 4 channels, but there is no VAE in"):
        tiny(tiny_folder("stable-diffusion") / "unet")


def test_pixels_of_a_cell_may_be_channels(tmp_path):
    unet_of_pixels(channels=3 * 2**2).save_pretrained(tmp_path / "model")
    backbone = tiny(tmp_path / "model")
    assert backbone.cell == 2
    assert backbone.extract(scene((32, 32)))[0].grid == (8, 8)
    picture = torch.rand(1, 3, 4, 6)
    seen = backbone.encode(picture)
    assert seen.shape == (1, 12, 2, 3)
    torch.testing.assert_close(seen[0, :4, 1, 2], 2 * picture[0, 0, 2:, 4:].flatten() - 1)


def test_scheduler_without_betas_is_refused(tmp_path):
    folder = shutil.copytree(tiny_folder("unconditional"), tmp_path / "exploding")
    (folder / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "ScoreSdeVeScheduler"}')
    with pytest.raises(ValueError, match="ScoreSdeVeScheduler, which is not supported"):
        tiny(folder)


def test_timesteps_beyond_training_are_refused(tmp_path):
    folder = shutil.copytree(tiny_folder("unconditional"), tmp_path / "short")
    config = folder / "scheduler" / "scheduler_config.json"
    config.write_text(config.read_text().replace('"num_train_timesteps": 1000', '"num_train_timesteps": 100'))
    with pytest.raises(ValueError, match="timesteps are 5, 200; .* is trained with 0…99"):
        tiny(folder, timesteps=[5, 200])


def test_linear_attention_is_refused_with_a_reason(tmp_path):
    (tmp_path / "model_index.json").write_text('{"transformer": ["diffusers", "SanaTransformer2DModel"]}')
    with pytest.raises(ValueError, match="SanaTransformer2DModel, which is not supported: its attention is linear"):
        class_of_folder(tmp_path)


def test_timesteps_are_drawn():
    drawn = draw_timesteps(20)
    assert len(set(drawn)) == 20
    assert list(drawn) == sorted(drawn)
    assert all(type(each) is int and 0 <= each <= 250 for each in drawn)
    assert drawn == draw_timesteps(20) != draw_timesteps(20, seed=1)
    assert draw_timesteps(4, most=3) == (0, 1, 2, 3)
    for count, most in ((0, 250), (5, 3), (1, 1000), (1, -1)):
        with pytest.raises(ValueError, match="different timesteps"):
            draw_timesteps(count, most)
