"""Vision transformers, on small ones with random weights of the true classes."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_what_where.activations.networks.families import FAMILIES, MODEL_TYPES, adapter_for, class_of_folder
from napari_what_where.activations.networks.network import OBJECT_TOKENS
from napari_what_where.activations.networks.vision import ROWS, VisionTransformer
from napari_what_where.working_plane.object_scale import OBJECT_SPAN, plan_plane

from ..images import scene
from .capture_conformance import CaptureCase, CaptureConformance
from .conformance import BackboneConformance, same
from .tiny_models import CONFIGURATIONS, EXTRA_TOKENS, WITH_MORE, information, saved

CLASSES = list(CONFIGURATIONS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """By class; each is made once."""
    made: dict[str, Path] = {}

    def folder(name: str) -> Path:
        return made[name] if name in made else made.setdefault(name, saved(name, tmp_path_factory.mktemp(name)))

    return folder


def adapter(folder: Path, class_name: str, **options) -> VisionTransformer:
    backbone = adapter_for(class_name, folder, information(class_name), **options)
    assert isinstance(backbone, VisionTransformer)
    return backbone


@pytest.fixture(scope="module", params=CLASSES)
def class_name(request):
    return request.param


@pytest.fixture(scope="module")
def loaded(class_name, folders):
    return adapter(folders(class_name), class_name, resolution=48)


def case_of(loaded: VisionTransformer) -> CaptureCase:
    """The model as its adapter runs it, on pictures of two sizes."""

    def run(model: torch.nn.Module, pictures: torch.Tensor):
        assert model is loaded.module
        return loaded.run(pictures)

    torch.manual_seed(3)
    pictures = (torch.rand(2, 3, 32, 32), torch.rand(2, 3, 24, 56))
    return CaptureCase(loaded.module, run, pictures, loaded.attention, 2)


class TestAdapter(BackboneConformance):
    channels = (None, 2, 3, 5)
    shapes = ((2, 2), (5, 7), (3, 900), (900, 3))

    @pytest.fixture
    def backbone(self, loaded):
        return loaded


class TestCapture(CaptureConformance):
    @pytest.fixture
    def case(self, loaded):
        return case_of(loaded)


def test_every_class_has_a_row_and_is_tested():
    assert {name for name, where in FAMILIES.items() if where.startswith("vision:")} == set(ROWS) == set(CLASSES)


def test_only_tokens_of_the_image_are_left_in_raster_order(loaded, class_name):
    # The class and register tokens come first; after them one token a patch, whose input alone differs.
    image = scene((24, 56), 3)
    layers = loaded.extract(image)
    (grid,) = {layer.grid for layer in layers}
    assert grid == (4, 9), "48² pixels at an aspect of 3:7, in patches of 8"
    entered = []
    block = next(module for name, module in loaded.module.named_modules() if name.endswith((".0", ".attention.0")))
    hook = block.register_forward_pre_hook(lambda module, args: entered.append(args[0]))
    loaded.extract(image)
    hook.remove()
    assert entered[0].shape[1] == 4 * 9 + EXTRA_TOKENS.get(class_name, 1)
    changed = image.copy()
    changed[18:, 50:] = 255 - changed[18:, 50:]  # within the last cell
    first, other = layers[0], loaded.extract(changed)[0]
    moved = (first.value - other.value).abs().amax((0, 2))
    assert int(moved.argmax()) == 4 * 9 - 1


def test_the_default_resolution_gives_about_as_many_tokens_for_every_patch(folders):
    assert adapter(folders("ViTModel"), "ViTModel").resolution == 3 * 32, "trained on 32 pixels: not beyond 96"
    assert adapter(folders("ViTModel"), "ViTModel", resolution=None).resolution == 96


@pytest.mark.parametrize(
    ("class_name", "told", "resolution", "patch"),
    [
        ("ViTModel", {}, 512, 16),
        ("ViTModel", {"patch_size": 8}, 256, 8),
        ("Dinov2Model", {"image_size": 518}, 448, 14),
        ("CLIPVisionModel", {"vision_config": {"hidden_size": 768}}, 672, 32),
        ("SiglipVisionModel", {"vision_config": {"image_size": 512, "patch_size": 8}}, 256, 8),
    ],
)
def test_published_configurations_say_no_more_than_they_must(tmp_path, class_name, told, resolution, patch):
    (tmp_path / "config.json").write_text(json.dumps(told))
    backbone = adapter(tmp_path, class_name)
    assert (backbone.resolution, backbone.step, backbone.token, backbone.patch) == (resolution, patch, patch, patch)


@pytest.mark.parametrize("class_name", CLASSES)
def test_what_rows_take_for_granted_is_what_the_library_does(class_name):
    import transformers

    configuration = getattr(transformers, CONFIGURATIONS[class_name][0])()
    assert (configuration.patch_size, configuration.image_size) == (ROWS[class_name].patch, 224)
    assert configuration.num_channels == 3


@pytest.mark.parametrize(("published", "class_name"), WITH_MORE.items())
def test_a_model_with_a_head_a_decoder_or_a_text_model_is_read_without(folders, published, class_name, caplog, capfd):
    import transformers

    folder = folders(published)
    assert class_of_folder(folder) == class_name
    transformers.utils.logging.set_verbosity_warning()
    transformers.utils.logging.enable_progress_bar()
    capfd.readouterr()
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        module = adapter(folder, class_name).module
    assert caplog.records == []
    assert "".join(capfd.readouterr()).strip() == ""
    assert transformers.utils.logging.get_verbosity() == logging.WARNING
    assert transformers.utils.logging.is_progress_bar_enabled()
    # All of its weights are those of the file.
    whole = getattr(transformers, published).from_pretrained(folder)
    known = [tensor for tensor in whole.state_dict().values() if tensor.is_floating_point()]
    for name, tensor in module.state_dict().items():
        assert not tensor.is_floating_point() or any(torch.equal(tensor, other) for other in known), name


def test_model_types_lead_to_the_vision_model(folders):
    for name in CLASSES:
        assert class_of_folder(folders(name)) == name
    assert set(MODEL_TYPES.values()) == set(CLASSES)


@pytest.mark.parametrize("kind", ["siglip2", "siglip2_vision_model"])
def test_siglip_2_is_refused_in_words(tmp_path, kind):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ValueError, match="siglip2.*cut into patches beforehand; use siglip"):
        class_of_folder(tmp_path)


def test_the_pooling_heads_attention_is_left_out(folders):
    backbone = adapter(folders("SiglipModel"), "SiglipVisionModel")
    assert isinstance(backbone.module.head.attention, torch.nn.MultiheadAttention)
    assert [layer.name for layer in backbone.extract(scene())] == list(backbone.network_layers)
    assert backbone.network_layers == ("encoder.layers.0.self_attn", "encoder.layers.1.self_attn")


def test_masked_autoencoders_keep_all_tokens_in_order(folders):
    backbone = adapter(folders("ViTMAEForPreTraining"), "ViTMAEModel", resolution=48)
    picture = torch.rand(1, 3, 24, 56)
    told = backbone.run(picture)
    assert torch.equal(told.ids_restore, torch.arange(21)[None])
    assert not told.mask.any()
    assert told.last_hidden_state.shape[1] == 22


@pytest.mark.parametrize("name", ["preprocessor_config.json", "processor_config.json"])
def test_colours_are_normalised_as_the_folder_says(tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    backbone = adapter(tmp_path, "CLIPVisionModel")
    assert backbone.colours() == ROWS["CLIPVisionModel"].colours
    told = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    (tmp_path / name).write_text(json.dumps(told if name.startswith("pre") else {"image_processor": told}))
    assert backbone.colours() == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))
    (tmp_path / name).write_text(json.dumps({"do_normalize": False}))
    assert backbone.colours() == ((0, 0, 0), (1, 1, 1))


@pytest.mark.parametrize("class_name", CLASSES)
def test_usual_colours_are_those_of_published_models(class_name):
    from transformers.image_utils import (
        IMAGENET_DEFAULT_MEAN,
        IMAGENET_STANDARD_MEAN,
        OPENAI_CLIP_MEAN,
        OPENAI_CLIP_STD,
    )

    usual = {"CLIPVisionModel": OPENAI_CLIP_MEAN, "SiglipVisionModel": IMAGENET_STANDARD_MEAN}
    assert list(ROWS[class_name].colours[0]) == list(usual.get(class_name, IMAGENET_DEFAULT_MEAN))
    assert class_name != "CLIPVisionModel" or list(ROWS[class_name].colours[1]) == list(OPENAI_CLIP_STD)


def test_the_model_is_given_normalised_colours(folders):
    backbone = adapter(folders("Dinov2Model"), "Dinov2Model", resolution=48)
    given: list[torch.Tensor] = []
    hook = backbone.module.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    image = np.full((20, 20, 3), (255, 0, 51), np.uint8)
    backbone.extract(image)
    hook.remove()
    expected = (torch.tensor([1, 0, 0.2]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    torch.testing.assert_close(given[0], expected.view(1, 3, 1, 1).expand_as(given[0]))


# Options


def test_layers_are_chosen_by_name_or_pattern(folders):
    folder, image = folders("Dinov2Model"), scene()
    everything = adapter(folder, "Dinov2Model").extract(image)
    last = adapter(folder, "Dinov2Model", layers=["encoder.layer.1.*"]).extract(image)
    assert same(last, everything[1:])
    assert same(adapter(folder, "Dinov2Model", layers="*.0.attention").extract(image), everything[:1])
    with pytest.raises(ValueError, match=r"has none; it has encoder\.layer\.0\.attention"):
        adapter(folder, "Dinov2Model", layers=["blocks.*"]).extract(image)


def test_resolution_is_in_pixels_of_the_picture(folders):
    folder = folders("IJepaModel")
    grids = {
        size: adapter(folder, "IJepaModel", resolution=size).extract(scene((30, 30)))[0].grid for size in (8, 40, 80)
    }
    assert grids == {8: (1, 1), 40: (5, 5), 80: (10, 10)}


@pytest.mark.parametrize("resolution", [0, -8, 12.5, "large", float("nan"), float("inf"), [64]])
def test_impossible_resolutions_are_refused_in_words(folders, resolution):
    with pytest.raises(ValueError, match="expected a whole number of pixels"):
        adapter(folders("ViTModel"), "ViTModel", resolution=resolution)


def test_unknown_options_are_refused_in_words(folders):
    with pytest.raises(TypeError, match="no option 'timestep'; expected some of layers, precision, resolution"):
        adapter(folders("ViTModel"), "ViTModel", timestep=3)
    with pytest.raises(ValueError, match="precision is 'double'; expected 'auto', 'full' or 'half'"):
        adapter(folders("ViTModel"), "ViTModel", precision="double")


def test_a_closer_look_enlarges(folders):
    backbone = adapter(folders("ViTModel"), "ViTModel", resolution=48)

    def grid(side: int, smallest: float | None) -> tuple[int, int]:
        image = scene((side, side))
        return backbone.extract(image, plane=plan_plane(image.shape, smallest))[0].grid

    assert grid(60, None) == grid(600, None) == (6, 6)
    across = round(OBJECT_TOKENS * 60 / OBJECT_SPAN)
    assert grid(60, 1) == (across, across)
    assert across > 6
    assert grid(600, 1) == (12, 12), "twice the resolution, at most"


def test_what_decides_the_activations_is_told(folders, tmp_path):
    folder = folders("ViTModel")
    told = adapter(folder, "ViTModel", layers=["layers.0.*"]).describe()
    assert told["class"] == "ViTModel"
    assert told["options"] == {"resolution": 96, "layers": ["layers.0.*"], "precision": "float32"}
    assert json.loads(json.dumps(told)) == told
    other = saved("ViTModel", tmp_path)
    (other / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0]}')
    assert adapter(other, "ViTModel").describe()["weights"] != told["weights"]


def test_the_same_weights_in_another_place_are_the_same_and_others_are_not(folders, tmp_path):
    folder = folders("ViTModel")
    copy = shutil.copytree(folder, tmp_path / "copy")
    for file in copy.rglob("*"):
        os.utime(file, (1e9, 1e9))
    told = adapter(folder, "ViTModel").describe()["weights"]
    assert adapter(copy, "ViTModel").describe()["weights"] == told
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert adapter(copy, "ViTModel").describe()["weights"] != told


# Folders that are not as they should be


def test_missing_weights_are_refused(tmp_path):
    from safetensors.torch import load_file, save_file

    folder = saved("CLIPVisionModel", tmp_path)
    weights = load_file(folder / "model.safetensors")
    gone = next(name for name in weights if "layers.1" in name and "q_proj.weight" in name)
    del weights[gone]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    backbone = adapter(folder, "CLIPVisionModel")
    with pytest.raises(ValueError, match=r"lacks 1 of the weights of CLIPVisionModel, such as .*q_proj\.weight"):
        backbone.extract(scene())


@pytest.mark.parametrize("told", [{"patch_size": [8, 16]}, {"num_channels": 1}, {"image_size": [32, 64]}])
def test_models_of_other_pictures_are_refused_in_words(tmp_path, told):
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(ValueError, match="expected square patches and images, and 3 channels"):
        adapter(tmp_path, "ViTModel")


def test_only_safetensors_are_read(tmp_path):
    folder = saved("ViTModel", tmp_path)
    torch.save({}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        adapter(folder, "ViTModel").extract(scene())


def test_a_class_that_is_newer_than_the_library_is_refused_in_words(folders, monkeypatch):
    import transformers

    backbone = adapter(folders("ViTModel"), "ViTModel")
    monkeypatch.setattr(transformers, "ViTModel", None)
    with pytest.raises(ImportError, match=r"transformers .* has no ViTModel; update it: pip install -U transformers"):
        backbone.extract(scene())


def test_nothing_is_loaded_before_it_is_needed(folders):
    backbone = adapter(folders("ViTModel"), "ViTModel")
    seen: list[str] = []
    backbone.describe()
    backbone.extract(scene(), report=lambda progress: seen.append(progress.stage))
    assert seen[0] == "loading tiny ViTModel"
    seen.clear()
    backbone.extract(scene(), report=lambda progress: seen.append(progress.stage))
    assert set(seen) == {"activations"}


def test_half_precision_agrees(folders):
    folder, image = folders("DINOv3ViTModel"), scene()
    full = adapter(folder, "DINOv3ViTModel").extract(image)
    half = adapter(folder, "DINOv3ViTModel", precision="half").extract(image)
    assert half[0].value.dtype == torch.bfloat16
    assert float((half[-1].value.float() - full[-1].value).abs().max()) < 0.1 * float(full[-1].value.abs().max())
