"""Many images to one embedding: activations, statistics, eigenvectors, clusters, labels."""

from __future__ import annotations

import json
import operator as operators
import os
import shutil
import tempfile
import time
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_what_where.collection.answer import (
    CollectionAnalysis,
    OnDemand,
    Projector,
    image_folder,
    read_embedding,
    write_embedding,
    write_labels,
)
from napari_what_where.collection.methods import descend, project
from napari_what_where.collection.passes import Passes
from napari_what_where.collection.spool import Spool
from napari_what_where.files.encoding import atomic_path, plain
from napari_what_where.image import PerceptualScale
from napari_what_where.memory import explained_memory
from napari_what_where.pipeline import package_versions
from napari_what_where.progress import Progress, Report, checkpoints, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.embedding.collection.projection import Projection
    from napari_what_where.segments.shared import SharedClusters

METHODS = {"streaming": project, "gradient": descend}
"""From the passes over a collection, and options, to what was found in it."""
RECORD, PROJECTION = "collection.json", "projection.pt"
"""Files of a finished run, in its folder."""


@explained_memory()
def analyze_collection(
    images: Sequence[Any],
    *,
    backbone: str | Backbone = "filters",
    backbone_options: Mapping[str, Any] | None = None,
    pathway: str = "what",
    count: int = 16,
    clusters: int | Literal["auto"] = 8,
    method: str = "streaming",
    method_options: Mapping[str, Any] | None = None,
    follow_edges: bool = True,
    device: str = "auto",
    seed: int = 0,
    scale: PerceptualScale | None = None,
    folder: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    report: Report = ignore_progress,
) -> CollectionAnalysis:
    """Analyse many images as one: an eigenvector, a cluster, a label means the same thing in all of them.

    Tokens of all images are related to each other, not only to those of their own image. *What*: (1 + cosine) / 2 of
    values, centred over the collection; *where*: ½ + ¼ (qᵢ·kⱼ + kᵢ·qⱼ) of unit queries and keys, heads merged (Zhang,
    Yunis & Maire 2024, section 3, relate each token to its 50 nearest). Both are of low rank, so statistics of a size
    that does not depend on the number of images give the exact eigenvectors, up to ``error_bound``: see
    ``embedding/collection``.

    Parameters
    ----------
    images : sequence of (rows, columns[, channels]) arrays
        Anything with a length whose items can be asked for by number, such as a lazy reader of files. One at a time is
        in memory, and each is asked for several times. Sizes may differ, channels may not.
    backbone, backbone_options, pathway, count, device, seed
        As for :func:`~napari_what_where.analyze`.
    clusters : int or "auto"
        How many kinds of things labels tell apart in the whole collection.
    method : "streaming" or "gradient"
        Statistics and an eigenproblem; or the paper's gradient descent, for comparison, which takes far longer, and
        knows no images but those it was run on.
    method_options : mapping, optional
        Of "gradient", see :func:`~napari_what_where.collection.methods.descend`; "streaming" has none.
    follow_edges : bool
        Let labels follow each image's edges and colours.
    scale : PerceptualScale, optional
        By default one intensity scaling for all, fitted to some of them.
    folder : path, optional
        Where activations, while it runs, embeddings and labels are kept. A run that was stopped goes on from there,
        and what was finished is found again, if images and options are the same; other ``clusters`` take no model.
        Default: a temporary folder, which is removed with the answer.
    skip_bad : bool
        Leave out an image that cannot be read or analysed, and tell in ``failures``; else raise.
    report : function of one Progress
        Called often from the calling thread; may raise ``Cancelled``.

    Raises
    ------
    TypeError, ValueError
        For what is no image, with its number, or no option; no images at all; none that could be analysed.
    OSError
        Where the folder cannot be written to, or its disk is full.

    Notes
    -----
    Cost: one pass of the model over every image, three over what it gave, which lies on disk meanwhile: for 512² pixels
    and the built-in model 9 MB an image for *what*, 16 for *where*. Memory does not grow with the number of images.
    """
    from napari_what_where.activations.registry import ready_backbone
    from napari_what_where.device import resolve_device
    from napari_what_where.embedding.spectral import check_count, check_seed

    count, seed, clusters = check_count(count), check_seed(seed), _check_clusters(clusters)
    if method not in list(METHODS):
        raise ValueError(f"method is {method!r}; expected one of {', '.join(map(repr, METHODS))}.")
    if method_options and method != "gradient":
        raise TypeError(f"method {method!r} has no options; received {', '.join(map(repr, method_options))}.")
    if len(images) == 0:
        raise ValueError("Received no images; expected at least one.")
    model = ready_backbone(backbone, backbone_options)
    model.check_pathway(pathway)
    target = resolve_device(device)
    model.use(target)
    options = {
        "backbone": model.info.name,
        "backbone_options": plain(dict(model.given_options)),
        "pathway": pathway,
        "count": count,
        "clusters": clusters,
        "method": method,
        "method_options": plain(dict(method_options or {})),
        "follow_edges": bool(follow_edges),
        "device": str(target),
        "seed": seed,
    }
    place = Path(folder if folder is not None else tempfile.mkdtemp(prefix="what-where-"))
    try:
        passes = Passes(images, model, pathway, Spool(place / "activations"), target, skip_bad, report, scale)
        found = _run(passes, options, place)
    except BaseException:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    if folder is None:
        weakref.finalize(found, shutil.rmtree, place, ignore_errors=True)
    return found


def _run(passes: Passes, options: dict[str, Any], place: Path) -> CollectionAnalysis:
    started = time.perf_counter()
    earlier = _earlier(passes, options, place)
    if earlier is not None and earlier.provenance["options"] == plain(options):
        return earlier
    # Until the new one is there no record vouches for what is being replaced.
    (place / RECORD).unlink(missing_ok=True)
    if earlier is None:
        record, projection = _embed(passes, options, place)
    else:
        record, projection = {**earlier.provenance, "options": options}, earlier.projector.projection
    clusters = _label(passes, record, place)
    scale, follow_edges = passes.fit_scale(), options["follow_edges"]
    projector = Projector(passes.backbone, scale, passes.device, projection, clusters, follow_edges)
    seconds = {"in all": round(time.perf_counter() - started, 3)}
    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    record = plain({**record, "made_at": made_at, "clusters": clusters.count, "seconds": seconds})
    values = np.array(record["eigenvalues"])
    analysis = CollectionAnalysis(values, dict(passes.failures), record, place, projector, passes.images)
    analysis.save(place / PROJECTION)
    with atomic_path(place / RECORD) as temporary:
        temporary.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    passes.spool.clear()
    return analysis


def _embed(passes: Passes, options: dict[str, Any], place: Path) -> tuple[dict[str, Any], Projection | None]:
    """Find the eigenvectors and write those of each image; what is recorded of them, and what applies them."""
    passes.fit_scale()
    found = METHODS[options["method"]](passes, options)
    for number, embedding in zip(passes.good, found.embeddings, strict=True):
        write_embedding(image_folder(place, number), embedding)
    record = {
        "made_by": "napari-what-where",
        "versions": package_versions(),
        "options": options,
        "model": passes.backbone.describe(),
        "images": _signatures(passes),
        "failures": {str(number): text for number, text in passes.failures.items()},
        "eigenvalues": found.values.tolist(),
        "sharp_eigenvalues": found.sharp_values.tolist(),
        "error_bound": found.error_bound,
        "layers": found.layers,
        **found.details,
    }
    return record, found.projection


def _label(passes: Passes, record: dict[str, Any], place: Path) -> SharedClusters:
    """Cluster all images together, and write the labels of each."""
    from napari_what_where.segments.shared import fit_clusters, shared_labels, shared_tree

    options, good = record["options"], passes.good
    kept = OnDemand(len(good), lambda n: read_embedding(image_folder(place, good[n]), record))
    passes.report(starting := Progress("clusters", 0, 0))
    with checkpoints(passes.report, starting):
        clusters = fit_clusters(kept, options["clusters"], np.array(record["sharp_eigenvalues"]), seed=options["seed"])
    for done, number in enumerate(good):
        passes.report(progress := Progress("labels", done, len(good)))
        with checkpoints(passes.report, progress):
            tree = shared_tree(
                passes.pixels(number), kept[done], clusters, passes.fit_scale(), follow_edges=options["follow_edges"]
            )
            labels = shared_labels(tree, kept[done], clusters)
        write_labels(image_folder(place, number), labels)
    return clusters


def _earlier(passes: Passes, options: dict[str, Any], place: Path) -> CollectionAnalysis | None:
    """What an earlier run found in the same images, if it lies in that folder; clusters alone may be others."""
    try:
        record = json.loads((place / RECORD).read_text(encoding="utf-8"))
        failures = {int(number): text for number, text in record["failures"].items()}
        same = (_before_clusters(record["options"]), record["model"], record["versions"]) == (
            _before_clusters(plain(options)),
            plain(passes.backbone.describe()),
            package_versions(),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # nothing there, or nothing of ours
        return None
    if not same or len(record["images"]) != len(passes.images):
        return None
    passes.sign_all()
    if _signatures(passes) != record["images"]:
        return None
    passes.failures.update(failures)
    try:
        saved = CollectionAnalysis.load(place / PROJECTION, backbone=passes.backbone, device=str(passes.device))
    except ValueError:
        return None
    return replace(saved, failures=failures, provenance=record, folder=place, images=passes.images)


def _before_clusters(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide the eigenvectors."""
    return {name: value for name, value in options.items() if name not in ("clusters", "follow_edges")}


def _signatures(passes: Passes) -> list[str]:
    """One for each image; of those that cannot be read an empty one."""
    return [passes.signatures.get(number, "") for number in range(len(passes.images))]


def _check_clusters(clusters: Any) -> int | Literal["auto"]:
    if clusters == "auto":
        return "auto"
    try:
        if isinstance(clusters, bool | str):
            raise TypeError
        number = operators.index(clusters)
    except TypeError:
        raise TypeError(f'clusters is {clusters!r}; expected a whole number, for example 8, or "auto".') from None
    if number < 1:
        raise ValueError(f"clusters is {number}; expected at least 1.")
    return number
