"""``what-where collection``: a folder in; labels that mean the same in every image, and a page that shows them, out."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.segment_command import FORMAT_HELP, analysis_options, diameter, formats, number_or_auto
from napari_what_where.terminal import PROGRAM, complain, progress_bar, tell

if TYPE_CHECKING:
    from napari_what_where.collection.folder import ImageResult


def add_collection(commands: Any) -> None:
    """Add the command to the ``subparsers`` of a parser."""
    collection = commands.add_parser(
        "collection",
        parents=[analysis_options(segments=False)],
        help="segment a folder of images together: one label means one thing in all of them",
        description="Analyse all images together, so that one label means one thing in every one of them. Writes "
        "DIR/report.html to look at and, for each image, DIR/STEM_labels.EXT, DIR/STEM_eigenvectors.tif and "
        "DIR/STEM.json; for all together DIR/collection.json and DIR/projection.pt, which applies what was found to "
        "other images. A run that was stopped goes on where it was when the same command is given again.",
    )
    add = collection.add_argument
    add("images", metavar="FOLDER", nargs="+", help="a folder of images, or several images")
    add("--out", metavar="DIR", required=True, help="folder for the results; made if missing")
    add(
        "--clusters",
        metavar="N|auto",
        type=number_or_auto,
        default=8,
        help="kinds of things to tell apart (default: 8); with another number the model does not run again",
    )
    add("--format", metavar="NAMES", type=formats, default=("tiff",), dest="formats", help=FORMAT_HELP)
    add("--title", metavar="TEXT", help="of the report (default: the name of the folder)")
    add("--restart", action="store_true", help="begin anew, whatever an earlier run has left")
    add = collection.add_argument_group("more of the analysis").add_argument
    add(
        "--method",
        choices=("streaming", "gradient"),
        default="streaming",
        help="exact, by statistics of all images, or the published gradient descent, far slower (default: %(default)s)",
    )
    add("--smallest-object", metavar="PX", type=diameter, help="diameter in pixels of the smallest thing of interest")
    add("--no-edges", action="store_false", dest="follow_edges", help="kinds from the embedding alone")
    add("--seed", metavar="N", type=int, default=0, help="(default: %(default)s)")
    collection.set_defaults(run=run_collection_command)


def run_collection_command(options: argparse.Namespace) -> int:
    """Analyse the collection; the exit status."""
    from napari_what_where.collection.folder import CollectionSettings, run_collection

    files, title = find_files(options.images)
    settings = CollectionSettings(**{field.name: getattr(options, field.name) for field in fields(CollectionSettings)})

    def show(result: ImageResult) -> None:
        if result.status == "failed":
            complain(f"{result.path}: {result.message}")
        else:
            tell(f"{result.path} -> {result.written[0]} ({result.message})")

    with progress_bar(PROGRAM) as report:
        found = run_collection(
            files,
            options.out,
            settings,
            title=options.title or title,
            resume=not options.restart,
            report=report,
            on_result=show,
        )
    for remark in found.remarks:
        complain(remark)
    tell(f"report: {found.page}")
    return 1 if any(each.status == "failed" for each in found.images) else 0


def find_files(names: Sequence[str]) -> tuple[list[Path], str | None]:
    """The images that are meant, folders standing for all that lies in them, and what they may be called together.

    Raises ``ValueError`` where there are none, ``OSError`` for a folder that cannot be read.
    """
    from napari_what_where.files.filenames import find_images

    files: list[Path] = []
    for place in map(Path, names):
        found = find_images(place) if place.is_dir() else [place]
        if not found:
            raise ValueError(f"{place} holds no images; expected TIFF, PNG, JPEG, … Choose another folder.")
        files += found
    one = Path(names[0])
    return files, (one.resolve().name or None) if len(names) == 1 and one.is_dir() else None
