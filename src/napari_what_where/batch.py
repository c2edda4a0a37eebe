"""Many image files with one set of settings: resumable, one bad image never stops the rest.

A file counts as done when all its results are there and its record (STEM.json) names the same request and the same
image. The image, or each plane of a stack, is known by the SHA-256 of its pixels, so a run that is taken up again reads
every file: modification times are wrong after copies, on some disks to two seconds and on some networks by hours, and
reading is a small part of an analysis. Before results are replaced their record goes, and the new one is moved to its
place last: a run killed at any moment leaves no record of what is not there.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from napari_what_where.failures import explain
from napari_what_where.files.encoding import atomic_path, discard, leftovers, plain
from napari_what_where.files.export import SUFFIXES, output_paths
from napari_what_where.files.filenames import find_images, plan_stems
from napari_what_where.files.formats.coco import join_files, telling_folders
from napari_what_where.files.formats.registry import check_stacks, parse_formats
from napari_what_where.files.results import describe_scale, save_stack
from napari_what_where.files.stacks import FilePart, FileStack, open_stack
from napari_what_where.progress import Cancelled, Progress, Report, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.pipeline import Analysis

__all__ = ["BatchSettings", "FilePart", "FileResult", "find_images", "plan_stems", "ready_backbone", "run_batch"]

Name = str | os.PathLike[str]
Status = Literal["done", "skipped", "failed"]
_OWN_NAME = "napari-what-where"


@dataclass(frozen=True)
class BatchSettings:
    """All that decides the results of an image, ready for JSON: ``BatchSettings(**asdict(settings)) == settings``.

    ``segments``: a number or "auto"; ``smallest_object``: diameter in pixels of the image; ``objects``: find them, too;
    ``linked``: carry numbers from plane to plane of a stack, where its planes overlap; else no two planes share one;
    ``formats``: of labels, see :func:`~napari_what_where.files.formats.registry.parse_formats`. The others as
    :func:`~napari_what_where.analyze` has them. Raises ``ValueError`` for settings that are none.
    """

    backbone: str = "filters"
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    pathway: str = "what"
    count: int = 16
    normalization: str = "degree"
    device: str = "auto"
    follow_edges: bool = True
    seed: int = 0
    smallest_object: float | None = None
    segments: int | Literal["auto"] = "auto"
    objects: bool = False
    linked: bool = False
    formats: tuple[str, ...] = ("tiff",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", parse_formats(self.formats))
        object.__setattr__(self, "backbone_options", plain(dict(self.backbone_options)))
        if self.segments != "auto" and not (isinstance(self.segments, int) and self.segments >= 1):
            raise ValueError(f'segments is {self.segments!r}; expected a whole number from 1 on, or "auto".')
        if self.smallest_object is not None and not 0 < self.smallest_object < float("inf"):
            raise ValueError(f"smallest_object is {self.smallest_object!r}; expected a diameter in pixels, or None.")

    def analyze_options(self) -> dict[str, Any]:
        """What :func:`~napari_what_where.analyze` is called with."""
        after = ("segments", "objects", "linked", "formats")
        return {name: value for name, value in asdict(self).items() if name not in after}


class FileResult(NamedTuple):
    """What became of one file.

    ``path``: of several that are the channels of one image the first; ``message``: one line, for a failure what to do
    about it; ``written``: the files of its results, also of those that were there already; ``seconds``: spent on it.
    """

    path: Path
    status: Status
    message: str
    written: tuple[Path, ...]
    seconds: float


def run_batch(
    files: Sequence[Name | Sequence[Name]],
    out: Name,
    settings: BatchSettings,
    *,
    part: FilePart | None = None,
    resume: bool = True,
    backbone: Backbone | None = None,
    report: Report = ignore_progress,
    on_result: Callable[[FileResult], None] | None = None,
) -> list[FileResult]:
    """Segment each file and save labels, eigenvectors, record and, if asked for, objects in the folder ``out``.

    In COCO's formats several images are also joined in one file, ``labels_coco.json``, at the end.

    Parameters
    ----------
    files : paths, or sequences of paths
        Two of one stem get STEM and STEM-2, see :func:`plan_stems`. The files of a sequence are the channels of one
        image, whose results have the stem of the first.
    out : path
        Folder; made if missing.
    settings : BatchSettings
    part : FilePart, optional
        What of each file, and which of its axes hold channels or planes; by default each holds one plane. Of a stack
        every plane is analysed, at one intensity scale, and what is written are stacks.
    resume : bool
        Skip files whose results are there, from the same request and the same image. Off, replace all.
    backbone : Backbone, optional
        The one that the settings name, where the caller has it loaded.
    report : function of a Progress
        Stages are "file 2/9 STEM" (done and total count files) and "file 2/9 STEM: STAGE" within. What it raises,
        ``Cancelled`` for instance, ends the run; files that are done stay, the one at work leaves nothing.
    on_result : function of a FileResult
        Called after every file, in order.

    Returns
    -------
    list of FileResult, one a file

    Raises
    ------
    ValueError, TypeError, OSError
        For what concerns all files: a backbone or a device that is not there, a folder that cannot be written to,
        stacks as PNG. What is wrong with one image is in its result.
    """
    part = part or FilePart()
    check_formats(settings, part)
    images = [_as_channels(each) for each in files]
    others = [path for paths in images for path in paths[1:]]
    firsts = [paths[0] for paths in images]
    joined = _joined_names(settings) if len(images) > 1 else {}
    plan = plan_stems(firsts, out, settings.formats, objects=settings.objects, others=others, reserved=list(joined))
    _check_folder(Path(out))
    run = _Run(Path(out), settings, ready_backbone(settings, backbone), part, resume)
    results = []
    for number, (paths, (_, stem)) in enumerate(zip(images, plan, strict=True)):
        title = f"file {number + 1}/{len(plan)} {stem}"
        report(Progress(title, number, len(plan)))
        results.append(run.segment(paths, stem, _within(report, title)))
        if on_result is not None:
            on_result(results[-1])
    _join(Path(out), joined, results)
    return results


def check_formats(settings: BatchSettings, part: FilePart) -> None:
    """Raise ``ValueError`` where the labels of such a part cannot be written so."""
    if part.plane_axis is not None:
        check_stacks(settings.formats)


def _joined_names(settings: BatchSettings) -> dict[str, int]:
    """The files that hold the annotations of all images, each with the place of its own among the files of an image."""
    masks = ("labels", "objects") if settings.objects else ("labels",)
    each = [(mask, name) for mask in masks for name in settings.formats]
    return {f"{mask}{SUFFIXES[name]}": index for index, (mask, name) in enumerate(each) if name.startswith("coco")}


def _join(out: Path, joined: Mapping[str, int], results: Sequence[FileResult]) -> None:
    """Write those files, of the images that have results; folders tell images of one name apart."""
    places = telling_folders([result.path for result in results])
    found = [(result.written, folder) for result, folder in zip(results, places, strict=True) if result.written]
    for name, index in joined.items():
        if found:
            files, folders = [written[index] for written, _ in found], [folder for _, folder in found]
            with atomic_path(out / name) as temporary:
                join_files(temporary, files, name=name.partition(".")[0], folders=folders)


@dataclass(frozen=True)
class _Run:
    """What all files of a run share."""

    out: Path
    settings: BatchSettings
    backbone: Backbone
    part: FilePart
    resume: bool

    def segment(self, paths: Sequence[Path], stem: str, report: Report) -> FileResult:
        """Read, analyse and save one image, unless that has been done."""
        started = time.perf_counter()
        written = tuple(output_paths(self.out, stem, self.settings.formats, objects=self.settings.objects))
        status: Status = "done"
        results = written
        try:
            stack = open_stack(paths, self.part)
            if self.resume and self._is_done(written, stack):
                status, message = "skipped", "done before, with the same settings"
            else:
                message = self._analyze_and_save(stack, " + ".join(path.name for path in paths), stem, written, report)
        except Cancelled:
            raise
        except Exception as problem:  # one bad image does not stop the rest, whatever is bad about it
            results, status, message = (), "failed", explain(problem)
        return FileResult(paths[0], status, message, results, time.perf_counter() - started)

    @property
    def _request(self) -> dict[str, Any]:
        """What was asked of an image, as its record has it."""
        return plain({**asdict(self.settings), **self.part.as_text()})

    def _is_done(self, paths: Sequence[Path], stack: FileStack) -> bool:
        from napari_what_where.image import check_image, describe_image

        if not all(path.exists() for path in paths):
            return False
        try:
            record = json.loads(paths[-1].read_text(encoding="utf-8"))
            planes = [record] if stack.flat else record["planes"]
            same = planes[0]["request"] == self._request and planes[0]["versions"][_OWN_NAME] == version(_OWN_NAME)
            return bool(
                same
                and planes[0]["model"] == plain(self.backbone.describe())
                and record["pixel_size"] == describe_scale(stack)
                and len(planes) == len(stack.planes)
                and all(
                    plane["image"] == describe_image(check_image(pixels))
                    for plane, pixels in zip(planes, stack.planes, strict=True)
                )
            )
        except (ValueError, KeyError, TypeError, IndexError):  # no record of ours
            return False

    def _analyze_and_save(self, stack: FileStack, source: str, stem: str, paths: Sequence[Path], report: Report) -> str:
        """Returns what was found, in words."""
        from napari_what_where.planes import find_stack_objects

        settings, objects = self.settings, None
        analyses = self._analyze(stack, report)
        if settings.objects:
            linked = settings.linked and not stack.flat
            objects = find_stack_objects(analyses, linked=linked, outline=stack.outline, report=report)
        with _without_record(paths):
            found = save_stack(
                stack,
                analyses,
                self.out,
                stem,
                segments=settings.segments,
                linked=settings.linked,
                objects=objects,
                formats=settings.formats,
                source=source,
            )
        for leftover in (each for path in paths for each in leftovers(path)):
            discard(leftover)
        return ", ".join(f"{count:,} {what}" for what, count in found.items())

    def _analyze(self, stack: FileStack, report: Report) -> list[Analysis]:
        from napari_what_where.pipeline import analyze
        from napari_what_where.planes import analyze_planes

        options = {
            **self.settings.analyze_options(),
            "backbone": self.backbone,
            "backbone_options": None,
            "report": report,
        }
        analyses = [analyze(stack.planes[0], **options)] if stack.flat else analyze_planes(stack.planes, **options)
        request = self._request
        return [replace(each, provenance={**each.provenance, "request": request}) for each in analyses]


def _as_channels(files: Name | Sequence[Name]) -> tuple[Path, ...]:
    """The files of one image; ``ValueError`` for none."""
    paths = (Path(files),) if isinstance(files, str | os.PathLike) else tuple(map(Path, files))
    if not paths:
        raise ValueError("Received an image of no files; expected one file, or one for each channel.")
    return paths


@contextmanager
def _without_record(paths: Sequence[Path]) -> Iterator[None]:
    """Within the block the last of ``paths``, which vouches for the others, is not there.

    A failure puts it back, unless some of the others have been replaced by then.
    """
    record = paths[-1]
    aside = record.with_name(f".{record.name}.before")
    aside.unlink(missing_ok=True)
    before = [_stamp(path) for path in paths[:-1]]
    if record.is_file():
        os.replace(record, aside)
    try:
        yield
    except BaseException:
        if aside.is_file() and [_stamp(path) for path in paths[:-1]] == before:
            os.replace(aside, record)
        raise
    finally:
        aside.unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced."""
    return (path.stat().st_ino, path.stat().st_mtime_ns) if path.exists() else None


def ready_backbone(settings: BatchSettings, given: Backbone | None = None) -> Backbone:
    """The backbone, able to give the pathway, and a device that is there; else an exception that says so."""
    from napari_what_where.activations import registry
    from napari_what_where.device import resolve_device

    device = resolve_device(settings.device)
    backbone = given or registry.load_backbone(settings.backbone, **settings.backbone_options)
    backbone.use(device)
    backbone.check_pathway(settings.pathway)
    return backbone


def _check_folder(out: Path) -> None:
    """Make the folder, and a file in it that is gone at once: what stops every file is to be said before the first."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out, prefix="."):
        pass


def _within(report: Report, title: str) -> Report:
    """Stages of one file among many."""
    return lambda progress: report(progress._replace(stage=f"{title}: {progress.stage}"))
