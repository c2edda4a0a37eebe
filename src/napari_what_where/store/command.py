"""The subcommand ``what-where cache``: what the store holds, where it lies, and how to empty it."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from napari_what_where.memory import readable_bytes

if TYPE_CHECKING:
    from napari_what_where.store.entry import Entry


def add_cache(commands: Any) -> None:
    """Add the subcommand's parser."""
    parser = commands.add_parser(
        "cache",
        help="activations kept on disk: list, limit, clear",
        description="List the activations that are kept on disk, so that a model need not run twice on one image.",
        epilog="The environment variable WHAT_WHERE_STORE says where they are kept, WHAT_WHERE_STORE_LIMIT how many "
        "bytes of them, such as 20GB; 0 keeps nothing.",
    )
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--clear", action="store_true", help="remove all of them")
    either.add_argument("--limit", metavar="SIZE", type=_size, help="remove those used longest ago until SIZE is left")
    parser.set_defaults(run=run_cache)


def _size(text: str) -> int:
    from napari_what_where.store.folder import parse_bytes

    try:
        return parse_bytes(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def run_cache(options: argparse.Namespace) -> int:
    """List the entries, after removing those that are to go; 1 if some could not be removed."""
    from napari_what_where.store.folder import ActivationStore

    store = ActivationStore()
    status = 0
    if options.clear:
        found, stuck = store.clear()
        print(f"removed {_count(found - stuck)}" + (f"; {_count(stuck)} could not be removed" if stuck else ""))
        status = 1 if stuck else 0
    elif options.limit is not None:
        gone, left = store.shrink(options.limit)
        print(f"removed {_count(len(gone))}, {_bytes(sum(entry.size_bytes for entry in gone))}")
        status = 1 if left > options.limit else 0
    entries = store.entries()
    if entries:
        _print_table(entries)
    held = sum(entry.size_bytes for entry in entries)
    print(f"{_count(len(entries))}, {_bytes(held)} of at most {_bytes(store.limit_bytes)}, in {store.folder}")
    return status


def _print_table(entries: list[Entry]) -> None:
    rows: list[tuple[str, ...]] = [("MODEL", "IMAGE", "SIZE", "KEPT", "LAST USED")]
    for entry in entries:
        shape = " × ".join(map(str, entry.image_shape))
        times = (f"{moment.astimezone():%Y-%m-%d %H:%M}" for moment in (entry.made_at, entry.used_at))
        rows.append((entry.model, shape, _bytes(entry.size_bytes), *times))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _count(number: int) -> str:
    return f"{number} {'entry' if number == 1 else 'entries'}"


def _bytes(number: int) -> str:
    return readable_bytes(number) if number else "nothing"
