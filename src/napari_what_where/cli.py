"""The command ``what-where``: segment images, alone or together, measure segmentations, list backbones, show a demo.

Nothing heavy is imported before it is needed. Results go to standard output, complaints, one line each, to standard
error, progress bars there too if it is a terminal. Exit status: 0 done, 1 something failed, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_what_where.activations.hub.command import add_download, run_download
from napari_what_where.collection_command import add_collection
from napari_what_where.evaluation.command import add_evaluate, run_evaluate
from napari_what_where.segment_command import add_segment, analysis_options
from napari_what_where.store.command import add_cache
from napari_what_where.terminal import PROGRAM, complain, one_line, progress_bar, tell, warnings_in_one_line

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with ``argv`` (by default the process's own) and return its exit status."""
    options = _parser().parse_args(argv)
    try:
        with warnings_in_one_line():
            status = int(options.run(options))
            sys.stdout.flush()
            return status
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`… | head`): nothing is left to say, nor to flush at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as problem:
        complain(one_line(problem))
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM, description="Segments and eigenvectors of images, from what a pretrained vision model knows."
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {_version()}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    analysis = analysis_options()
    add_segment(commands, parents=[analysis])
    add_collection(commands)
    add_evaluate(commands, _evaluate, parents=[analysis])
    add_download(commands, lambda options: run_download(options, progress_bar=progress_bar, tell=tell))
    add_cache(commands)
    listing = commands.add_parser("backbones", help="what there is, what is ready, size, licence")
    listing.set_defaults(run=_backbones)
    demo = commands.add_parser("demo", help="segment a sample image, in napari or as pictures")
    demo.add_argument("--no-gui", action="store_true", help="write pictures and masks, open no window")
    demo.add_argument("--out", metavar="DIR", default="what-where-demo", help="where they go (default: %(default)s)")
    demo.set_defaults(run=_demo)
    return parser


def _load_backbone(options: argparse.Namespace) -> Backbone:
    from napari_what_where.batch import BatchSettings, ready_backbone

    names = ("backbone", "backbone_options", "pathway", "device")
    return ready_backbone(BatchSettings(**{name: getattr(options, name) for name in names}))


def _evaluate(options: argparse.Namespace) -> int:
    return run_evaluate(options, lambda: _load_backbone(options))


def _backbones(options: argparse.Namespace) -> int:
    from napari_what_where.activations.registry import backbone_info, list_backbones

    rows = [("NAME", "STATUS", "SIZE", "PATHWAYS", "LICENCE", "WHAT IT IS")]
    for name in list_backbones():
        info = backbone_info(name)
        size = f"{info.size_bytes / 1e6:,.0f} MB" if info.size_bytes else "-"
        rows.append((name, info.status, size, ", ".join(info.pathways), info.licence, info.description))
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[5]]))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from napari_what_where.demonstration import why_no_window, write_demo

    reason = "no window, as asked" if options.no_gui else why_no_window()
    if reason is None:
        from napari_what_where.widgets.demo import run_demo

        run_demo()
        return 0
    print(f"{reason}: writing pictures instead", flush=True)
    with progress_bar("coffee") as report:
        written = write_demo(options.out, report=report)
    print(f"in {Path(options.out).resolve()}:")
    for path, what in written.items():
        print(f"  {path.name:<26}{what}")
    return 0


def _version() -> str:
    from importlib.metadata import version

    return version("napari-what-where")


if __name__ == "__main__":
    sys.exit(main())
