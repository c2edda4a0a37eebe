"""A folder of files → one label for one thing in all of them, on disk: resumable, a bad image never stops the rest.

What a run has done so far lies in a hidden folder beside its results; when all is written, embeddings and regions stay
there, so that another number of clusters takes no model. A run is complete when its record (collection.json), which is
written last, names the same request and the same images, and all files are there. As elsewhere, an image is known by
the SHA-256 of its pixels.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from napari_what_where.collection.folder_run import WORKING, FolderRun
from napari_what_where.collection.outputs import PAGE, PROJECTION, RECORD, joined_names
from napari_what_where.collection.settings import CollectionResult, CollectionSettings, ImageResult
from napari_what_where.failures import Explained
from napari_what_where.files.encoding import discard
from napari_what_where.files.filenames import find_images, plan_stems
from napari_what_where.progress import Report, ignore_progress

if TYPE_CHECKING:
    from napari_what_where.activations.backbone import Backbone

__all__ = ["WORKING", "CollectionResult", "CollectionSettings", "ImageResult", "find_images", "run_collection"]

Name = str | os.PathLike[str]


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
    projection.pt, which applies what was found to other images. In COCO's formats also one file of all images. What an
    earlier run wrote there is replaced, or removed where this one has nothing in its place; no other file is.

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
        Go on from where an earlier run of the same request was stopped, and do nothing where all is there; where only
        clusters, edges, formats or the title are others, the model is not needed. Off, begin anew.
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
    tell = on_result or (lambda result: None)
    with _alone(run.out / WORKING):
        if not resume:
            discard(run.working)
            run.earlier_files.begin()
            (run.out / RECORD).unlink(missing_ok=True)
        found = run.earlier(report) if resume else None
        if found is None:
            found = run.perform(report, tell)
        else:
            run.tidy()
            for result in found.images:
                tell(result)
    return found


def _plan(
    files: Sequence[Name], out: Path, settings: CollectionSettings, title: str | None, backbone: Backbone | None
) -> FolderRun:
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
    return FolderRun(paths, stems, out, settings, title or paths[0].absolute().parent.name, model)


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
