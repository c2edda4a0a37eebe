"""What is said of a model on disk, and why one cannot be had."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from napari_what_where.failures import Explained

Reason = Literal[
    "offline", "gated", "token", "missing", "no safetensors", "disk full", "not allowed", "interrupted", "corrupt"
]


class ModelUnavailable(Explained):
    """A model that cannot be had now; the message says why and what to do, ``reason`` says it in a word."""

    def __init__(self, reason: Reason, message: str):
        super().__init__(message)
        self.reason = reason


class ModelFile(NamedTuple):
    """One file of a model: its path in the repository, bytes, and the hub's checksum.

    The checksum is the SHA-256 of a large file, else the SHA-1 of its git object; None where the hub was not asked.
    """

    path: str
    size: int
    checksum: str | None = None


@dataclass(frozen=True)
class ModelOnDisk:
    """What there is of a model in the cache.

    Parameters
    ----------
    repo
        ``organisation/model``.
    folder
        With the files as in the repository; to be given to ``from_pretrained``. Not there before a file is.
    commit
        Of the repository, 40 hexadecimal digits, for the record.
    done_bytes, total_bytes
        There, and needed; ``total_bytes`` is None where the hub was never asked.
    missing
        Paths that are needed and not there, or not of their size; of unknown ones, the folder.
    variants
        For each component's folder ("" is the root) the ``variant`` of its weights: "fp16" or None.
    """

    repo: str
    folder: Path
    commit: str
    done_bytes: int
    total_bytes: int | None
    missing: tuple[str, ...] = ()
    variants: Mapping[str, str | None] = field(default_factory=dict, hash=False)

    @property
    def complete(self) -> bool:
        """Whether every file that is needed is there and of its size."""
        return not self.missing

    @property
    def status(self) -> str:
        """For people: "ready", or how much is there."""
        if self.complete:
            return "ready"
        if self.total_bytes is None:
            return "partly: some files are missing"
        return f"partly: {of_total(self.done_bytes, self.total_bytes)}"


def check_repo(repo: str) -> None:
    """``ValueError`` unless ``repo`` can be the name of a model on the hub."""
    if not re.fullmatch(r"(?![.-])[\w.-]+/(?![.-])[\w.-]+", repo, flags=re.ASCII):
        raise ValueError(f"model is {repo!r}; expected its name on the Hugging Face hub, like 'organisation/model'.")


def is_offline() -> bool:
    """Whether the environment forbids downloads (``HF_HUB_OFFLINE=1``)."""
    return is_set("HF_HUB_OFFLINE") or is_set("TRANSFORMERS_OFFLINE")


def is_set(variable: str) -> bool:
    """Whether an environment variable says yes, as the hub's library reads it."""
    return os.environ.get(variable, "").upper() in {"1", "ON", "YES", "TRUE"}


def bytes_in_words(count: int) -> str:
    """Like "3.4 GB", "86 MB" or "12 kB", in powers of 1000."""
    scale, unit = _unit(count)
    return f"{_number(count, scale)} {unit}"


def of_total(done: int, total: int) -> str:
    """Like "1.2 of 3.4 GB"."""
    scale, unit = _unit(total)
    return f"{_number(done, scale)} of {_number(total, scale)} {unit}"


def _unit(count: int) -> tuple[float, str]:
    if count >= 999.5e6:
        return 1e9, "GB"
    return (1e6, "MB") if count >= 999.5e3 else (1e3, "kB")


def _number(count: int, scale: float) -> str:
    value = count / scale
    return f"{value:.1f}" if value < 9.95 and scale > 1e3 else f"{value:.0f}"
