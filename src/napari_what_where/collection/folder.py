"""A folder of files → one label for one thing in all of them, on disk: resumable, a bad image never stops the rest.

What a run has done so far lies in a hidden folder beside its results, and goes when all is written. A run is complete
when its record (collection.json), which is written last, names the same request and the same images, and all files are
there. As elsewhere, an image is known by the SHA-256 of its pixels.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from napari_what_where.collection.outputs import (
    CONTENT,
    PAGE,
    PROJECTION,
    RECORD,
    ImageFiles,
    join_annotations,
    joined_names,
    save_image,
)
from napari_what_where.failures import Explained, explain
from napari_what_where.files.encoding import discard, leftovers, plain
from napari_what_where.files.export import output_paths, write_provenance
from napari_what_where.files.filenames import find_images, plan_stems
from napari_what_where.files.formats.registry import parse_formats
from napari_what_where.files.stacks import open_stack
from napari_what_where.progress import Cancelled, Progress, Report, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.collection.report.types import Report as PageContent

__all__ = ["CollectionResult", "CollectionSettings", "ImageResult", "find_images", "run_collection"]

Name = str | os.PathLike[str]
WORKING = ".collection"
"""The folder of what has been done so far, within that of the results."""
_OWN_NAME = "napari-what-where"


@dataclass(frozen=True)
class CollectionSettings:
    """All that decides the results of a collection, ready for JSON.

    ``formats``: of labels, see :func:`~napari_what_where.files.formats.registry.parse_formats`. The others as
    :func:`~napari_what_where.analyze_collection` has them. Raises ``ValueError`` for formats that are none.
    """

    backbone: str = "filters"
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    pathway: str = "what"
    count: int = 16
    clusters: int | Literal["auto"] = 8
    method: str = "streaming"
    device: str = "auto"
    follow_edges: bool = True
    seed: int = 0
    formats: tuple[str, ...] = ("tiff",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", parse_formats(self.formats))
        object.__setattr__(self, "backbone_options", plain(dict(self.backbone_options)))

    def analyze_options(self) -> dict[str, Any]:
        """What :func:`~napari_what_where.analyze_collection` is called with."""
        return {name: value for name, value in asdict(self).items() if name != "formats"}


class ImageResult(NamedTuple):
    """What became of one image.

    ``message``: one line, what it is made of, or for a failure what to do about it; ``written``: its files, also those
    that were there already.
    """

    path: Path
    status: Literal["done", "skipped", "failed"]
    message: str
    written: tuple[Path, ...]


class CollectionResult(NamedTuple):
    """What became of a collection: of each image, and the files of all of them together; ``clusters``: how many."""

    images: list[ImageResult]
    page: Path
    record: Path
    clusters: int


def run_collection(
    files: Sequence[Name],
    out: Name,
    settings: CollectionSettings,
    *,
    title: str | None = None,
    resume: bool = True,
    backbone: Backbone | None = None,
    report: Report = ignore_progress,
    on_result: Callable[[ImageResult], None] | None = None,
) -> CollectionResult:
    """Analyse all files together; save labels, eigenvectors and a record of each, and a page that shows all.

    In the folder ``out``: STEM_labels.EXT, STEM_eigenvectors.tif and STEM.json of each image, as
    :func:`~napari_what_where.batch.run_batch` writes them; report.html with its pictures, collection.json and
    projection.pt, which applies what was found to other images. In COCO's formats also one file of all images.

    Parameters
    ----------
    files : paths
        Each holds one image; two of one stem get STEM and STEM-2, see
        :func:`~napari_what_where.files.filenames.plan_stems`.
    out : path
        Folder; made if missing.
    settings : CollectionSettings
    title : str, optional
        Of the page; by default the name of the folder that the first file is in.
    resume : bool
        Go on from where an earlier run of the same request was stopped, and do nothing where all is there. Off, begin
        anew.
    backbone : Backbone, optional
        The one that the settings name, where the caller has it loaded.
    report : function of a Progress
        Stages are those of :func:`~napari_what_where.analyze_collection`, then "writing results" and "report". What it
        raises, ``Cancelled`` for instance, ends the run, which may be taken up again.
    on_result : function of an ImageResult
        Called when an image is written, or has failed, in order.

    Raises
    ------
    ValueError, TypeError, OSError
        For what concerns all images: no files, none that could be analysed, a backbone or a device that is not there,
        a folder that cannot be written to. What is wrong with one image is in its result.
    Explained
        Another run is at work in that folder.
    """
    run = _plan(files, Path(out), settings, title, backbone)
    with _alone(run.working):
        if not resume:
            discard(run.working / "analysis")
            (run.out / RECORD).unlink(missing_ok=True)
        found = run.earlier() if resume else None
        tell = on_result or (lambda result: None)
        if found is None:
            found = run.perform(report, tell)
        else:
            for result in found.images:
                tell(result)
    discard(run.working)
    return found


def _plan(
    files: Sequence[Name], out: Path, settings: CollectionSettings, title: str | None, backbone: Backbone | None
) -> _Run:
    """Everything that can be said before the work begins."""
    from napari_what_where.activations import registry
    from napari_what_where.device import resolve_device

    paths = [Path(file) for file in files]
    if not paths:
        raise ValueError("Received no images; expected at least one.")
    device = resolve_device(settings.device)
    model = backbone or registry.load_backbone(settings.backbone, **settings.backbone_options)
    model.use(device)
    model.check_pathway(settings.pathway)
    reserved = [RECORD, PAGE, PROJECTION, *joined_names(settings.formats)]
    stems = [stem for _, stem in plan_stems(paths, out, settings.formats, reserved=reserved)]
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=out, prefix="."):  # what stops every image is to be said before the first
        pass
    return _Run(paths, stems, out, settings, title or paths[0].absolute().parent.name, model)


@contextmanager
def _alone(working: Path) -> Iterator[None]:
    """Within the block no other process works in the folder."""
    from filelock import FileLock, Timeout

    working.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(working / "lock", timeout=0)
        lock.acquire()
    except Timeout:
        raise Explained(f"Another run is at work in {working.parent}. Wait for it, or choose another folder.") from None
    try:
        yield
    finally:
        lock.release()


class FilePlanes(Sequence[np.ndarray]):
    """The images of files, each read when it is asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        return open_stack([self._paths[number]]).planes[0]


@dataclass(frozen=True, eq=False)
class _Run:
    """One request: which files become what, where, and how."""

    paths: Sequence[Path]
    stems: Sequence[str]
    out: Path
    settings: CollectionSettings
    title: str
    backbone: Backbone

    @property
    def working(self) -> Path:
        return self.out / WORKING

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, as the record has it."""
        images = [{"file": path.name, "stem": stem} for path, stem in zip(self.paths, self.stems, strict=True)]
        made_by = {"versions": {_OWN_NAME: version(_OWN_NAME)}, "model": self.backbone.describe()}
        return dict(plain({**asdict(self.settings), "title": self.title, "images": images, **made_by}))

    def written(self, number: int) -> tuple[Path, ...]:
        """The files of an image."""
        return tuple(output_paths(self.out, self.stems[number], self.settings.formats))

    def fingerprint(self, number: int) -> dict[str, Any]:
        """What tells an image from others; what cannot be read is told by what is wrong with it."""
        from napari_what_where.image import check_image, describe_image

        try:
            return describe_image(check_image(open_stack([self.paths[number]]).planes[0]))
        except Exception as problem:  # whatever is bad about it
            return {"problem": explain(problem)}

    def earlier(self) -> CollectionResult | None:
        """The results of an earlier run of this very request, if all are there."""
        record_path, page = self.out / RECORD, self.out / PAGE
        try:
            record = json.loads(record_path.read_text(encoding="utf-8"))
            if record["request"] != self.request or not (page.is_file() and (self.out / CONTENT).is_dir()):
                return None
            results = []
            for number, told in enumerate(record["images"]):
                failed = "failed" in told
                if not (failed or all(path.exists() for path in self.written(number))):
                    return None
                if told["image"] != self.fingerprint(number):
                    return None
                message = told["failed"] if failed else "done before, with the same settings"
                written = () if failed else self.written(number)
                results.append(ImageResult(self.paths[number], "failed" if failed else "skipped", message, written))
            return CollectionResult(results, page, record_path, int(record["clusters"]))
        except (OSError, ValueError, KeyError, TypeError):  # no record of ours
            return None

    def perform(self, report: Report, on_result: Callable[[ImageResult], None]) -> CollectionResult:
        """Analyse, or go on with it; write everything, the record last."""
        from napari_what_where.collection.analysis import analyze_collection
        from napari_what_where.collection.report.write import write_report

        options = {**self.settings.analyze_options(), "backbone": self.backbone, "backbone_options": None}
        images = FilePlanes(self.paths)
        try:
            analysis = analyze_collection(
                images, **options, folder=self.working / "analysis", skip_bad=True, report=report
            )
        except ValueError:
            self._check_readable()
            raise
        (self.out / RECORD).unlink(missing_ok=True)
        for name in (RECORD, PROJECTION, *joined_names(self.settings.formats)):
            for leftover in leftovers(self.out / name):  # of a run that was killed
                discard(leftover)
        results, told = [], []
        for number in range(len(self.paths)):
            report(Progress("writing results", number, len(self.paths)))
            result, about = self._save(number, analysis)
            results.append(result)
            told.append(about)
            on_result(result)
        join_annotations(self.out, self.settings.formats, [(each.path, each.written) for each in results])
        analysis.save(self.out / PROJECTION)
        write_report(self.out / PAGE, self._summary(analysis, results), tell=report)
        kept = {name: value for name, value in analysis.provenance.items() if name not in ("images", "failures")}
        record = {**kept, "request": self.request, "clusters": analysis.clusters, "images": told}
        write_provenance(self.out / RECORD, record)
        return CollectionResult(results, self.out / PAGE, self.out / RECORD, analysis.clusters)

    def _check_readable(self) -> None:
        """``ValueError`` that says why where no image can be read at all."""
        problems = [self.fingerprint(number).get("problem") for number in range(len(self.paths))]
        if all(problems):
            raise ValueError(f"None of the images can be analysed. {self.paths[0]}: {problems[0]}") from None

    def _summary(self, analysis: CollectionAnalysis, results: Sequence[ImageResult]) -> PageContent:
        from napari_what_where.collection.summary import summarise

        links = {
            number: {what: path.name for what, path in self._named(result.written)}
            for number, result in enumerate(results)
        }
        return summarise(
            analysis,
            [path.name for path in self.paths],
            title=self.title,
            read=FilePlanes(self.paths).__getitem__,
            links=links,
            failures={number: each.message for number, each in enumerate(results) if each.status == "failed"},
            files={"how it was made": RECORD, "to apply it to other images": PROJECTION},
        )

    def _named(self, written: Sequence[Path]) -> list[tuple[str, Path]]:
        """The files of an image with what they are."""
        formats = self.settings.formats
        labels = ["clusters"] if len(formats) == 1 else [f"clusters as {name}" for name in formats]
        return list(zip([*labels, "eigenvectors", "record"], written, strict=False))

    def _save(self, number: int, analysis: CollectionAnalysis) -> tuple[ImageResult, dict[str, Any]]:
        """Write the files of an image, unless they are there; what became of it, and what the record says of it."""
        path, written = self.paths[number], self.written(number)
        about = {"file": path.name, "stem": self.stems[number], "image": self.fingerprint(number)}
        problem = analysis.failures.get(number)
        if problem is None:
            try:
                files = ImageFiles(open_stack([path]), path.name, about, written, self.settings.formats)
                shares = save_image(files, number, analysis)
                present = sum(share > 0 for share in shares)
                message = f"{present} {'cluster' if present == 1 else 'clusters'}"
                return ImageResult(path, "done", message, written), {**about, "shares": shares}
            except Cancelled:
                raise
            except Exception as error:  # one image that cannot be written does not stop the rest
                problem = explain(error)
        return ImageResult(path, "failed", problem, ()), {**about, "failed": problem}
