"""What the dock says of a model before it is loaded: looks at the disk, never at the network, imports nothing heavy."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_what_where.activations.catalogue import BUILT_IN_TIMESTEP, CATALOGUE, DIFFUSION_TIMESTEP
from napari_what_where.activations.hub import cache_folder, find_on_disk
from napari_what_where.activations.hub.types import bytes_in_words, check_repo
from napari_what_where.activations.networks.families import FAMILIES, class_of_folder
from napari_what_where.activations.registry import NOT_ON_DISK, backbone_info, list_backbones, model_row

WITHOUT_DOWNLOAD, OWN = "no download", "your own"
COMMON_OPTIONS = ("resolution", "layers", "precision")
DIFFUSION_OPTIONS = ("timesteps", "noise_seed")
_READ_NO_TEXT = ("dit", "unconditional")
"""Modules of adapters for diffusion models without text."""


@dataclass(frozen=True)
class Entry:
    """One model of the menu.

    ``name``: as ``load_backbone`` takes it; ``label``: as it is listed; ``status``: "ready", "not on disk" or "partly:
    1.2 of 3.4 GB"; ``size_bytes``: of the download, 0 if unknown or none; ``repo``, ``revision``, ``files``: as
    ``download_model`` takes them, without a repository where there is nothing to download; ``options``: names of
    those that it has; ``resolution``, ``timestep``: its own, where it has one.
    """

    name: str
    label: str
    group: str
    description: str
    licence: str
    size_bytes: int
    status: str
    pathways: tuple[str, ...]
    options: tuple[str, ...] = ()
    class_name: str = ""
    url: str = ""
    gated: bool = False
    repo: str = ""
    revision: str | None = None
    files: tuple[str, ...] | None = None
    resolution: int | None = None
    timestep: int = DIFFUSION_TIMESTEP

    @property
    def ready(self) -> bool:
        """Whether it can be run now."""
        return self.status == "ready"

    @property
    def partly(self) -> bool:
        """Whether a download of it has begun."""
        return self.status.startswith("partly")

    @property
    def size(self) -> str:
        """Like "87 MB"; empty if unknown or none."""
        return bytes_in_words(self.size_bytes) if self.size_bytes else ""


def known_entries(own: tuple[str, ...] = ()) -> Iterator[Entry]:
    """Those with a name, by group, and those that the user has added."""
    for name in [*sorted(list_backbones(), key=_group_order), *own]:
        yield look_up(name)


def look_up(name: str) -> Entry:
    """What there is to say of a model: by name, in a folder, or "org/model" of the hub.

    Raises ``ValueError``, in words, for what is none of these, and for a model of a class that is not known.
    """
    if name in CATALOGUE:
        return _of_catalogue(name)
    if name in list_backbones():
        return _of_package(name)
    return _of_folder(name) if Path(name).is_dir() else _of_hub(name)


def has_token(environment: os._Environ[str] = os.environ) -> bool:
    """Whether the hub's library would find a token: in the environment, or of ``hf auth login``."""
    if environment.get("HF_TOKEN") or environment.get("HUGGING_FACE_HUB_TOKEN"):
        return True
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(caches, "huggingface")
    place = environment.get("HF_TOKEN_PATH") or os.path.join(home, "token")
    return Path(os.path.expandvars(place)).expanduser().is_file()


def free_disk() -> str:
    """What is free where downloads go, like "153 GB"."""
    place = cache_folder().absolute()
    existing = next(folder for folder in (place, *place.parents) if folder.is_dir())
    return bytes_in_words(shutil.disk_usage(existing).free)


def _group_order(name: str) -> int:
    groups = list(dict.fromkeys(row.group for row in CATALOGUE.values()))
    return groups.index(CATALOGUE[name].group) if name in CATALOGUE else -1


def _of_package(name: str) -> Entry:
    row, info = model_row(name), backbone_info(name)
    return Entry(
        name,
        name,
        WITHOUT_DOWNLOAD,
        info.description,
        info.licence,
        info.size_bytes,
        info.status,
        info.pathways,
        _options_of(row.class_name, texts=False) if row else (),
        row.class_name if row else "",
        resolution=row.resolution if row else None,
        timestep=BUILT_IN_TIMESTEP if row else DIFFUSION_TIMESTEP,
    )


def _of_catalogue(name: str) -> Entry:
    row, info = CATALOGUE[name], backbone_info(name)
    return Entry(
        name,
        name,
        row.group,
        info.description,
        info.licence,
        info.size_bytes,
        info.status,
        info.pathways,
        _options_of(row.class_name, texts=any("text_encoder" in pattern for pattern in row.files)),
        row.class_name,
        row.url,
        row.gated,
        row.repo,
        row.revision,
        row.files,
        row.resolution,
    )


def _of_folder(name: str) -> Entry:
    folder = Path(name)
    class_name = class_of_folder(folder)
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors"))
    options = _options_of(class_name, texts=(folder / "text_encoder").is_dir())
    said = f"{class_name} in {folder}"
    return Entry(name, folder.name, OWN, said, "", size, "ready", ("what", "where"), options, class_name)


def _of_hub(name: str) -> Entry:
    check_repo(name)
    found = find_on_disk(name)
    complete = found is not None and found.complete
    class_name = class_of_folder(found.folder) if found is not None and complete else ""
    texts = found is not None and (found.folder / "text_encoder").is_dir()
    return Entry(
        name,
        name,
        OWN,
        f"{class_name or 'A model'} of the hub",
        "see its page",
        0 if found is None else found.total_bytes or 0,
        NOT_ON_DISK if found is None else found.status,
        ("what", "where"),
        _options_of(class_name, texts=texts) if class_name else (),
        class_name,
        url=f"https://huggingface.co/{name}",
        repo=name,
    )


def _options_of(class_name: str, *, texts: bool) -> tuple[str, ...]:
    """Names of the options of a class, without importing its adapter, and torch with it."""
    module = FAMILIES[class_name].partition(":")[0]
    if module == "vision":
        return COMMON_OPTIONS
    prompt = ("prompt",) if texts and module not in _READ_NO_TEXT else ()
    return (*COMMON_OPTIONS, *DIFFUSION_OPTIONS, *prompt)
