"""The subcommand ``what-where download``: its options, and what it prints."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.progress import Report


def add_download(commands: Any, run: Callable[[argparse.Namespace], int]) -> None:
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "download",
        help="download a pretrained model",
        description="Download what is missing of a pretrained model into the cache of the Hugging Face hub, check it, "
        "and keep to its commit. Repeat an interrupted download to go on where it stopped. Models that ask for their "
        "licence to be accepted need an account: 'hf auth login', or HF_TOKEN.",
    )
    parser.add_argument("model", metavar="NAME|ORG/MODEL", help="see 'what-where backbones', or a name on the hub")
    parser.add_argument("--revision", help="branch, tag or commit (default: the main branch)")
    parser.set_defaults(run=run)


def run_download(
    options: argparse.Namespace,
    *,
    progress_bar: Callable[[str], AbstractContextManager[Report]],
    tell: Callable[[str], None],
) -> int:
    """Download and say where the model is; failures are raised, in words."""
    from napari_what_where.activations.hub import download_model
    from napari_what_where.activations.hub.types import bytes_in_words

    repo, revision, files = _wanted(options.model, options.revision)
    with progress_bar("download") as report:
        model = download_model(repo, revision=revision, files=files, report=report)
    tell(f"{options.model} -> {model.folder} ({bytes_in_words(model.done_bytes)}, commit {model.commit[:10]})")
    return 0


def _wanted(name: str, revision: str | None) -> tuple[str, str | None, tuple[str, ...] | None]:
    """Repository, revision and patterns of a name of the catalogue, or of a repository."""
    if name in CATALOGUE:
        row = CATALOGUE[name]
        return row.repo, revision or row.revision, row.files
    if "/" in name:
        return name, revision, None
    names = ", ".join(CATALOGUE)
    raise ValueError(f"model is {name!r}; expected ORG/MODEL, as on the hub, or one of {names}.")
