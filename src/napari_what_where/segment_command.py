"""``what-where segment`` as text, both ways: the parser of its flags, and the command that gives an analysis again.

Every flag that decides results stands in both; nothing heavy is imported before a command is run or made.
"""

from __future__ import annotations

import argparse
import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from napari_what_where.terminal import PROGRAM, complain, progress_bar, tell

if TYPE_CHECKING:
    from napari_what_where.batch import BatchSettings, FilePart, FileResult

    Name = str | os.PathLike[str]


FORMAT_HELP = (
    "of labels, separated by commas: tiff (the default), png, png-indexed, png-colour, ome-tiff, ome-zarr, coco, "
    "coco-polygons, geojson (QuPath), imagej-roi, npy, csv (measurements); see docs/guide/export.md"
)


def analysis_options(*, segments: bool = True) -> argparse.ArgumentParser:
    """The options of every command that analyses images; ``segments``: whether it cuts each into a number of them."""
    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument_group("analysis").add_argument
    add("--backbone", metavar="NAME", default="filters", help="see 'what-where backbones' (default: %(default)s)")
    add("--pathway", choices=("what", "where", "both"), default="what", help="(default: %(default)s)")
    if segments:
        add("--segments", metavar="N|auto", type=number_or_auto, default="auto", help="how many (default: auto)")
    add("--count", metavar="K", type=_positive, default=16, help="number of eigenvectors (default: %(default)s)")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="(default: %(default)s)")
    _add_backbone_options(shared.add_argument_group("of pretrained models").add_argument)
    return shared


class _BackboneOption(argparse.Action):
    """Collects the options of the backbone that were given, under their own names."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option_string: str | None = None) -> None:
        given = dict(getattr(namespace, self.dest))
        given[(option_string or "").removeprefix("--").replace("-", "_")] = values
        setattr(namespace, self.dest, given)


def _add_backbone_options(add: Callable[..., Any]) -> None:
    def option(flag: str, **more: Any) -> None:
        add(flag, action=_BackboneOption, dest="backbone_options", default={}, **more)

    option("--layers", metavar="NAMES", type=_names, help="network layers, names or patterns like 'up_blocks.*,mid*'")
    option("--resolution", metavar="PX", type=_positive, help="the model sees about PX × PX pixels")
    option("--precision", choices=("auto", "full", "half"), help="of weights (by default half on a GPU)")
    option("--timesteps", metavar="T", type=_timesteps, help="of a diffusion model, such as 50 or 50,150,250: averaged")
    option("--prompt", metavar="TEXT", help="of a diffusion model: what the image shows (default: nothing)")
    option("--noise-seed", metavar="N", type=int, help="of a diffusion model")


def add_segment(commands: Any, parents: Sequence[argparse.ArgumentParser]) -> None:
    """Add the command to the ``subparsers`` of a parser."""
    segment = commands.add_parser(
        "segment",
        parents=parents,
        help="segment images",
        description="For each image, write DIR/STEM_labels.EXT, DIR/STEM_eigenvectors.tif and DIR/STEM.json "
        "(versions, model, options, timings, eigenvalues). Files of an earlier run are replaced.",
    )
    add = segment.add_argument
    add("images", metavar="IMAGE", nargs="+", help="TIFF, PNG, JPEG, …: (rows, columns), with channels if any")
    add("--out", metavar="DIR", required=True, help="folder for the results; made if missing")
    add("--format", metavar="NAMES", type=formats, default=("tiff",), dest="formats", help=FORMAT_HELP)
    add("--objects", action="store_true", help="write DIR/STEM_objects.EXT too: what stands apart, 0 = background")
    add("--resume", action="store_true", help="skip images that have these very results already")
    _add_part(segment.add_argument_group("which part of a file, and what its axes are").add_argument)
    add = segment.add_argument_group("more of the analysis").add_argument
    add("--smallest-object", metavar="PX", type=diameter, help="diameter in pixels of the smallest thing of interest")
    add("--normalization", choices=("degree", "none"), default="degree", help="of the affinity (default: %(default)s)")
    add("--no-edges", action="store_false", dest="follow_edges", help="segments from the embedding alone")
    add("--seed", metavar="N", type=int, default=0, help="of the solver (default: %(default)s)")
    segment.set_defaults(run=run_segment, wrong_usage=segment.error)


def _add_part(add: Callable[..., Any]) -> None:
    add("--select", metavar="INDEX", type=_select, help="part of each file as stored, like --select=3,:,: for a plane")
    add("--channel-axis", metavar="N", type=int, help="axis of what is selected that holds channels; -1 is the last")
    add("--as-channels", action="store_true", help="the files are the channels of one image, in this order")
    add(
        "--planes",
        metavar="N",
        type=int,
        dest="plane_axis",
        help="axis of what is selected whose every plane is analysed, at one intensity scale: a stack, written as one",
    )
    add("--linked", action="store_true", help="carry numbers from plane to plane of a stack, where segments overlap")
    add(
        "--within",
        metavar="CORNERS",
        type=_polygon,
        action="append",
        default=[],
        help="analyse a polygon only, like --within='10,10;10,90;80,50': row,column of its corners, in pixels of the "
        "plane selected. Results cover the smallest window around it, 0 outside of it. Given again: both",
    )


def run_segment(options: argparse.Namespace) -> int:
    """Segment the images; the exit status."""
    from napari_what_where.batch import BatchSettings, FilePart, check_formats, run_batch

    settings = BatchSettings(**{field.name: getattr(options, field.name) for field in fields(BatchSettings)})
    part = FilePart(options.select, options.channel_axis, options.plane_axis, tuple(options.within))
    _check_usage(options)
    try:
        check_formats(settings, part)
    except ValueError as problem:
        options.wrong_usage(str(problem))
    names = iter([" + ".join(options.images)] if options.as_channels else options.images)

    def show(result: FileResult) -> None:
        name = next(names)
        if result.status == "failed":
            complain(f"{name}: {result.message}")
        else:
            spent = f"{result.seconds:.1f} s" if result.status == "done" else result.message
            tell(f"{name} -> {result.written[0]} ({spent})")

    with progress_bar(PROGRAM) as report:
        results = run_batch(
            [tuple(options.images)] if options.as_channels else options.images,
            options.out,
            settings,
            part=part,
            resume=options.resume,
            report=report,
            on_result=show,
        )
    return 1 if any(result.status == "failed" for result in results) else 0


def _check_usage(options: argparse.Namespace) -> None:
    if options.linked and options.plane_axis is None:
        options.wrong_usage("--linked is about the planes of a stack; say which axis they lie along: --planes=0")
    if options.as_channels and options.channel_axis is not None:
        options.wrong_usage("received both --as-channels and --channel-axis; expected one of them")
    if options.as_channels and len(options.images) < 2:
        options.wrong_usage("--as-channels is for two files or more; received one")


def as_command(
    files: Name | Sequence[Name], settings: BatchSettings, out: Name = ".", part: FilePart | None = None
) -> str:
    """The command that segments an image with these settings, bit for bit the same, quoted for a POSIX shell.

    ``files``: one, or several that are its channels; ``out``, ``part``: as for
    :func:`~napari_what_where.batch.run_batch`.
    """
    from napari_what_where.batch import FilePart

    names = [os.fspath(files)] if isinstance(files, str | os.PathLike) else [os.fspath(file) for file in files]
    words = [PROGRAM, "segment"]
    words += [name if not name.startswith("-") else os.path.join(".", name) for name in names]
    words += [f"--out={os.fspath(out)}", *_settings_words(settings)]
    words += ["--as-channels"] if len(names) > 1 else []
    return shlex.join([*words, *_part_words(part or FilePart())])


def _settings_words(settings: BatchSettings) -> list[str]:
    words = [f"--backbone={settings.backbone}", *_backbone_words(settings.backbone_options)]
    words += [f"--pathway={settings.pathway}"]
    words += [f"--segments={settings.segments}", f"--count={settings.count}"]
    if settings.smallest_object is not None:
        words.append(f"--smallest-object={settings.smallest_object!r}")
    words += [f"--normalization={settings.normalization}", f"--seed={settings.seed}", f"--device={settings.device}"]
    words += [] if settings.follow_edges else ["--no-edges"]
    words += ["--objects"] if settings.objects else []
    words += ["--linked"] if settings.linked else []
    return [*words, f"--format={','.join(settings.formats)}"]


def _backbone_words(options: Mapping[str, Any]) -> list[str]:
    def text(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)

    return [f"--{name.replace('_', '-')}={text(value)}" for name, value in options.items() if value is not None]


def _part_words(part: FilePart) -> list[str]:
    text = part.as_text()
    words = [] if not part.select else [f"--select={text['select']}"]
    words += [] if part.channel_axis is None else [f"--channel-axis={part.channel_axis}"]
    words += [] if part.plane_axis is None else [f"--planes={part.plane_axis}"]
    return words + [f"--within={corners}" for corners in text["within"]]


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"received {text!r}; expected a whole number from 1 on")
    return int(text)


def number_or_auto(text: str) -> int | str:
    """The argument of an option: a whole number from 1 on, or "auto"."""
    return text if text == "auto" else _positive(text)


def diameter(text: str) -> float:
    """A number of pixels above 0."""
    value = _checked(float, text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"received {text!r}; expected a diameter in pixels, above 0")
    return float(value)


def _names(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError(f"received {text!r}; expected names or patterns, separated by commas")
    return names


def _timesteps(text: str) -> list[int]:
    try:
        return [int(each) for each in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(f"received {text!r}; expected whole numbers, such as 50,150") from None


def formats(text: str) -> tuple[str, ...]:
    """The argument of an option: names of label formats."""
    from napari_what_where.files.formats.registry import parse_formats

    return tuple(_checked(parse_formats, text))


def _select(text: str) -> Any:
    from napari_what_where.files.indexing import parse_select

    return _checked(parse_select, text)


def _polygon(text: str) -> Any:
    from napari_what_where.files.outlines import parse_polygon

    return _checked(parse_polygon, text)


def _checked(parse: Callable[[str], Any], text: str) -> Any:
    """What ``parse`` makes of ``text``; its ``ValueError`` as wrong usage."""
    try:
        return parse(text)
    except ValueError as problem:
        raise argparse.ArgumentTypeError(str(problem)) from None
