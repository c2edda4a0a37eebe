"""What is asked of a folder of images, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

from napari_what_where.files.encoding import plain
from napari_what_where.files.formats.registry import parse_formats


@dataclass(frozen=True)
class CollectionSettings:
    """All that decides the results of a collection, ready for JSON.

    ``formats``: of labels, see :func:`~napari_what_where.files.formats.registry.parse_formats`. The others as
    :func:`~napari_what_where.analyze_collection` has them. Raises ``ValueError`` for formats that are none.
    """

    backbone: str = "filters"
    backbone_options: Mapping[str, Any] = field(default_factory=dict)
    pathway: str = "what"
    count: int = 16
    clusters: int | Literal["auto"] = 8
    method: str = "streaming"
    device: str = "auto"
    follow_edges: bool = True
    seed: int = 0
    smallest_object: float | None = None
    formats: tuple[str, ...] = ("tiff",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "formats", parse_formats(self.formats))
        object.__setattr__(self, "backbone_options", plain(dict(self.backbone_options)))

    def analyze_options(self) -> dict[str, Any]:
        """What :func:`~napari_what_where.analyze_collection` is called with."""
        return {name: value for name, value in asdict(self).items() if name != "formats"}


class ImageResult(NamedTuple):
    """What became of one image.

    ``message``: one line, what it is made of, or for a failure what to do about it; ``written``: its files, also those
    that were there already.
    """

    path: Path
    status: Literal["done", "skipped", "failed"]
    message: str
    written: tuple[Path, ...]


class CollectionResult(NamedTuple):
    """What became of a collection: of each image, and the files of all of them together.

    ``clusters``: how many; ``remarks``: sentences that the user should know.
    """

    images: list[ImageResult]
    page: Path
    record: Path
    clusters: int
    remarks: Sequence[str] = ()
