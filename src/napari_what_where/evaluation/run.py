"""The loop over a data set: each image measured once, kept on disk, taken over by a later run of the same options."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_what_where.progress import Cancelled, Progress, Report, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.evaluation.datasets.types import DataSet, Sample
    from napari_what_where.evaluation.segmenters import Segmenter


@dataclass
class Evaluation:
    """What one run has measured.

    ``records``: of the images that could be measured, in the data set's order; ``failures``: the exception of each
    image that could not; ``taken_over``: how many records an earlier run had left.
    """

    measures: tuple[str, ...]
    records: list[dict[str, Any]] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    taken_over: int = 0


def choose_measures(dataset: DataSet, segmenter: Segmenter, asked: Sequence[str] | None = None) -> tuple[str, ...]:
    """The groups of measures to take: those asked for, else the data set's usual ones that the segmenter allows.

    Raises ``ValueError`` for one that truth or segmentations do not allow, ``ModuleNotFoundError`` where
    pycocotools is needed and missing.
    """
    possible = [name for name in dataset.measures if name in segmenter.measures]
    chosen = tuple(asked) if asked is not None else tuple(name for name in dataset.usual if name in possible)
    impossible = [name for name in chosen if name not in possible]
    if impossible or not chosen:
        raise ValueError(
            f"The measures asked for are {', '.join(chosen) or 'none'}; this data set and these segmentations allow "
            f"{', '.join(possible) or 'none'}."
        )
    if "instances" in chosen:
        from napari_what_where.evaluation.instances import require_pycocotools

        require_pycocotools()
    return tuple(dict.fromkeys(chosen))


def evaluate(
    dataset: DataSet,
    segmenter: Segmenter,
    out: str | os.PathLike[str],
    *,
    measures: Sequence[str] | None = None,
    limit: int | None = None,
    report: Report = ignore_progress,
    on_failure: Callable[[str, Exception], None] | None = None,
) -> Evaluation:
    """Measure a data set, or its first ``limit`` images, and leave one JSON an image in ``out/images``.

    A record of an earlier run is taken over if options, versions, code and the files it was made of are the same;
    records are written whole or not at all, so a run that was interrupted, by whatever, is resumed by its repetition.
    ``report`` is called between images and from within the segmenter, and may raise to stop; ``on_failure`` is told
    each image that could not be measured. Raises as :func:`choose_measures`.
    """
    from napari_what_where.evaluation.scoring import measure_sample
    from napari_what_where.files.export import write_provenance

    evaluation = Evaluation(choose_measures(dataset, segmenter, measures))
    samples = list(dataset.samples)[:limit]
    common = _signature(dataset, segmenter, evaluation.measures)
    for index, sample in enumerate(samples):
        place = Progress("images", index, len(samples))
        report(place)
        path = Path(out, "images", f"{sample.name}.json")
        try:
            signature = common | {"files": _stamps(sample, segmenter)}
            record = _earlier(path, signature)
            evaluation.taken_over += record is not None
            if record is None:
                record = measure_sample(sample, segmenter, evaluation.measures, _within(report, place))
                write_provenance(path, {"signature": signature} | record)
        except Cancelled:
            raise
        except Exception as problem:  # one bad image does not stop the rest, whatever is bad about it
            evaluation.failures[sample.name] = problem
            if on_failure is not None:
                on_failure(sample.name, problem)
            continue
        evaluation.records.append(record)
    report(Progress("images", len(samples), len(samples)))
    return evaluation


def _within(report: Report, place: Progress) -> Report:
    """What happens within one image, told as the place of that image in the whole."""
    return lambda _: report(place)


def _earlier(path: Path, signature: Mapping[str, Any]) -> dict[str, Any] | None:
    """The record of an earlier run, if there is a whole one of the same signature."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(record, dict) and record.get("signature") == json.loads(json.dumps(signature))
    return record if same else None


def _signature(dataset: DataSet, segmenter: Segmenter, measures: Sequence[str]) -> dict[str, Any]:
    return {
        "dataset": {"name": dataset.name, **dataset.options},
        "segmentations": segmenter.describe(),
        "measures": list(measures),
        "versions": versions(),
        "code": _code_digest(),
    }


def _stamps(sample: Sample, segmenter: Segmenter) -> dict[str, list[int]]:
    """Size and time of change of every file that a record is made of."""
    paths = {path.resolve() for path in (*sample.sources, *segmenter.sources(sample))}
    states = {str(path): path.stat() for path in sorted(paths) if path.exists()}
    return {name: [state.st_size, state.st_mtime_ns] for name, state in states.items()}


def versions() -> dict[str, str]:
    """Versions of this package and of those that figures depend on, and the system."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for package in ("napari-what-where", "torch", "numpy", "scipy", "scikit-image", "pycocotools"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _code_digest() -> str:
    """A digest of this package's source: while it is worked on, its version stays and its figures change."""
    root, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
