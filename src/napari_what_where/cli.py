"""The command ``what-where``: segment images, measure segmentations, list backbones, show a demonstration.

Nothing heavy is imported before it is needed. Results go to standard output, complaints, one line each, to standard
error, progress bars there too if it is a terminal. Exit status: 0 done, 1 something failed, 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.evaluation.command import add_evaluate, run_evaluate
from napari_what_where.terminal import PROGRAM, complain, one_line, progress_bar, warnings_in_one_line

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
    add("--format", metavar="NAMES", type=_formats, default=("tiff",), help="of labels: tiff, png or tiff,png")
    add("--objects", action="store_true", help="write DIR/STEM_objects.EXT too: what stands apart, 0 = background")
    segment.set_defaults(run=_segment)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"received {text!r}; expected a whole number from 1 on")
    return int(text)


def _segments(text: str) -> int | str:
    return text if text == "auto" else _positive(text)


def _formats(text: str) -> tuple[str, ...]:
    from napari_what_where.export import parse_formats

    try:
        return parse_formats(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None


def _segment(options: argparse.Namespace) -> int:
    plan = plan_stems(options.images, options.out, options.format, objects=options.objects)
    Path(options.out).mkdir(parents=True, exist_ok=True)
    backbone = _load_backbone(options)
    failed = 0
    for path, stem in plan:
        try:
            print(_segment_one(path, stem, backbone, options), flush=True)
        except BrokenPipeError:
            raise
        except Exception as problem:  # one bad image does not stop the rest, whatever is bad about it
            complain(f"{path}: {one_line(problem)}")
            failed += 1
    return 1 if failed else 0


def plan_stems(
    images: Sequence[str], out: str, formats: Sequence[str], *, objects: bool = False
) -> list[tuple[str, str]]:
    """Each image with the stem of its results: its own, or STEM-2, STEM-3, … where that is taken.

    A stem is taken by an earlier image (names that differ in case alone are one, as on some disks) and by results
    that would replace one of the images.
    """
    from napari_what_where.export import output_paths

    inputs = {os.path.realpath(image) for image in images}
    taken: set[str] = set()
    plan = []
    for image in images:
        own = Path(image).stem
        stem, number = own, 1
        while stem.casefold() in taken or any(
            os.path.realpath(path) in inputs for path in output_paths(out, stem, formats, objects=objects)
        ):
            number += 1
            stem = f"{own}-{number}"
        taken.add(stem.casefold())
        plan.append((image, stem))
    return plan


def _load_backbone(options: argparse.Namespace) -> Backbone:
    """The backbone asked for, able to give the pathway, on a device that is there; else an exception that says so."""
    from napari_what_where.activations.registry import load_backbone
    from napari_what_where.device import resolve_device

    resolve_device(options.device)
    backbone = load_backbone(options.backbone)
    backbone.check_pathway(options.pathway)
    return backbone


def _segment_one(path: str, stem: str, backbone: Backbone, options: argparse.Namespace) -> str:
    """Read, analyse and save one image; return the line that says so."""
    from napari_what_where.export import save_analysis
    from napari_what_where.pipeline import analyze
    from napari_what_where.reading import read_image
    from napari_what_where.segments.objects.find import find_objects

    started = time.perf_counter()
    image = read_image(path)
    with progress_bar(stem) as report:
        analysis = analyze(
            image.pixels,
            backbone=backbone,
            pathway=options.pathway,
            count=options.count,
            device=options.device,
            report=report,
        )
        objects = find_objects(analysis, report=report) if options.objects else None
    written = save_analysis(
        analysis,
        options.out,
        stem,
        objects=objects,
        segments=options.segments,
        formats=options.format,
        pixel_size=image.pixel_size,
        units=image.units,
        source=Path(path).name,
    )
    return f"{path} -> {written[0]} ({time.perf_counter() - started:.1f} s)"


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
