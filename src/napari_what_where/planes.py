"""Every plane of a stack, one after the other: analysed at one scale, and their objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from napari_what_where.image import PerceptualScale, check_image
from napari_what_where.progress import Progress, Report, ignore_progress

if TYPE_CHECKING:
    import numpy as np

    from napari_what_where.pipeline import Analysis

SCALE_PLANES = 16
"""The intensity scale is fitted to at most so many planes, evenly spaced."""
SCALE_PIXELS = 8_000_000
"""To about so many of their pixels in all."""


def analyze_planes(planes: Sequence[Any], *, report: Report = ignore_progress, **settings: Any) -> list[Analysis]:
    """Analyse every plane of a stack, at one intensity scale for all.

    Parameters
    ----------
    planes : sequence of (rows, columns[, channels]) arrays
        Anything with a length whose items can be asked for by number; each is asked for when its turn comes, and
        none is kept. All of one shape.
    report : function of one Progress
        Called often, with the plane in the name of the stage; may raise ``Cancelled``.
    settings
        Passed on to :func:`~napari_what_where.analyze` for every plane.

    Returns
    -------
    list of Analysis

    Raises
    ------
    TypeError, ValueError
        As ``analyze``, with the plane (counted from 0) that is to blame; ``ValueError`` for no planes.

    Notes
    -----
    Cost: that of ``analyze`` times the planes. Memory: one plane at a time, beside the analyses.
    """
    from napari_what_where.activations.registry import ready_backbone
    from napari_what_where.pipeline import analyze

    count = len(planes)
    if count == 0:
        raise ValueError("Received no planes; expected at least one.")
    model = ready_backbone(settings.pop("backbone", "filters"), settings.pop("backbone_options", None))
    scale = settings.pop("scale", None) or _common_scale(planes, report)
    analyses: list[Analysis] = []
    for index in range(count):
        with _blaming_plane(index, count):
            plane = check_image(planes[index])
            if analyses and plane.shape[:2] != analyses[0].tree.shape:
                raise ValueError(
                    f"It has {plane.shape[:2]} rows and columns; expected {analyses[0].tree.shape}, as the planes "
                    "before. Analyse planes of different shapes one by one."
                )
        tell = _of_plane(report, index, count)
        # What the first plane, already seen to be an image, cannot be analysed for is the fault of the settings.
        with _blaming_plane(index, count) if index else nullcontext():
            analyses.append(analyze(plane, backbone=model, scale=scale, report=tell, **settings))
    return analyses


def find_stack_objects(
    analyses: Sequence[Analysis],
    *,
    linked: bool = False,
    outline: np.ndarray | None = None,
    working: bool = False,
    report: Report = ignore_progress,
) -> np.ndarray:
    """The objects of every plane, see :func:`~napari_what_where.find_objects`, as one stack.

    Parameters
    ----------
    analyses : one a plane, all of one shape
    linked : bool
        Whether numbers are carried from plane to plane by overlap, see
        :func:`~napari_what_where.segments.linking.link_images`; else no two planes share one.
    outline : (rows, columns) bool, optional
        Outside of it all is background, before numbers are linked.
    working : bool
        On the planes that were worked on, where those are smaller than the image.
    report : function of one Progress
        May raise ``Cancelled``.

    Returns
    -------
    (planes, rows, columns) int32, 0 for background

    Notes
    -----
    Cost: that of ``find_objects`` times the planes.
    """
    import numpy as np

    from napari_what_where.segments.linking import link_images
    from napari_what_where.segments.objects.find import find_objects, working_objects
    from napari_what_where.segments.superpixels import resized

    tree = analyses[0].tree
    objects = np.empty((len(analyses), *(tree.working_leaves.shape if working else tree.shape)), np.int32)
    counts = None if outline is None else resized(outline, objects.shape[1:])
    find = working_objects if working else find_objects
    for index, analysis in enumerate(analyses):
        found = find(analysis, report=_of_plane(report, index, len(analyses)))
        objects[index] = found if counts is None else np.where(counts, found, 0)
    if linked:
        return link_images(objects)
    last = 0
    for plane in objects:
        highest = int(plane.max())
        plane[plane > 0] += last
        last += highest
    return objects


def _common_scale(planes: Sequence[Any], report: Report) -> PerceptualScale:
    """One perceptual scale for all, from evenly spaced planes; a single one counts whole."""
    import numpy as np

    count = len(planes)
    chosen = np.unique(np.linspace(0, count - 1, min(count, SCALE_PLANES)).round().astype(int))
    sample = []
    for done, index in enumerate(chosen.tolist()):
        report(Progress("reading", done, len(chosen)))
        with _blaming_plane(index, count):
            plane = check_image(planes[index])
        step = max(1, int(np.ceil(np.sqrt(plane.shape[0] * plane.shape[1] * len(chosen) / SCALE_PIXELS))))
        step = 1 if count == 1 else min(step, min(plane.shape[:2]) // 2)
        sample.append(np.array(plane[::step, ::step]))
    return PerceptualScale.fit(sample)


def _of_plane(report: Report, index: int, count: int) -> Report:
    """Report with the plane in the name of every stage."""
    if count == 1:
        return report

    def tell(progress: Progress) -> None:
        report(Progress(f"{progress.stage}, plane {index + 1} of {count}", progress.done, progress.total))

    return tell


@contextmanager
def _blaming_plane(index: int, count: int) -> Iterator[None]:
    """Errors about the pixels say which of the planes it was; a stack of one needs no telling."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if count == 1:
            raise
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"Plane {index} (of {count}, counted from 0): {error}") from error
