"""The subcommand ``what-where evaluate``: its options, and what it prints and writes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.evaluation.datasets.registry import DATASETS

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.evaluation.datasets.types import DataSet
    from napari_what_where.evaluation.run import Evaluation
    from napari_what_where.evaluation.segmenters import Segmenter

EPILOG = """layouts, each under FOLDER:
  bsds500      data/images/SPLIT, data/groundTruth/SPLIT
  voc          JPEGImages, SegmentationClass, SegmentationObject, ImageSets/Segmentation/SPLIT.txt
  coco         annotations/instances_SPLIT.json, SPLIT
  coco-stuff   annotations/stuff_SPLIT_pixelmaps, stuffthingmaps/SPLIT or annotations/stuff_SPLIT.json; SPLIT
  cityscapes   leftImg8bit/SPLIT/CITY, gtFine/SPLIT/CITY
  folder       images and masks, or NAME.EXT with NAME_masks.EXT
"""


def add_evaluate(commands: Any, run: Callable[[argparse.Namespace], int], **shared: Any) -> None:
    """Add the subcommand's parser; ``shared``: the parents with the options of every analysis."""
    parser = commands.add_parser(
        "evaluate",
        help="quality figures against ground truth",
        description="Segment the images of a data set on your disk and measure the segmentations, or others', against "
        "its ground truth. Repeat an interrupted evaluation to go on where it stopped.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        **shared,
    )
    add = parser.add_argument
    add("dataset", metavar="DATASET", choices=DATASETS, help=", ".join(DATASETS))
    add("folder", metavar="FOLDER", type=Path, help="where the data set is")
    add("--out", metavar="DIR", default="what-where-evaluation", help="folder for results (default: %(default)s)")
    add("--split", help="train, val, val2017, … (default: the data set's validation images)")
    add("--limit", metavar="N", type=int, help="only the first N images")
    add("--measures", metavar="NAMES", type=_names, help="of regions, boundaries, classes, instances; with commas")
    others = parser.add_mutually_exclusive_group()
    others.add_argument("--labels", metavar="DIR", type=Path, help="measure the label images DIR/STEM.EXT instead")
    others.add_argument("--ucm", metavar="DIR", type=Path, help="measure contour maps instead: ucm2 in DIR/STEM.mat")
    plain = parser.add_argument_group("of a plain folder")
    plain.add_argument("--images", metavar="NAME", help="subfolder of images (default: images, if there is one)")
    plain.add_argument("--masks", metavar="NAME", help="subfolder of masks (default: masks, if there is one)")
    plain.add_argument("--masks-are", choices=("instances", "classes"), help="what their numbers mean (instances)")
    plain.add_argument("--void", metavar="NUMBER", type=int, help="the mask's number of pixels that do not count")
    parser.set_defaults(run=run)


def _names(text: str) -> tuple[str, ...]:
    from napari_what_where.evaluation.datasets.types import MEASURES

    names = tuple(name.strip() for name in text.split(","))
    if not set(names) <= set(MEASURES):
        raise argparse.ArgumentTypeError(f"received {text!r}; expected some of {', '.join(MEASURES)}")
    return names


def run_evaluate(options: argparse.Namespace, load_backbone: Callable[[], Backbone]) -> int:
    """Measure, print the table, write ``evaluation.md`` and ``evaluation.json``; 1 if an image failed."""
    from tqdm import tqdm

    from napari_what_where.evaluation.run import choose_measures, evaluate
    from napari_what_where.terminal import complain, one_line, progress_bar

    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit is {options.limit}; expected a whole number from 1 on.")
    dataset = _dataset(options)
    segmenter = _segmenter(options, load_backbone)
    choose_measures(dataset, segmenter, options.measures)

    def on_failure(name: str, problem: Exception) -> None:
        with tqdm.external_write_mode(file=sys.stderr):
            complain(f"{name}: {one_line(problem)}")

    try:
        with progress_bar(dataset.name) as report:
            evaluation = evaluate(
                dataset,
                segmenter,
                options.out,
                measures=options.measures,
                limit=options.limit,
                report=report,
                on_failure=on_failure,
            )
    except KeyboardInterrupt:
        complain(f"what was measured is kept in {options.out}: the same command goes on from there")
        raise
    taken = f", {evaluation.taken_over} of them taken over from an earlier run" if evaluation.taken_over else ""
    failed = f"; {len(evaluation.failures)} failed" if evaluation.failures else ""
    print(f"{len(evaluation.records)} images measured{taken}{failed}")
    if evaluation.records:
        _finish(dataset, segmenter, evaluation, options)
    return 1 if evaluation.failures else 0


def _dataset(options: argparse.Namespace) -> DataSet:
    from napari_what_where.evaluation.datasets.registry import read_dataset

    plain = {"images": options.images, "masks": options.masks, "kind": options.masks_are, "void": options.void}
    given = {"split": options.split} | plain
    allowed = set(plain) if options.dataset == "folder" else {"split"}
    given = {name: value for name, value in given.items() if value is not None}
    if not set(given) <= allowed:
        flags = ", ".join("--masks-are" if name == "kind" else f"--{name}" for name in sorted(set(given) - allowed))
        raise ValueError(f"{flags} does not go with the layout {options.dataset}. See what-where evaluate --help.")
    return read_dataset(options.dataset, options.folder, **given)


def _segmenter(options: argparse.Namespace, load_backbone: Callable[[], Backbone]) -> Segmenter:
    from napari_what_where.evaluation.segmenters import Analyses, ContourMaps, LabelImages

    folder = options.labels or options.ucm
    if folder is None:
        return Analyses(load_backbone(), options.pathway, options.count, options.segments, options.device)
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is no folder; expected one with a file for each image.")
    return ContourMaps(folder) if options.ucm else LabelImages(folder)


def _finish(dataset: DataSet, segmenter: Segmenter, evaluation: Evaluation, options: argparse.Namespace) -> None:
    """Summarise, print and write."""
    from napari_what_where.evaluation.run import versions
    from napari_what_where.evaluation.summary import figures, summarise, table
    from napari_what_where.files.export import atomic_path, write_provenance

    records, measures = evaluation.records, evaluation.measures
    summary = summarise(records, measures)
    about = segmenter.describe()
    chosen = "as given" if options.labels else f"{options.segments} segments"
    text = table(summary, chosen)
    print(text)
    title = f"{dataset.name}, {len(records)} images; " + ", ".join(f"{name} {value}" for name, value in about.items())
    with atomic_path(Path(options.out, "evaluation.md")) as path:
        path.write_text(f"{title}\n\n{text}\n", encoding="utf-8")
    result = {
        "dataset": dataset.name,
        "segmentations": about,
        "measures": list(measures),
        "summary": summary,
        "environment": versions(),
        "failures": {name: str(problem) for name, problem in evaluation.failures.items()},
        "images": {record["image"]: figures(record, measures) | {"seconds": record["seconds"]} for record in records},
    }
    written = write_provenance(Path(options.out, "evaluation.json"), result)
    print(f"-> {written}, {written.with_suffix('.md').name}")
