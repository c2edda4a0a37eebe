"""Where the segmentations to be judged come from: this package, label images, or published contour maps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from napari_what_where.evaluation.datasets.types import MEASURES

if TYPE_CHECKING:
    import numpy as np

    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.evaluation.datasets.types import Sample
    from napari_what_where.evaluation.hierarchies import Hierarchy
    from napari_what_where.progress import Report


class Candidate(NamedTuple):
    """What is judged of one image; what there is not is None.

    ``labels``: (rows, columns) integers, the one segmentation chosen; ``hierarchy``: all scales; ``objects``: a
    function that gives (rows, columns) integers, 0 = background.
    """

    labels: np.ndarray | None = None
    hierarchy: Hierarchy | None = None
    objects: Callable[[], np.ndarray] | None = None


class Segmenter(Protocol):
    """A source of segmentations."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The groups of measures that it can be judged by."""

    def describe(self) -> dict[str, Any]:
        """Name and options, ready for JSON: where they differ, so may the segmentations."""

    def sources(self, sample: Sample) -> tuple[Path, ...]:
        """The files it reads for one image."""

    def segment(self, sample: Sample, report: Report) -> Candidate:
        """Segment one image. Raises what is wrong with it."""


@dataclass(frozen=True)
class Analyses:
    """Our own: ``analyze`` with these options, its tree at every height and in ``segments`` regions."""

    backbone: Backbone
    pathway: str = "what"
    count: int = 16
    segments: int | str = "auto"
    device: str = "auto"
    measures: tuple[str, ...] = MEASURES

    def describe(self) -> dict[str, Any]:
        names = ("pathway", "count", "segments", "device")
        return {"backbone": self.backbone.info.name} | {name: getattr(self, name) for name in names}

    def sources(self, sample: Sample) -> tuple[Path, ...]:
        return (sample.image,)

    def segment(self, sample: Sample, report: Report) -> Candidate:
        from napari_what_where.evaluation.hierarchies import from_tree
        from napari_what_where.files.reading import read_image
        from napari_what_where.pipeline import analyze

        analysis = analyze(
            read_image(sample.image).pixels,
            backbone=self.backbone,
            pathway=self.pathway,
            count=self.count,
            device=self.device,
            report=report,
        )

        def objects() -> np.ndarray:
            from napari_what_where import find_objects

            return find_objects(analysis, report=report)

        return Candidate(analysis.tree.labels(self.segments), from_tree(analysis.tree), objects)


@dataclass(frozen=True)
class LabelImages:
    """Anyone's: label images of a folder, STEM.EXT, STEM_labels.EXT or STEM_masks.EXT; as objects, 0 is background."""

    folder: Path
    measures: tuple[str, ...] = MEASURES

    def describe(self) -> dict[str, Any]:
        return {"labels": str(self.folder.resolve())}

    def sources(self, sample: Sample) -> tuple[Path, ...]:
        return (self._path(sample),)

    def segment(self, sample: Sample, report: Report) -> Candidate:
        from napari_what_where.evaluation.datasets.files import read_label_image

        labels = read_label_image(self._path(sample))
        return Candidate(labels, None, lambda: labels)

    def _path(self, sample: Sample) -> Path:
        from napari_what_where.evaluation.datasets.files import LABEL_SUFFIXES

        stems = dict.fromkeys((sample.name, sample.image.stem))
        marks = ("", "_labels", "_masks")
        paths = [self.folder / f"{stem}{mark}{end}" for stem in stems for mark in marks for end in LABEL_SUFFIXES]
        found = [path for path in paths if path.is_file() and path.resolve() != sample.image.resolve()]
        if len(found) != 1:
            what = f"both {found[0].name} and {found[1].name}" if found else "no such file"
            raise FileNotFoundError(f"{self.folder} has {what}; expected one of {sample.image.stem}.tif, .png, …")
        return found[0]


@dataclass(frozen=True)
class ContourMaps:
    """Published hierarchies: STEM.mat with ``ucm2``, cut at every level. There is no one segmentation among them."""

    folder: Path
    measures: tuple[str, ...] = MEASURES[:2]

    def describe(self) -> dict[str, Any]:
        return {"ucm": str(self.folder.resolve())}

    def sources(self, sample: Sample) -> tuple[Path, ...]:
        return (self.folder / f"{sample.image.stem}.mat",)

    def segment(self, sample: Sample, report: Report) -> Candidate:
        from napari_what_where.evaluation.hierarchies import read_ucm

        (path,) = self.sources(sample)
        if not path.is_file():
            raise FileNotFoundError(f"{self.folder} has no {path.name}, a contour map of this image")
        return Candidate(hierarchy=read_ucm(path))
