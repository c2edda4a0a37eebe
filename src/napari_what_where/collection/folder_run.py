"""One run over a folder of images: what was done before, the analysis, and all that is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection.earlier import EarlierFiles
from napari_what_where.collection.kept import forget_labels
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
from napari_what_where.collection.settings import CollectionResult, CollectionSettings, ImageResult
from napari_what_where.failures import explain
from napari_what_where.files.encoding import discard, leftovers, plain
from napari_what_where.files.export import output_paths, write_provenance
from napari_what_where.files.formats.coco import telling_folders
from napari_what_where.files.stacks import open_stack
from napari_what_where.progress import Cancelled, Progress, Report

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.collection.answer import CollectionAnalysis
    from napari_what_where.collection.report.types import Report as PageContent

WORKING = ".collection"
"""The folder of what has been done so far, and of what another number of clusters needs, within that of the results."""
_OWN_NAME = "napari-what-where"


class FilePlanes(Sequence[np.ndarray]):
    """The images of files, each read when it is asked for."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths

    def __len__(self) -> int:
        return len(self._paths)

    def __getitem__(self, number: Any) -> Any:
        return open_stack([self._paths[number]]).planes[0]


@dataclass(frozen=True, eq=False)
class FolderRun:
    """One request: ``paths`` become files of ``stems`` in ``out``, by a ``backbone`` that is ready."""

    paths: Sequence[Path]
    stems: Sequence[str]
    out: Path
    settings: CollectionSettings
    title: str
    backbone: Backbone

    @property
    def working(self) -> Path:
        """Where lies what has been done so far, and what stays of it; others may lie beside it."""
        return self.out / WORKING / "analysis"

    @property
    def earlier_files(self) -> EarlierFiles:
        """What runs before left in the folder."""
        return EarlierFiles(self.out, self.out / WORKING, self.paths)

    @property
    def request(self) -> dict[str, Any]:
        """What was asked, as the record has it."""
        images = [{"file": path.name, "stem": stem} for path, stem in zip(self.paths, self.stems, strict=True)]
        made_by = {"versions": {_OWN_NAME: version(_OWN_NAME)}, "model": self.backbone.describe()}
        return dict(plain({**asdict(self.settings), "title": self.title, "images": images, **made_by}))

    @cached_property
    def names(self) -> list[str]:
        """Of all images, as the page has them: of files of one name also the folder that differs."""
        folders = telling_folders(self.paths)
        return [
            f"{folder}/{path.name}" if folder else path.name for folder, path in zip(folders, self.paths, strict=True)
        ]

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

    def earlier(self, report: Report) -> CollectionResult | None:
        """The results of an earlier run of this very request, if all are there."""
        record_path, page = self.out / RECORD, self.out / PAGE
        try:
            record = json.loads(record_path.read_text(encoding="utf-8"))
            if record["request"] != self.request or not (page.is_file() and (self.out / CONTENT).is_dir()):
                return None
            results = []
            for number, told in enumerate(record["images"]):
                report(Progress("comparing with earlier results", number, len(self.paths)))
                found = self._earlier_image(number, told)
                if found is None:
                    return None
                results.append(found)
            remarks = [str(remark) for remark in record.get("remarks", ())]
            return CollectionResult(results, page, record_path, int(record["clusters"]), remarks)
        except (OSError, ValueError, KeyError, TypeError):  # no record of ours
            return None

    def _earlier_image(self, number: int, told: Mapping[str, Any]) -> ImageResult | None:
        """What the record says of an image, if that is so. What could not be written is tried again."""
        path, written = self.paths[number], self.written(number)
        if {"unwritten", "unread"} & told.keys() or told["image"] != self.fingerprint(number):
            return None
        if "failed" in told:
            return ImageResult(path, "failed", told["failed"], ())
        there = all(each.exists() for each in written)
        return ImageResult(path, "skipped", "done before, with the same settings", written) if there else None

    def perform(self, report: Report, on_result: Callable[[ImageResult], None]) -> CollectionResult:
        """Analyse, or go on with it; write everything, the record last. What runs before wrote goes, or is replaced."""
        from napari_what_where.collection.report.write import write_report

        analysis = self._analyze(report)
        results, told = self._replace_all(analysis, report, on_result)
        analysis.save(self.out / PROJECTION)
        unread: dict[int, str] = {}
        write_report(self.out / PAGE, self._summary(analysis, results, unread), tell=report)
        for number, problem in unread.items():
            told[number]["unread"] = problem
        kept = {name: value for name, value in analysis.provenance.items() if name not in ("images", "failures")}
        record = {**kept, "request": self.request, "clusters": analysis.clusters, "images": told}
        write_provenance(self.out / RECORD, record)
        self.earlier_files.end()
        if not any("unwritten" in about for about in told):
            self.tidy()
        remarks = [*analysis.provenance.get("remarks", ()), *self._blanks(unread)]
        return CollectionResult(results, self.out / PAGE, self.out / RECORD, analysis.clusters, remarks)

    def _replace_all(
        self, analysis: CollectionAnalysis, report: Report, on_result: Callable[[ImageResult], None]
    ) -> tuple[list[ImageResult], list[dict[str, Any]]]:
        """Write the files of all images in place of those of earlier runs; what became of each, and its record."""
        good = [number for number in range(len(self.paths)) if number not in analysis.failures]
        before = self.earlier_files.begin()
        self.earlier_files.remove(before, [path.name for number in good for path in self.written(number)])
        (self.out / RECORD).unlink(missing_ok=True)
        for name in (RECORD, PROJECTION, *joined_names(self.settings.formats)):
            for leftover in leftovers(self.out / name):  # of a run that was killed
                discard(leftover)
        results, told = [], []
        for number in range(len(self.paths)):
            report(Progress("writing results", number, len(self.paths)))
            if number not in analysis.failures:
                self.earlier_files.claim(self.written(number), before)
            result, about = self._save(number, analysis)
            results.append(result)
            told.append(about)
            on_result(result)
        # Also of what could not be written.
        self.earlier_files.remove(before, [path.name for each in results for path in each.written])
        self.earlier_files.claim([self.out / name for name in joined_names(self.settings.formats)], before)
        join_annotations(self.out, self.settings.formats, [(each.path, each.written) for each in results])
        return results, told

    def tidy(self) -> None:
        """Leave of what has been done no more than another number of clusters needs, which then takes no model."""
        self.earlier_files.end()
        forget_labels(self.working)

    def _analyze(self, report: Report) -> CollectionAnalysis:
        from napari_what_where.collection.analysis import analyze_collection

        options = {**self.settings.analyze_options(), "backbone": self.backbone, "backbone_options": None}
        images = FilePlanes(self.paths)
        try:
            return analyze_collection(images, **options, folder=self.working, skip_bad=True, warn=False, report=report)
        except ValueError:
            self._check_readable()
            raise

    def _check_readable(self) -> None:
        """``ValueError`` that says why where no image can be read at all."""
        problems = [self.fingerprint(number).get("problem") for number in range(len(self.paths))]
        if all(problems):
            raise ValueError(f"None of the images can be analysed. {self.paths[0]}: {problems[0]}") from None

    def _summary(
        self, analysis: CollectionAnalysis, results: Sequence[ImageResult], unread: dict[int, str]
    ) -> PageContent:
        """What the page says; ``unread`` is to hold, by number, why an image cannot be read when it is drawn."""
        from napari_what_where.collection.summary import summarise
        from napari_what_where.image import check_image

        planes = FilePlanes(self.paths)

        def read(number: int) -> np.ndarray:
            try:
                return check_image(planes[number])
            except Exception as problem:
                unread[number] = explain(problem)
                raise

        links = {
            number: {what: path.name for what, path in self._named(result.written)}
            for number, result in enumerate(results)
        }
        return summarise(
            analysis,
            self.names,
            title=self.title,
            read=read,
            links=links,
            failures={number: each.message for number, each in enumerate(results) if each.status == "failed"},
            files={"how it was made": RECORD, "to apply it to other images": PROJECTION},
        )

    def _blanks(self, unread: Mapping[int, str]) -> list[str]:
        return [f"{self.names[n]} is blank in the report: {problem}" for n, problem in sorted(unread.items())]

    def _named(self, written: Sequence[Path]) -> list[tuple[str, Path]]:
        """The files of an image with what they are."""
        formats = self.settings.formats
        labels = ["kinds"] if len(formats) == 1 else [f"kinds as {name}" for name in formats]
        return list(zip([*labels, "eigenvectors", "record"], written, strict=False))

    def _save(self, number: int, analysis: CollectionAnalysis) -> tuple[ImageResult, dict[str, Any]]:
        """Write the files of an image, unless they are there; what became of it, and what the record says of it."""
        path, written = self.paths[number], self.written(number)
        about = {"file": path.name, "stem": self.stems[number], "image": self.fingerprint(number)}
        if number in analysis.failures:
            problem = analysis.failures[number]
            return ImageResult(path, "failed", problem, ()), {**about, "failed": problem}
        try:
            files = ImageFiles(open_stack([path]), path.name, about, written, self.settings.formats)
            shares = save_image(files, number, analysis)
        except Cancelled:
            raise
        except Exception as error:  # one image that cannot be written does not stop the rest
            return ImageResult(path, "failed", explain(error), ()), {**about, "unwritten": explain(error)}
        present = sum(share > 0 for share in shares)
        message = f"{present} {'kind' if present == 1 else 'kinds'}"
        return ImageResult(path, "done", message, written), {**about, "shares": shares}
