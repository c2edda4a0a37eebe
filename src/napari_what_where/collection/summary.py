"""What was found in a collection, as a report for people who will not read a paper."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection.answer import OnDemand
from napari_what_where.collection.report.types import LayerEnergy, Report, ReportImage

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis

_PATHWAYS = {
    "what": "what: things that look alike, wherever they lie",
    "where": "where: parts of images that are laid out alike",
    "both": "what and where: what things look like and how they are laid out, weighing the same",
}
_METHODS = {
    "streaming": "streaming: statistics of all images, solved exactly",
    "gradient": "gradient: the published method, by gradient descent",
}


def summarise(
    analysis: CollectionAnalysis,
    names: Sequence[str],
    *,
    title: str,
    read: Callable[[int], np.ndarray],
    links: Mapping[int, Mapping[str, str]] | None = None,
    failures: Mapping[int, str] | None = None,
    files: Mapping[str, str] | None = None,
) -> Report:
    """The report of a collection.

    Parameters
    ----------
    analysis : CollectionAnalysis
    names : of all images, those that failed too; it helps if they differ
    title : of the page
    read : gives the pixels of an image by its number
    links : by number of an image, what its files are, and their paths from the page on
    failures : by number of an image, one line; by default those of the analysis
    files : of all images together: what they are, and their paths
    """
    failed = dict(analysis.failures if failures is None else failures)
    good = [number for number in range(len(names)) if number not in failed]

    def image(index: int) -> ReportImage:
        number = good[index]
        return image_of(analysis, number, names[number], lambda: read(number), (links or {}).get(number, {}))

    record = analysis.provenance
    return Report(
        title,
        OnDemand(len(good), image),
        analysis.clusters,
        analysis.values,
        [
            LayerEnergy(each["name"], float(each["kept_energy"]), int(each["rank"]), int(each["width"]))
            for each in record.get("layers") or []
            if each.get("kept_energy") is not None
        ],
        [(names[number], reason) for number, reason in sorted(failed.items())],
        _facts(record, len(good)),
        record.get("remarks") or [],
        _made(record),
        files or {},
    )


def image_of(
    analysis: CollectionAnalysis,
    number: int,
    name: str,
    read: Callable[[], np.ndarray],
    files: Mapping[str, str] | None = None,
) -> ReportImage:
    """One image of a collection, read from where it is kept; kinds are compared where they were told apart."""
    from napari_what_where.segments.shared import shared_coordinates

    embedding = analysis.embeddings[number]
    points = shared_coordinates(embedding).T.reshape(-1, *embedding.grid)
    return ReportImage(name, analysis.labels[number], embedding.vectors, points, read, files or {})


def _facts(record: Mapping[str, Any], images: int) -> list[tuple[str, str]]:
    options = record["options"]
    asked = options["clusters"]
    facts = [
        ("Images", f"{images:,}, analysed together"),
        ("Model", str(options["backbone"])),
        *((f"Model's {name.replace('_', ' ')}", _words(value)) for name, value in options["backbone_options"].items()),
        ("Pathway", _PATHWAYS.get(options["pathway"], str(options["pathway"]))),
        ("Method", _METHODS.get(options["method"], str(options["method"]))),
        ("Eigenvectors", f"{len(record['eigenvalues'])}"),
        ("Kinds", f"{record['clusters']}, {'chosen automatically' if asked == 'auto' else 'as asked for'}"),
        ("Edges", "kinds follow the edges and colours of each image" if options["follow_edges"] else "not followed"),
        ("Computed on", "the processor (CPU)" if options["device"] == "cpu" else str(options["device"])),
        ("Seed", str(options["seed"])),
        ("Versions", ", ".join(f"{name} {number}" for name, number in record["versions"].items())),
    ]
    smallest = options.get("smallest_object")
    if smallest is not None:
        facts.insert(6, ("Smallest object", f"{smallest:g} pixels across"))
    bound = record.get("error_bound")
    if bound is not None and bound > 0:
        facts.insert(6, ("Left out", f"eigenvalues are at most {bound:.2g} from those with nothing left out"))
    return facts


def _words(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _made(record: Mapping[str, Any]) -> str:
    """When, and how long it took."""
    seconds = float((record.get("seconds") or {}).get("in all", 0.0))
    spent = f"{seconds:.1f} seconds" if seconds < 100 else f"{seconds / 60:.0f} minutes"
    at = datetime.fromisoformat(record["made_at"])
    return f"Analysed on {at.day} {at:%B %Y at %H:%M %Z} in {spent}, by napari-what-where."
