"""A network whose weights lie in a folder."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from napari_what_where.activations.backbone import BackboneInfo
from napari_what_where.activations.networks.network import NetworkBackbone

READ_AT_MOST = 64 * 2**20
"""Bytes of a file that is read, in a few hundredths of a second, to tell its contents."""


class PretrainedBackbone(NetworkBackbone):
    """A model from a folder as ``save_pretrained`` writes it: of the hub's cache, or the user's own.

    ``folder``: with model_index.json or config.json; ``class_name``: of the network, see
    :data:`~napari_what_where.activations.networks.families.FAMILIES`; the options are those of
    :class:`~napari_what_where.activations.networks.network.NetworkBackbone` and of the adapter. Only safetensors are
    read, no code is run, nothing is fetched. ``commit``: of its repository on the hub, where it came from there.
    """

    def __init__(self, info: BackboneInfo, folder: Path, class_name: str, **options: Any) -> None:
        super().__init__(info, **options)
        self.folder, self.class_name = Path(folder), class_name
        self.commit: str | None = None

    @property
    def keepable(self) -> bool:
        return True

    def describe(self) -> dict[str, Any]:
        weights = _fingerprint(self.folder)
        return {**super().describe(), "class": self.class_name, "commit": self.commit, "weights": weights}

    def config(self, part: str = "") -> dict[str, Any]:
        """What the configuration of a part of the model says, without loading it."""
        found: dict[str, Any] = json.loads((self.folder / part / "config.json").read_text(encoding="utf-8"))
        return found


def _fingerprint(folder: Path) -> str:
    """Tells one set of weights from another by names, sizes and configuration, without reading gigabytes.

    The hub's cache names files by their SHA-256, which is taken where it is there; of others small files count by what
    is in them, which is the same on every machine, and large ones by their times of change.
    """
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix not in (".safetensors", ".json") or not path.is_file():
            continue
        real = path.resolve()
        state = real.stat()
        identity = real.name
        if real.name == path.name:
            changed = state.st_mtime_ns
            identity = _contents(real, changed) if state.st_size <= READ_AT_MOST else str(changed)
        digest.update(f"{path.relative_to(folder)} {state.st_size} {identity}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=256)
def _contents(path: Path, changed: int) -> str:
    """SHA-256 of a file as it was when it was ``changed``: every image asks for it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
