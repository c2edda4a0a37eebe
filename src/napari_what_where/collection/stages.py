"""The stages of a collection's analysis, each kept when it is complete: embeddings, clusters, labels.

So whatever stops a run, the model sees no image twice, and another number of clusters takes no model.
"""

from __future__ import annotations

import json
import time
import zipfile
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection import kept as files
from napari_what_where.collection.answer import CollectionAnalysis, OnDemand, Projector
from napari_what_where.collection.kept import Kept
from napari_what_where.collection.methods import descend, project
from napari_what_where.files.encoding import atomic_path, plain
from napari_what_where.pipeline import package_versions
from napari_what_where.progress import Progress, checkpoints

if TYPE_CHECKING:
    from napari_what_where.collection.passes import Passes
    from napari_what_where.embedding.collection.projection import Projection
    from napari_what_where.embedding.types import Embedding
    from napari_what_where.segments.tree import RegionTree

METHODS = {"streaming": project, "gradient": descend}
"""From the passes over a collection, and options, to what was found in it."""
Found = tuple[dict[str, Any], "Projection | None"]
"""What is recorded of the embeddings, and what applies them to other images."""


def run_stages(passes: Passes, options: dict[str, Any], folder: Path) -> CollectionAnalysis:
    """Analyse a collection, or go on with it, or find it again. ``options``: all that decides the answer, as JSON."""
    started = time.perf_counter()
    place = Kept.of(folder, options)
    files.sweep(folder)
    found = _earlier_embeddings(passes, options, place)
    if found is None:
        found = _embed(passes, options, place)
    elif (finished := _earlier_labels(passes, options, place)) is not None:
        return finished
    analysis = _cluster(passes, {**found[0], "options": options}, found[1], place)
    _label(passes, analysis, place)
    seconds = {"in all": round(time.perf_counter() - started, 3)}
    record = plain({**analysis.provenance, "made_at": _now(), "seconds": seconds})
    with atomic_path(place.record) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    passes.spool.clear()
    return replace(analysis, provenance=record)


# Embeddings


def _embed(passes: Passes, options: dict[str, Any], place: Kept) -> Found:
    """Find the eigenvectors, and write those of each image."""
    from napari_what_where.collection.saving import write_found

    passes.fit_scale()
    found = METHODS[options["method"]](passes, options)
    files.forget(place.folder)
    for number, embedding in zip(passes.good, found.embeddings, strict=True):
        files.write_embedding(place.embedding(number), embedding)
    record = {
        "made_by": "napari-what-where",
        "versions": package_versions(),
        "options": files.before_clusters(options),
        "model": passes.backbone.describe(),
        "images": _signatures(passes),
        "failures": {str(number): text for number, text in passes.failures.items()},
        "eigenvalues": found.values.tolist(),
        "sharp_eigenvalues": found.sharp_values.tolist(),
        "error_bound": found.error_bound,
        "layers": found.layers,
        "remarks": [*passes.remarks(), *_fewer(found.values, options["count"])],
        **found.details,
    }
    record = plain(record)
    write_found(place.found, record, found.projection)
    return record, found.projection


def _fewer(values: np.ndarray, count: int) -> list[str]:
    """What there is to say where there are fewer eigenvectors than were asked for."""
    if values.ndim == 0 or len(values) >= count:
        return []
    return [f"Only {len(values)} eigenvectors of the {count} asked for: the model tells no more apart in these images."]


def _earlier_embeddings(passes: Passes, options: dict[str, Any], place: Kept) -> Found | None:
    """What an earlier run found in the same images with the same options, but for those of clusters."""
    from napari_what_where.collection.saving import read_found

    found = read_found(place.found)
    if found is None:
        return None
    record = found[0]
    wanted = {
        "options": files.before_clusters(options),
        "model": plain(passes.backbone.describe()),
        "versions": package_versions(),
    }
    if any(record[name] != each for name, each in wanted.items()) or len(record["images"]) != len(passes.images):
        return None
    passes.sign_all()
    if _signatures(passes) != record["images"]:
        return None
    failures = {int(number): text for number, text in record["failures"].items()}
    if not _all_there(place.embedding(number) for number in range(len(passes.images)) if number not in failures):
        return None
    passes.failures.update(failures)
    return found


def _all_there(paths: Iterable[Path]) -> bool:
    """Whether nobody has removed any of the files that others vouch for."""
    return all(path.is_file() for path in paths)


def _signatures(passes: Passes) -> list[str]:
    """One for each image; of those that cannot be read an empty one."""
    return [passes.signatures.get(number, "") for number in range(len(passes.images))]


# Clusters and labels


def _earlier_labels(passes: Passes, options: dict[str, Any], place: Kept) -> CollectionAnalysis | None:
    """A run that was finished, of the embeddings that are there."""
    try:
        record = json.loads(place.record.read_text(encoding="utf-8"))
        if record["options"] != options:
            return None
    except (OSError, ValueError, KeyError, TypeError):  # nothing there, or nothing of ours
        return None
    if not _all_there(path(number) for number in passes.good for path in (place.labels, place.regions)):
        return None
    saved = _saved(passes, place)
    return None if saved is None else replace(saved, provenance=record)


def _cluster(passes: Passes, record: dict[str, Any], projection: Projection | None, place: Kept) -> CollectionAnalysis:
    """Cluster all images together, unless that is done; the answer, whose labels are not there yet."""
    from napari_what_where.segments.shared import fit_clusters

    saved = _saved(passes, place)
    if saved is not None:
        return saved
    options, good = record["options"], passes.good
    embeddings = OnDemand(len(good), lambda n: files.read_embedding(place.embedding(good[n]), record))
    passes.report(starting := Progress("clusters", 0, 0))
    with checkpoints(passes.report, starting):
        clusters = fit_clusters(
            embeddings, options["clusters"], np.array(record["sharp_eigenvalues"]), seed=options["seed"]
        )
    scale, follow_edges = passes.fit_scale(), options["follow_edges"]
    smallest = options["smallest_object"]
    projector = Projector(passes.backbone, scale, passes.device, projection, clusters, follow_edges, smallest)
    record = plain({**record, "made_at": _now(), "clusters": clusters.count})
    values = np.array(record["eigenvalues"])
    analysis = CollectionAnalysis(values, dict(passes.failures), record, place.folder, projector, passes.images)
    analysis.save(place.projection)
    return analysis


def _saved(passes: Passes, place: Kept) -> CollectionAnalysis | None:
    """The clusters of the embeddings that are there, if they are known."""
    try:
        saved = CollectionAnalysis.load(place.projection, backbone=passes.backbone, device=str(passes.device))
    except (OSError, ValueError):
        return None
    return replace(saved, failures=dict(passes.failures), folder=place.folder, images=passes.images)


def _label(passes: Passes, analysis: CollectionAnalysis, place: Kept) -> None:
    """Write the labels of each image that has none yet."""
    from napari_what_where.segments.shared import shared_labels

    # What could be read before is not left out now: another run will know what is there.
    reading, good = passes.strict, passes.good
    for done, number in enumerate(good):
        passes.report(progress := Progress("labels", done, len(good)))
        if _all_there([place.labels(number), place.regions(number)]):
            continue
        with checkpoints(passes.report, progress):
            embedding = analysis.embeddings[number]
            tree = _regions(reading, number, embedding, place)
            labels = shared_labels(tree, embedding, analysis.projector.clusters)
        files.write_labels(place.labels(number), labels)


def _regions(passes: Passes, number: int, embedding: Embedding, place: Kept) -> RegionTree:
    """The region tree of an image, as far as labels need it: what was kept, or made now and kept."""
    from napari_what_where.segments.tree import region_tree

    path = place.regions(number)
    try:
        return files.read_regions(path, embedding.sharp_vectors[:0])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pixels, scale = passes.pixels(number), passes.fit_scale()
        plane = passes.plane(pixels)
        tree = region_tree(embedding, pixels, follow_edges=place.follow_edges, scale=scale, plane=plane)
        files.write_regions(path, tree)
        return tree


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
