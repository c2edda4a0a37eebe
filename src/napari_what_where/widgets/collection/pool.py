"""What is analysed together: the planes of a stack, several layers, or the files of a folder; no Qt."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from napari_what_where.collection.kept import before_clusters
from napari_what_where.files.filenames import find_images
from napari_what_where.files.stacks import open_stack
from napari_what_where.widgets.source import Source, Use, source_of

if TYPE_CHECKING:
    from napari.layers import Image

WORKING = "what-where-collection"
"""The folder, beside the images of a folder, where what was found in them is kept."""
NO_STACK = "Open a stack first: an image with an axis beside rows and columns, such as a time-lapse."
NO_LAYERS = "Select the image layers to analyse together in the layer list: click the first, Ctrl-click the others."
NO_FOLDER = "Choose a folder of images."


class Look(NamedTuple):
    """What is known of an image once it was read. ``pixel_size``: of rows and columns, in ``units``, or None."""

    shape: tuple[int, ...]
    dtype: np.dtype
    pixel_size: tuple[float, float] | None = None
    units: str | None = None


class FileImages(Sequence[np.ndarray]):
    """The one image of each file, read when it is asked for; what was read is remembered by its :class:`Look`."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)
        self.looks: dict[int, Look] = {}

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: Any) -> Any:
        if not 0 <= number < len(self):
            raise IndexError(number)
        stack = open_stack([self.paths[number]])
        pixels = np.asarray(stack.planes[0])
        self.looks[number] = Look(pixels.shape, pixels.dtype, stack.pixel_size, stack.units)
        return pixels


class _Layers(Sequence[np.ndarray]):
    def __init__(self, sources: Sequence[Source]) -> None:
        self._sources = sources

    def __len__(self) -> int:
        return len(self._sources)

    def __getitem__(self, number: Any) -> Any:
        return self._sources[number].pixels()


@dataclass(frozen=True, eq=False)
class Pool:
    """Images to analyse together.

    Attributes
    ----------
    name : of all of them, for the layers that result
    names : of each, as the user knows it
    images : each is read when it is asked for
    stack : the stack whose planes they are, if they are
    layers : the layers that they are, one a layer, if they are
    working : where what is found is kept, for a folder of files; None: for as long as the dock or a layer needs it
    """

    name: str
    names: Sequence[str]
    images: Sequence[np.ndarray]
    stack: Source | None = None
    layers: tuple[Source, ...] = ()
    working: Path | None = None

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes two runs runs on the same images, in the same place."""
        if isinstance(self.images, FileImages):
            return ("files", self.images.paths)
        return tuple(source.key for source in ([self.stack] if self.stack else self.layers))

    @property
    def factor(self) -> float:
        """How many pixels of the finest level one of the images' own is wide, at most."""
        return max((source.factor for source in ([self.stack] if self.stack else self.layers)), default=1.0)

    def name_for(self, settings: Mapping[str, Any]) -> str:
        """Of the folder that a run with these settings is kept in: the same where only those of kinds are others.

        Other images, one file more or fewer among them, have another: what layers show of these is not overwritten.
        """
        sources = [self.stack] if self.stack else self.layers
        pixels: list[Any] = [
            (each.layer_ids, each.level, each.index, each.axes, each.channel_axis, each.plane_axis) for each in sources
        ]
        if isinstance(self.images, FileImages):
            pixels = [_as_seen_from(self.working, path) for path in self.images.paths]
        said = json.dumps([repr(pixels), before_clusters(settings)], sort_keys=True, default=str)
        mark = hashlib.sha256(said.encode()).hexdigest()[:8]
        backbone = "".join(each if each.isalnum() or each in "-_." else "-" for each in str(settings["backbone"]))[-40:]
        return f"{backbone}-{settings['pathway']}-{mark}"


def pool_of_stack(
    viewer: Any, layer: Image, plane_axis: int, channel_axis: int | None, smallest_object: float | None = None
) -> Pool:
    """Every plane of a layer along an axis. ``ValueError``, in words, where that axis is on screen.

    ``smallest_object``: in pixels of the finest level, which decides the level of a multiscale layer that is read.
    """
    source = source_of(viewer, layer, Use(channel_axis, plane_axis, smallest_object=smallest_object))
    label = source.axis_labels[plane_axis]
    what = "plane" if label.lstrip("-").isdigit() or not label else label
    return Pool(
        name=source.plane_name,
        names=[f"{what} {number}" for number in range(source.plane_count)],
        images=source.planes,
        stack=source,
    )


def pool_of_layers(viewer: Any, layers: Sequence[Image], smallest_object: float | None = None) -> Pool:
    """What the viewer shows now of each of several layers. ``ValueError``, in words, for fewer than two."""
    if len(layers) < 2:
        raise ValueError(NO_LAYERS)
    use = Use(smallest_object=smallest_object)
    sources = tuple(source_of(viewer, layer, use) for layer in layers)
    names = [source.plane_name for source in sources]
    return Pool(name=f"{len(sources)} layers", names=names, images=_Layers(sources), layers=sources)


def pool_of_folder(folder: Path, working: Path) -> Pool:
    """The image files of a folder. ``ValueError`` for none, ``OSError`` for no folder that can be read."""
    paths = find_images(folder)
    if not paths:
        raise ValueError(f"There are no images in {folder} that can be read. Choose another folder.")
    name = folder.name or str(folder)
    return Pool(name=name, names=[path.name for path in paths], images=FileImages(paths), working=working)


def suggested_working(folder: Path) -> Path:
    """Beside the images, or where that cannot be written to, in the user's cache."""
    if _writable(folder):
        return folder / WORKING
    import platformdirs

    mark = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:8]
    cache = Path(platformdirs.user_cache_dir("napari-what-where", appauthor=False))
    return cache / "collections" / f"{folder.name}-{mark}"


def _as_seen_from(folder: Path | None, path: Path) -> str:
    """A path relative to a folder, so that both can be moved together; absolute from another drive."""
    try:
        return os.path.relpath(path, folder)
    except ValueError:
        return os.path.abspath(path)


def _writable(folder: Path) -> bool:
    """Whether a file can be made there: what permissions say is not always so."""
    try:
        with tempfile.TemporaryFile(dir=folder, prefix="."):
            return True
    except OSError:
        return False
