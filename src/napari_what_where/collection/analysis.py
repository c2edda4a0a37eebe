"""Many images to one embedding: what is asked for, and what comes back."""

from __future__ import annotations

import operator as operators
import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_what_where.collection.answer import CollectionAnalysis
from napari_what_where.collection.kept import ACTIVATIONS
from napari_what_where.collection.passes import Passes
from napari_what_where.collection.spool import Spool
from napari_what_where.collection.stages import METHODS, run_stages
from napari_what_where.files.encoding import plain
from napari_what_where.image import PerceptualScale
from napari_what_where.memory import explained_memory
from napari_what_where.progress import Report, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone


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
    smallest_object: float | None = None,
    scale: PerceptualScale | None = None,
    folder: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    warn: bool = True,
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
    backbone, backbone_options, pathway, count, device, seed, smallest_object
        As for :func:`~napari_what_where.analyze`; the size of an object is in pixels, the same in every image.
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
        Where activations, while it runs, embeddings, regions and labels are kept, see
        :mod:`~napari_what_where.collection.kept`. A run that was stopped, however, goes on from there, and what was
        finished is found again, if images and options are the same; other ``clusters`` or ``follow_edges`` take no
        model, and leave what was found with those before. Default: a temporary folder, removed with the answer.
    skip_bad : bool
        Leave out an image that cannot be read or analysed, and tell in ``failures``; else raise.
    warn : bool
        Warn of what is among the ``remarks`` of the record, too: fewer eigenvectors than ``count``, as there are no
        more; images that hold numbers of different kinds, such as 8 and 16 bits.
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
    and the built-in model 9 MB an image for *what*, 16 for *where*. What stays in the folder takes about 2 MB an image.
    Memory does not grow with the number of images.
    """
    from napari_what_where.activations.registry import ready_backbone
    from napari_what_where.device import resolve_device
    from napari_what_where.embedding.spectral import check_count, check_seed
    from napari_what_where.working_plane.object_scale import check_smallest_object

    count, seed, clusters = check_count(count), check_seed(seed), _check_clusters(clusters)
    smallest = check_smallest_object(smallest_object)
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
        "backbone_options": dict(model.given_options),
        "pathway": pathway,
        "count": count,
        "clusters": clusters,
        "method": method,
        "method_options": dict(method_options or {}),
        "follow_edges": bool(follow_edges),
        "device": str(target),
        "seed": seed,
        "smallest_object": smallest,
    }
    place = Path(folder if folder is not None else tempfile.mkdtemp(prefix="what-where-"))
    try:
        spool = Spool(place / ACTIVATIONS)
        passes = Passes(images, model, pathway, spool, target, skip_bad, report, scale, smallest)
        found = run_stages(passes, plain(options), place)
    except BaseException:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)
        raise
    for remark in found.provenance.get("remarks", ()) if warn else ():
        warnings.warn(remark, stacklevel=3)  # past the decorator
    if folder is None:
        weakref.finalize(found, shutil.rmtree, place, ignore_errors=True)
    return found


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
