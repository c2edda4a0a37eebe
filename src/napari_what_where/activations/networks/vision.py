"""Vision transformers of the transformers library: one adapter, and a row for each class."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.networks.pretrained import PretrainedBackbone

Colour = tuple[float, float, float]

IMAGENET: tuple[Colour, Colour] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI: tuple[Colour, Colour] = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF: tuple[Colour, Colour] = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))

TOKENS = 32
"""Rows and columns of tokens of a square image, by default, …"""
MOST_STRETCHED = 3
"""… but no more than so many times those that the model was trained on."""


@dataclass(frozen=True)
class VisionRow:
    """How a class is loaded and run.

    ``colours``: mean and standard deviation that it was trained with, for folders that do not say; ``patch``: pixels
    across a token where config.json leaves out what is usual; ``interpolates``: whether it has to be asked to stretch
    its position embeddings; ``load``: further arguments of ``from_pretrained``; ``shuffles``: whether it puts the
    tokens in the order of some noise; ``half``: type for GPUs.
    """

    colours: tuple[Colour, Colour] = IMAGENET
    patch: int = 16
    interpolates: bool = True
    load: dict[str, Any] = field(default_factory=dict)
    shuffles: bool = False
    half: torch.dtype = torch.float16


ROWS: dict[str, VisionRow] = {
    "ViTModel": VisionRow(load={"add_pooling_layer": False}),
    "Dinov2Model": VisionRow(patch=14, interpolates=False),
    "Dinov2WithRegistersModel": VisionRow(interpolates=False),
    # Its activations leave the range of float16.
    "DINOv3ViTModel": VisionRow(interpolates=False, half=torch.bfloat16),
    "ViTMAEModel": VisionRow(load={"mask_ratio": 0.0}, shuffles=True),
    "CLIPVisionModel": VisionRow(OPENAI, patch=32),
    "SiglipVisionModel": VisionRow(HALF),
    "IJepaModel": VisionRow(load={"add_pooling_layer": False}),
}
"""By class of transformers. The other numbers are those of the class's configuration, and of its training."""


class VisionTransformer(PretrainedBackbone):
    """A vision transformer; class and register tokens come first, and are dropped.

    ``resolution``: by default that of 32 × 32 tokens, or of three times the rows and columns of training if those are
    fewer. Raises ``ValueError`` for a model of other than colour images or square patches.
    """

    # transformers 4 names the product's own module attention.attention. SigLIP's head.attention, of one learned query
    # that has no place in the image, is not among them.
    attention = r"(.*\.)?layers?\.\d+\.(attention|attention\.attention|self_attn)"

    def __init__(
        self, info: BackboneInfo, folder: Path, class_name: str, *, resolution: int | None = None, **options: Any
    ) -> None:
        self.row, self.folder = ROWS[class_name], Path(folder)
        config = self.config()
        config = config.get("vision_config") or config
        patch, size, channels = (
            config.get(name, usual)
            for name, usual in (("patch_size", self.row.patch), ("image_size", 224), ("num_channels", 3))
        )
        if not isinstance(patch, int) or not isinstance(size, int) or channels != 3:
            raise ValueError(
                f"{info.name} has patch_size {patch}, image_size {size} and num_channels {channels}; expected square "
                "patches and images, and 3 channels."
            )
        self.step = self.token = self.patch = patch
        self.half = self.row.half
        usual = min(TOKENS * patch, MOST_STRETCHED * size)
        super().__init__(info, folder, class_name, resolution=usual if resolution is None else resolution, **options)

    def load(self) -> torch.nn.Module:
        import transformers

        options = {"use_safetensors": True, "local_files_only": True, "attn_implementation": "sdpa", **self.row.load}
        kind = getattr(transformers, self.class_name, None)
        if kind is None:
            raise ImportError(
                f"transformers {transformers.__version__} has no {self.class_name}; update it: "
                "pip install -U transformers"
            )
        with _quiet():
            model, told = kind.from_pretrained(self.folder, output_loading_info=True, **options)
        missing = sorted(told["missing_keys"])
        if missing:
            raise ValueError(
                f"{self.folder} lacks {len(missing)} of the weights of {self.class_name}, such as {missing[0]}; "
                "expected a model as save_pretrained writes it."
            )
        loaded: torch.nn.Module = model
        return loaded

    def run(self, picture: torch.Tensor) -> Any:
        mean, std = (picture.new_tensor(each).view(1, 3, 1, 1) for each in self.colours())
        options: dict[str, Any] = {"interpolate_pos_encoding": True} if self.row.interpolates else {}
        if self.row.shuffles:
            tokens = picture.shape[2] // self.patch * (picture.shape[3] // self.patch)
            options["noise"] = torch.arange(tokens, device=picture.device).expand(len(picture), tokens)
        return self.module((picture - mean) / std, **options)

    def colours(self) -> tuple[Colour, Colour]:
        """Mean and standard deviation of red, green and blue, as the folder has them, or as usual for the class."""
        told: dict[str, Any] = {}
        for name in ("processor_config.json", "preprocessor_config.json"):
            path = self.folder / name
            told = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else told
        told = told.get("image_processor") or told
        if told.get("do_normalize") is False:
            return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        mean, std = (
            told.get(name) or usual for name, usual in zip(("image_mean", "image_std"), self.row.colours, strict=True)
        )
        return tuple(mean), tuple(std)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and its report of weights that are not used, such as those of a head."""
    from transformers.utils import logging

    level, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()
