"""Many image files with one set of settings: resumable, one bad image never stops the rest.

A file counts as done when all its results are there and its record (STEM.json) names the same request and the same
image. The image is known by the SHA-256 of its pixels, so a run that is taken up again reads every file: modification
times are wrong after copies, on some disks to two seconds and on some networks by hours, and reading is a small part
of an analysis. Before results are replaced their record goes, and the new one is moved to its place last: a run killed
at any moment leaves no record of what is not there.
"""

from __future__ import annotations

import json
import os
import shlex
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from napari_what_where.failures import explain
from napari_what_where.files.encoding import leftovers, plain
from napari_what_where.files.export import output_paths, parse_formats, save_analysis
from napari_what_where.files.filenames import find_images, plan_stems
from napari_what_where.files.indexing import Select, format_select
from napari_what_where.files.reading import ImageFile, read_plane
from napari_what_where.progress import Cancelled, Progress, Report, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone

__all__ = ["BatchSettings", "FileResult", "as_command", "find_images", "plan_stems", "ready_backbone", "run_batch"]

Status = Literal["done", "skipped", "failed"]
_OWN_NAME = "napari-what-where"


@dataclass(frozen=True)
class BatchSettings:
    """All that decides the results of an image, ready for JSON: ``BatchSettings(**asdict(settings)) == settings``.

    ``segments``: a number or "auto"; ``smallest_object``: diameter in pixels of the image; ``objects``: find them, too;
    ``formats``: of labels, see :func:`~napari_what_where.files.export.parse_formats`. The others as
    :func:`~napari_what_where.analyze` has them. Raises ``ValueError`` for settings that are none.
    """

    backbone: str = "filters"
    pathway: str = "what"
    count: int = 16
    normalization: str = "degree"
    device: str = "auto"
    follow_edges: bool = True
    seed: int = 0
    smallest_object: float | None = None
    segments: int | Literal["auto"] = "auto"
    objects: bool = False
    formats: tuple[str, ...] = ("tiff",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", parse_formats(self.formats))
        if self.segments != "auto" and not (isinstance(self.segments, int) and self.segments >= 1):
            raise ValueError(f'segments is {self.segments!r}; expected a whole number from 1 on, or "auto".')
        if self.smallest_object is not None and not 0 < self.smallest_object < float("inf"):
            raise ValueError(f"smallest_object is {self.smallest_object!r}; expected a diameter in pixels, or None.")

    def analyze_options(self) -> dict[str, Any]:
        """What :func:`~napari_what_where.analyze` is called with."""
        after = ("segments", "objects", "formats")
        return {name: value for name, value in asdict(self).items() if name not in after}


class FileResult(NamedTuple):
    """What became of one file.

    ``message``: one line, for a failure what to do about it; ``written``: the files of its results, also of those
    that were there already; ``seconds``: spent on it.
    """

    path: Path
    status: Status
    message: str
    written: tuple[Path, ...]
    seconds: float


def run_batch(
    files: Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    settings: BatchSettings,
    *,
    select: Select | None = None,
    channel_axis: int | None = None,
    resume: bool = True,
    backbone: Backbone | None = None,
    report: Report = ignore_progress,
    on_result: Callable[[FileResult], None] | None = None,
) -> list[FileResult]:
    """Segment each file and save labels, eigenvectors, record and, if asked for, objects in the folder ``out``.

    Parameters
    ----------
    files : paths
        Two of one stem get STEM and STEM-2, see :func:`plan_stems`.
    out : path
        Folder; made if missing.
    settings : BatchSettings
    select, channel_axis
        What part of each file, see :func:`~napari_what_where.files.indexing.select_plane`; by default all of it.
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
        For what concerns all files: a backbone or a device that is not there, a folder that cannot be written to.
        What is wrong with one image is in its result.
    """
    plan = plan_stems(files, out, settings.formats, objects=settings.objects)
    _check_folder(Path(out))
    run = _Run(Path(out), settings, ready_backbone(settings, backbone), select, channel_axis, resume)
    results = []
    for number, (path, stem) in enumerate(plan):
        title = f"file {number + 1}/{len(plan)} {stem}"
        report(Progress(title, number, len(plan)))
        results.append(run.segment(path, stem, _within(report, title)))
        if on_result is not None:
            on_result(results[-1])
    return results


def as_command(
    path: str | os.PathLike[str],
    settings: BatchSettings,
    out: str | os.PathLike[str] = ".",
    select: Select | None = None,
    channel_axis: int | None = None,
) -> str:
    """The command that segments ``path`` with these settings, bit for bit the same, quoted for a POSIX shell."""
    file = os.fspath(path)
    words = ["what-where", "segment", file if not file.startswith("-") else os.path.join(".", file)]
    words += [f"--out={os.fspath(out)}", f"--backbone={settings.backbone}", f"--pathway={settings.pathway}"]
    words += [f"--segments={settings.segments}", f"--count={settings.count}"]
    if settings.smallest_object is not None:
        words.append(f"--smallest-object={settings.smallest_object!r}")
    words += [f"--normalization={settings.normalization}", f"--seed={settings.seed}", f"--device={settings.device}"]
    words += [] if settings.follow_edges else ["--no-edges"]
    words += ["--objects"] if settings.objects else []
    words += [f"--format={','.join(settings.formats)}"]
    words += [] if select is None else [f"--select={format_select(select)}"]
    words += [] if channel_axis is None else [f"--channel-axis={channel_axis}"]
    return shlex.join(words)


@dataclass(frozen=True)
class _Run:
    """What all files of a run share."""

    out: Path
    settings: BatchSettings
    backbone: Backbone
    select: Select | None
    channel_axis: int | None
    resume: bool

    def segment(self, path: Path, stem: str, report: Report) -> FileResult:
        """Read, analyse and save one image, unless that has been done."""
        started = time.perf_counter()
        paths = output_paths(self.out, stem, self.settings.formats, objects=self.settings.objects)
        written = tuple(paths)
        status: Status = "done"
        try:
            image = read_plane(path, self.select, self.channel_axis)
            if self.resume and self._is_done(paths, image):
                status, message = "skipped", "done before, with the same settings"
            else:
                message = self._analyze_and_save(path, image, stem, paths, report)
        except Cancelled:
            raise
        except Exception as problem:  # one bad image does not stop the rest, whatever is bad about it
            written, status, message = (), "failed", explain(problem)
        return FileResult(path, status, message, written, time.perf_counter() - started)

    @property
    def _request(self) -> dict[str, Any]:
        """What was asked of an image, as its record has it."""
        select = None if self.select is None else format_select(self.select)
        return plain({**asdict(self.settings), "select": select, "channel_axis": self.channel_axis})

    def _is_done(self, paths: Sequence[Path], image: ImageFile) -> bool:
        from napari_what_where.image import check_image
        from napari_what_where.pipeline import describe_image

        if not all(path.is_file() for path in paths):
            return False
        try:
            record = json.loads(paths[-1].read_text(encoding="utf-8"))
            same = record["request"] == self._request and record["versions"][_OWN_NAME] == version(_OWN_NAME)
            return bool(
                same
                and record["pixel_size"] == _describe_scale(image)
                and record["image"] == describe_image(check_image(image.pixels))
            )
        except (ValueError, KeyError, TypeError):  # no record of ours
            return False

    def _analyze_and_save(self, path: Path, image: ImageFile, stem: str, paths: Sequence[Path], report: Report) -> str:
        """Returns what was found, in words."""
        from napari_what_where.pipeline import analyze
        from napari_what_where.segments.objects.find import find_objects

        settings = self.settings
        analysis = analyze(image.pixels, **{**settings.analyze_options(), "backbone": self.backbone}, report=report)
        analysis = replace(analysis, provenance={**analysis.provenance, "request": self._request})
        objects = find_objects(analysis, report=report) if settings.objects else None
        with _without_record(paths):
            save_analysis(
                analysis,
                self.out,
                stem,
                objects=objects,
                segments=settings.segments,
                formats=settings.formats,
                pixel_size=image.pixel_size,
                units=image.units,
                source=path.name,
            )
        for leftover in (each for path in paths for each in leftovers(path)):
            leftover.unlink(missing_ok=True)
        found = len(set(analysis.tree.leaf_labels(settings.segments).tolist()))
        return f"{found:,} segments" + ("" if objects is None else f", {int(objects.max()):,} objects")


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


def _describe_scale(image: ImageFile) -> dict[str, Any] | None:
    """The size of a pixel as a record has it."""
    size = image.pixel_size
    return None if size is None else {"rows": size[0], "columns": size[1], "units": image.units}


def ready_backbone(settings: BatchSettings, given: Backbone | None = None) -> Backbone:
    """The backbone, able to give the pathway, and a device that is there; else an exception that says so."""
    from napari_what_where.activations.registry import load_backbone
    from napari_what_where.device import resolve_device

    resolve_device(settings.device)
    backbone = given or load_backbone(settings.backbone)
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
