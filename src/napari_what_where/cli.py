"""The command ``what-where``: segment images, measure segmentations, list backbones, show a demonstration.

Nothing heavy is imported before it is needed. Results go to standard output, complaints, one line each, to standard
error, progress bars there too if it is a terminal. Exit status: 0 done, 1 something failed, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.evaluation.command import add_evaluate, run_evaluate
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
    analysis = _analysis_options()
    _add_segment(commands, analysis)
    add_evaluate(commands, _evaluate, parents=[analysis])
    listing = commands.add_parser("backbones", help="what there is, what is ready, size, licence")
    listing.set_defaults(run=_backbones)
    demo = commands.add_parser("demo", help="segment a sample image, in napari or as pictures")
    demo.add_argument("--no-gui", action="store_true", help="write pictures and masks, open no window")
    demo.add_argument("--out", metavar="DIR", default="what-where-demo", help="where they go (default: %(default)s)")
    demo.set_defaults(run=_demo)
    return parser


def _analysis_options() -> argparse.ArgumentParser:
    """The options of every command that analyses images."""
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument_group("analysis").add_argument
    add("--backbone", metavar="NAME", default="filters", help="see 'what-where backbones' (default: %(default)s)")
    add("--pathway", choices=("what", "where", "both"), default="what", help="(default: %(default)s)")
    add("--segments", metavar="N|auto", type=_segments, default="auto", help="number of segments (default: auto)")
    add("--count", metavar="K", type=_positive, default=16, help="number of eigenvectors (default: %(default)s)")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="(default: %(default)s)")
    return shared


def _add_segment(commands: Any, analysis: argparse.ArgumentParser) -> None:
    segment = commands.add_parser(
        "segment",
        parents=[analysis],
        help="segment images",
        description="For each image, write DIR/STEM_labels.EXT, DIR/STEM_eigenvectors.tif and DIR/STEM.json "
        "(versions, model, options, timings, eigenvalues). Files of an earlier run are replaced.",
    )
    add = segment.add_argument
    add("images", metavar="IMAGE", nargs="+", help="TIFF, PNG, JPEG, …: (rows, columns), with channels if any")
    add("--out", metavar="DIR", required=True, help="folder for the results; made if missing")
    add("--format", metavar="NAMES", type=_formats, default=("tiff",), dest="formats", help="tiff, png or tiff,png")
    add("--objects", action="store_true", help="write DIR/STEM_objects.EXT too: what stands apart, 0 = background")
    add("--resume", action="store_true", help="skip images that have these very results already")
    add("--select", metavar="INDEX", type=_select, help="part of each file as stored, like --select=3,:,: for a plane")
    add("--channel-axis", metavar="N", type=int, help="axis of what is selected that holds channels; -1 is the last")
    add = segment.add_argument_group("more of the analysis").add_argument
    add("--smallest-object", metavar="PX", type=_diameter, help="diameter in pixels of the smallest thing of interest")
    add("--normalization", choices=("degree", "none"), default="degree", help="of the affinity (default: %(default)s)")
    add("--no-edges", action="store_false", dest="follow_edges", help="segments from the embedding alone")
    add("--seed", metavar="N", type=int, default=0, help="of the solver (default: %(default)s)")
    segment.set_defaults(run=_segment)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"received {text!r}; expected a whole number from 1 on")
    return int(text)


def _segments(text: str) -> int | str:
    return text if text == "auto" else _positive(text)


def _diameter(text: str) -> float:
    value = _checked(float, text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"received {text!r}; expected a diameter in pixels, above 0")
    return float(value)


def _formats(text: str) -> tuple[str, ...]:
    from napari_what_where.files.export import parse_formats

    return tuple(_checked(parse_formats, text))


def _select(text: str) -> Any:
    from napari_what_where.files.indexing import parse_select

    return _checked(parse_select, text)


def _checked(parse: Callable[[str], Any], text: str) -> Any:
    """What ``parse`` makes of ``text``; its ``ValueError`` as wrong usage."""
    try:
        return parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _segment(options: argparse.Namespace) -> int:
    from napari_what_where.batch import BatchSettings, FileResult, run_batch

    names = iter(options.images)

    def show(result: FileResult) -> None:
        name = next(names)
        if result.status == "failed":
            complain(f"{name}: {result.message}")
        else:
            spent = f"{result.seconds:.1f} s" if result.status == "done" else result.message
            tell(f"{name} -> {result.written[0]} ({spent})")

    settings = BatchSettings(**{field.name: getattr(options, field.name) for field in fields(BatchSettings)})
    with progress_bar(PROGRAM) as report:
        results = run_batch(
            options.images,
            options.out,
            settings,
            select=options.select,
            channel_axis=options.channel_axis,
            resume=options.resume,
            report=report,
            on_result=show,
        )
    return 1 if any(result.status == "failed" for result in results) else 0


def _load_backbone(options: argparse.Namespace) -> Backbone:
    from napari_what_where.batch import BatchSettings, ready_backbone

    return ready_backbone(BatchSettings(backbone=options.backbone, pathway=options.pathway, device=options.device))


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
