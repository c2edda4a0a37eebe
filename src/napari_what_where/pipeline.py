"""Image to analysis: the one file that sees every stage."""

from __future__ import annotations

import platform
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_what_where.image import PerceptualScale, check_image, describe_image
from napari_what_where.memory import explained_memory
from napari_what_where.progress import Progress, Report, ignore_progress

if TYPE_CHECKING:
    import numpy as np

    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.activations.types import TokenActivations
    from napari_what_where.affinity.joint import JointAffinity, JointFold
    from napari_what_where.embedding.types import Embedding
    from napari_what_where.segments.tree import RegionTree
    from napari_what_where.working_plane.lazy_channels import LazyChannels
    from napari_what_where.working_plane.object_scale import WorkingPlane


@dataclass(frozen=True, eq=False)
class Analysis:
    """What one run found in one image.

    ``embedding``: the joint eigenvectors; ``tree``: all segmentations, by number of segments; ``provenance``: a
    JSON-ready record of versions, model, options, timings and eigenvalues; ``channels``, (rows, columns, channels)
    float32: the image as it is compared with the embedding, on the working plane, of range about [0, 1]; None where
    edges were not followed. An array, or for a plane in tiles one that is computed where it is read: see
    :class:`~napari_what_where.working_plane.lazy_channels.PlaneChannels`. ``what``: the embedding in which kinds are
    found, where it is another; ``plane``: what was worked on.
    """

    embedding: Embedding
    tree: RegionTree
    provenance: dict[str, Any]
    channels: np.ndarray | LazyChannels | None = None
    what: Embedding | None = None
    plane: WorkingPlane | None = None


@dataclass
class _Stopwatch:
    """Seconds spent in each stage, in all."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + time.perf_counter() - started, 4)


@explained_memory()
def analyze(
    image: Any,
    *,
    backbone: str | Backbone = "filters",
    backbone_options: Mapping[str, Any] | None = None,
    pathway: str = "what",
    count: int = 16,
    normalization: str = "degree",
    method: str = "exact",
    follow_edges: bool = True,
    device: str = "auto",
    seed: int = 0,
    smallest_object: float | None = None,
    scale: PerceptualScale | None = None,
    report: Report = ignore_progress,
) -> Analysis:
    """Analyse one image: activations → joint affinity → embedding → region tree.

    Parameters
    ----------
    image : (rows, columns[, channels]) array
        Any real dtype; see :func:`~napari_what_where.image.check_image`.
    backbone : str or Backbone
        A name from ``list_backbones()``, the folder of a model, "org/model", or a loaded backbone.
    backbone_options : mapping, optional
        Options of a backbone that is given by name, see :func:`~napari_what_where.load_backbone`.
    pathway : "what", "where" or "both"
    count : int
        Number of eigenvectors; clamped, with a warning, to the number of tokens.
    normalization, method, device, seed
        See :func:`~napari_what_where.joint_affinity` and :func:`~napari_what_where.spectral_embedding`.
    follow_edges : bool
        Let segments follow the image's edges and colours; else the embedding alone decides.
    smallest_object : float, optional
        Diameter of the smallest objects of interest, in pixels of the image: chooses the plane that is worked on and
        how many leaves it has, see :func:`~napari_what_where.working_plane.object_scale.plan_plane`. None: one view of
        the whole image, at most 1024 pixels a side. More than the longest side of the image counts as that.
    scale : PerceptualScale, optional
        One intensity scaling for all images of a stack or collection; by default the image's own.
    report : function of one Progress
        Called often from the calling thread; may raise ``Cancelled``.

    What a pretrained model computes of an image is kept on disk, see ``what-where cache``: with other options of what
    follows it does not run again.

    Raises ``TypeError`` or ``ValueError`` for what is no image or no option, and
    :class:`~napari_what_where.memory.OutOfMemory` where it does not fit. Cost: about two seconds for 400 × 600
    pixels on two cores with the filters backbone.
    """
    from napari_what_where.activations.registry import ready_backbone
    from napari_what_where.affinity.joint import JointFold, check_options
    from napari_what_where.device import resolve_device
    from napari_what_where.embedding.spectral import check_count, check_method, check_seed, spectral_embedding
    from napari_what_where.segments.tree import even_image, region_tree
    from napari_what_where.store.stored import remembered
    from napari_what_where.working_plane.object_scale import check_smallest_object, plan_plane

    count, seed, smallest = check_count(count), check_seed(seed), check_smallest_object(smallest_object)
    _check_scale(scale)
    check_method(method)
    model = ready_backbone(backbone, backbone_options)
    model.check_pathway(pathway)
    check_options(pathway, normalization)
    target = resolve_device(device)
    pixels = check_image(image)
    # In large images a look at every pixel and the scale take a second each.
    report(starting := Progress("activations", 0, 0))
    scale = scale or PerceptualScale.fit([pixels])
    report(starting)
    plane = plan_plane(pixels.shape[:2], smallest)
    remarks: list[str] = []
    if smallest is not None and smallest > max(pixels.shape[:2]):
        remarks.append(f"The smallest object, {smallest:g} pixels, is larger than the image; its longest side is used.")
    if (pixels == pixels[:1, :1]).all():
        remarks.append("The image is constant: there is no structure to find, and segments are arbitrary.")
        warnings.warn(remarks[-1], stacklevel=3)  # past the decorator

    stopwatch = _Stopwatch()
    fold = JointFold(pathway, normalization, device=target, report=report)
    # Kinds are found in the values alone, whatever the pathway.
    values = None if pathway == "what" else JointFold("what", normalization, device=target, report=report)

    def receive(layer: TokenActivations) -> None:
        with stopwatch("affinity"):
            fold.add(layer)
            if values is not None and layer.value is not None:
                values.add(layer)

    with stopwatch("activations"):
        model.use(target)
        remembered(model, remark=remarks.append).view(pixels, receive, scale=scale, plane=plane, report=report)
    stopwatch.seconds["activations"] -= stopwatch.seconds.get("affinity", 0.0)
    report(Progress("affinity", 0, 0))
    with stopwatch("affinity"):
        affinity = fold.finish()
    report(Progress("eigenvectors", 0, 0))
    with stopwatch("embedding"):
        embedding = spectral_embedding(affinity, count, method, seed=seed, report=report)
    if embedding.count < count:
        remarks.append(f"Only {embedding.count} eigenvectors: the image has no more tokens.")
    with stopwatch("segments"):
        what = None if values is None else _what_embedding(values, count, seed, report)
        channels = even_image(pixels, scale, report, plane)
        tree = region_tree(
            embedding,
            pixels,
            follow_edges=follow_edges,
            scale=scale,
            report=report,
            what=what,
            channels=channels,
            plane=plane,
        )
    options = {
        "backbone": model.info.name,
        "backbone_options": dict(model.given_options),
        "pathway": pathway,
        "count": count,
        "normalization": normalization,
        "method": method,
        "follow_edges": bool(follow_edges),
        "device": str(target),
        "seed": seed,
        "smallest_object": smallest,
    }
    provenance = {
        "made_by": "napari-what-where",
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": package_versions(),
        "image": describe_image(pixels),
        "options": options,
        "model": model.describe(),
        "plane": plane.describe(),
        **_describe_answer(affinity, embedding),
        "kinds": _describe_kinds(pathway, what),
        "seconds": stopwatch.seconds,
        "remarks": remarks,
    }
    return Analysis(embedding, tree, provenance, channels if follow_edges else None, what, plane)


def _check_scale(scale: Any) -> None:
    if scale is not None and not isinstance(scale, PerceptualScale):
        raise TypeError(
            f"scale is {type(scale).__name__}; expected what PerceptualScale.fit(images) returns, or None for the "
            "image's own."
        )


def _what_embedding(values: JointFold, count: int, seed: int, report: Report) -> Embedding | None:
    """An embedding of the values alone; None without values. Cheap, as the affinity has low rank."""
    from napari_what_where.embedding.spectral import spectral_embedding

    if not values.layers:
        return None
    affinity = values.finish()
    return spectral_embedding(affinity, min(count, affinity.tokens), seed=seed, report=report)


def _describe_kinds(pathway: str, what: Embedding | None) -> dict[str, Any]:
    """Where kinds come from: the embedding itself, values that were embedded for them, or, lacking those, positions."""
    if what is None:
        return {"pathway": pathway}
    return {"pathway": "what", "eigenvalues": what.values.tolist()}


def package_versions() -> dict[str, str]:
    """What decides results besides the options, for the record."""
    packages = ("napari-what-where", "torch", "numpy", "scipy", "scikit-image")
    return {"python": platform.python_version()} | {package: version(package) for package in packages}


def _describe_answer(affinity: JointAffinity, embedding: Embedding) -> dict[str, Any]:
    return {
        "network_layers": list(affinity.layers),
        "affinity_forms": list(affinity.forms),
        "token_grid": list(affinity.grid),
        "eigenvalues": embedding.values.tolist(),
        "residuals": embedding.residuals.tolist(),
        "products": embedding.products,
        "converged": embedding.converged,
        **embedding.details,
    }
