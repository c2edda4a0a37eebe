"""Which files of a repository are needed: weights as safetensors in one precision, and their small companions.

Nothing that is, or may hold, a pickle or code is ever chosen, whatever the patterns say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from posixpath import basename, dirname
from typing import NamedTuple

from napari_what_where.activations.catalogue import CATALOGUE, VISION_FILES, component_files
from napari_what_where.activations.hub.types import ModelUnavailable

SAFE = (".json", ".txt", ".model")
"""Small files: configurations, vocabularies, sentencepiece models."""

PICKLED = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle", ".msgpack", ".h5")

_WEIGHTS = re.compile(
    r"(?P<base>model|diffusion_pytorch_model)(?:\.(?P<variant>\w+))?"
    r"(?:-(?P<shard>\d{5})-of-(?P<shards>\d{5}))?(?:\.(?P<late>\w+))?\.safetensors"
)
_INDEX = re.compile(r"(?:model|diffusion_pytorch_model)\.safetensors\.index(?:\.(?P<variant>\w+))?\.json")
PREFERRED: tuple[str | None, ...] = ("fp16", None)
"""Half precision is half the download; other variants (``non_ema``, …) are not for us."""

PIPELINE_FILES = component_files(
    "unet", "transformer", "vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2"
)


class Choice(NamedTuple):
    """The files that are needed, the variant of each component's weights, and components without their weights."""

    paths: tuple[str, ...]
    variants: Mapping[str, str | None]
    lacking: tuple[str, ...]


class _Weights(NamedTuple):
    folder: str
    variant: str | None
    shards: int
    path: str


def default_patterns(repo: str, paths: Iterable[str]) -> tuple[str, ...]:
    """The catalogue's patterns for its models; else those of a pipeline or of a single model."""
    return patterns_by_name(repo) or (PIPELINE_FILES if "model_index.json" in paths else VISION_FILES)


def patterns_by_name(repo: str) -> tuple[str, ...] | None:
    """The catalogue's patterns for its models; None for others."""
    return next((row.files for row in CATALOGUE.values() if row.repo == repo), None)


def choose(paths: Sequence[str], patterns: Sequence[str]) -> Choice:
    """Choose from the paths of a repository, or of a folder on disk."""
    matching = [path for path in paths if any(fnmatchcase(path, pattern) for pattern in patterns)]
    weights: dict[str, list[_Weights]] = {}
    for path in matching:
        if found := _parse(path):
            weights.setdefault(found.folder, []).append(found)
    chosen = {folder: best for folder, found in weights.items() if (best := _best(found))}
    plain = [path for path in matching if path.endswith(SAFE) and not _INDEX.fullmatch(basename(path))]
    indices = [path for path in matching if _belongs(path, chosen)]
    needed = [part.path for parts in chosen.values() for part in parts]
    components = {dirname(path) for path in paths if basename(path) == "config.json"} & weighted_folders(patterns)
    variants = {folder: parts[0].variant for folder, parts in chosen.items()}
    return Choice(tuple(sorted({*plain, *indices, *needed})), variants, tuple(sorted(components - set(chosen))))


def refuse_without_safetensors(repo: str, paths: Sequence[str], choice: Choice) -> None:
    """Raise :class:`ModelUnavailable` if a component has no weights that can be loaded without running its code."""
    if choice.variants and not choice.lacking:
        return
    if any(path.endswith((*PICKLED, ".safetensors")) for path in paths):
        where = f" in {', '.join(choice.lacking)}" if any(choice.lacking) else ""
        message = f"{repo} has no weights as safetensors{where}. "
        message += "Other files of weights are not loaded: they can run any code. Choose another model."
    else:
        message = f"{repo} holds no weights of a model. Check the name, or choose another model."
    raise ModelUnavailable("no safetensors", message)


def _parse(path: str) -> _Weights | None:
    match = _WEIGHTS.fullmatch(basename(path))
    if match is None:
        return None
    return _Weights(dirname(path), match["variant"] or match["late"], int(match["shards"] or 0), path)


def _best(found: Sequence[_Weights]) -> list[_Weights] | None:
    """One whole file, else one whole set of shards, of the first precision that has either."""
    for variant in PREFERRED:
        same = [part for part in found if part.variant == variant]
        for shards in sorted({part.shards for part in same}):
            parts = [part for part in same if part.shards == shards]
            if len(parts) == max(shards, 1):
                return parts
    return None


def _belongs(path: str, chosen: Mapping[str, Sequence[_Weights]]) -> bool:
    """Whether this is the index of chosen shards: a loader that meets another's index looks for its files."""
    match = _INDEX.fullmatch(basename(path))
    parts = chosen.get(dirname(path))
    return bool(match and parts and parts[0].shards and parts[0].variant == match["variant"])


def weighted_folders(patterns: Iterable[str]) -> set[str]:
    """Folders whose weights are asked for."""
    return {dirname(pattern) for pattern in patterns if pattern.endswith(".safetensors")}
