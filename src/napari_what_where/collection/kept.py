"""What was found in a collection, on disk: which file holds what, and which of them vouch for others.

::

    activations/                  what the model gave, until the run is finished
    embedding.pt                  vouches for the embeddings, and for everything that was made of them
    embeddings/000000.npz         of each image
    regions[-no-edges]/000000.npz the region tree of each image, without what statistics are computed again
    clusters-8[-no-edges]/        one folder for each number of clusters
        projection.pt             vouches for the clusters
        labels/000000.tif         of each image
        collection.json           vouches for all labels
        kinds.json                what there is to say of each cluster

Every file is written as a whole or not at all. Before the embeddings of other images or options are written all of it
goes, ``embedding.pt`` first; so wherever a process was killed, what is there belongs together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.files.encoding import atomic_path

if TYPE_CHECKING:
    from napari_what_where.embedding.types import Embedding
    from napari_what_where.segments.tree import RegionTree

ACTIVATIONS, FOUND, RECORD, PROJECTION = "activations", "embedding.pt", "collection.json", "projection.pt"
_EMBEDDINGS, _REGIONS, _LABELS, _NO_EDGES = "embeddings", "regions", "labels", "-no-edges"
_CLUSTERS = re.compile(r"clusters-(auto|\d+)(-no-edges)?")
# Also what a process that was killed has left of them, see ``atomic_path``.
_HALF = r"(\.[0-9a-f]{12}){1,2}"
_OF_AN_IMAGE = re.compile(rf"\d{{6,}}\.(npz|tif)|\.{{1,2}}\d{{6,}}{_HALF}\.(npz|tif)")
_OF_ALL = re.compile(
    rf"(embedding|projection)\.pt|(collection|kinds)\.json|"
    rf"\.{{1,2}}(embedding|projection|collection|kinds){_HALF}\.(pt|json)"
)


@dataclass(frozen=True)
class Kept:
    """Where the files of one collection are, with a number of clusters, and with or without edges."""

    folder: Path
    clusters: int | str
    follow_edges: bool

    @classmethod
    def of(cls, folder: Path, options: Mapping[str, Any]) -> Kept:
        """That of a run with these options."""
        return cls(folder, options["clusters"], options["follow_edges"])

    @property
    def found(self) -> Path:
        """Vouches for the embeddings."""
        return self.folder / FOUND

    @property
    def projection(self) -> Path:
        """Vouches for the clusters."""
        return self._clustering / PROJECTION

    @property
    def record(self) -> Path:
        """Vouches for all labels."""
        return self._clustering / RECORD

    def embedding(self, number: int) -> Path:
        """Of an image."""
        return self.folder / _EMBEDDINGS / f"{number:06d}.npz"

    def regions(self, number: int) -> Path:
        """Of an image."""
        return self.folder / f"{_REGIONS}{self._edges}" / f"{number:06d}.npz"

    def labels(self, number: int) -> Path:
        """Of an image."""
        return self._clustering / _LABELS / f"{number:06d}.tif"

    @property
    def kinds(self) -> Path:
        """What there is to say of each cluster."""
        return self._clustering / "kinds.json"

    @property
    def _edges(self) -> str:
        return "" if self.follow_edges else _NO_EDGES

    @property
    def _clustering(self) -> Path:
        return self.folder / f"clusters-{self.clusters}{self._edges}"


def before_clusters(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that decide the eigenvectors: all but those of clusters."""
    return {name: value for name, value in options.items() if name not in ("clusters", "follow_edges")}


def forget(folder: Path) -> None:
    """Remove all that was found; other files, should there be any, stay."""
    (folder / FOUND).unlink(missing_ok=True)
    forget_labels(folder)
    for place in _places_of_images(folder):
        _remove(place, _OF_AN_IMAGE)
    sweep(folder)


def forget_labels(folder: Path) -> None:
    """Remove the labels of every number of clusters; the embeddings that they were made of stay."""
    for place in _clusterings(folder):
        (place / RECORD).unlink(missing_ok=True)
        _remove(place / _LABELS, _OF_AN_IMAGE)
        _remove(place, _OF_ALL)


def sweep(folder: Path) -> None:
    """Remove what processes that were killed have left half written."""
    clusterings = _clusterings(folder)
    for place in (*_places_of_images(folder), *(each / _LABELS for each in clusterings)):
        _unlink(path for path in _files(place, _OF_AN_IMAGE) if path.name.startswith("."))
    for place in (folder, *clusterings):
        _unlink(path for path in _files(place, _OF_ALL) if path.name.startswith("."))


def _places_of_images(folder: Path) -> list[Path]:
    return [folder / name for name in (_EMBEDDINGS, _REGIONS, f"{_REGIONS}{_NO_EDGES}")]


def _clusterings(folder: Path) -> list[Path]:
    with suppress(OSError):
        return [path for path in folder.iterdir() if _CLUSTERS.fullmatch(path.name) and not path.is_symlink()]
    return []


def _remove(folder: Path, ours: re.Pattern[str]) -> None:
    """Files of ours in a folder, and the folder if that was all."""
    _unlink(_files(folder, ours))
    with suppress(OSError):
        folder.rmdir()


def _unlink(paths: Iterable[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _files(folder: Path, ours: re.Pattern[str]) -> list[Path]:
    """The files of ours in a folder, if it is there and no link to another place."""
    if not folder.is_dir() or folder.is_symlink():
        return []
    return [path for path in folder.iterdir() if ours.fullmatch(path.name) and not path.is_dir()]


def write_embedding(path: Path, embedding: Embedding) -> None:
    """Keep the vectors of an image."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, vectors=embedding.vectors, sharp_vectors=embedding.sharp_vectors)


def read_embedding(path: Path, record: Mapping[str, Any]) -> Embedding:
    """Those that were kept, with the collection's ``eigenvalues`` and ``sharp_eigenvalues``."""
    from napari_what_where.embedding.types import Embedding

    with np.load(path) as kept:
        vectors, sharp_vectors = kept["vectors"], kept["sharp_vectors"]
    values = np.array(record["eigenvalues"])
    return Embedding(
        values,
        vectors,
        np.full(len(values), np.nan if record["error_bound"] is None else record["error_bound"]),
        len(values),
        True,
        np.array(record["sharp_eigenvalues"]),
        sharp_vectors,
        {"solver": record["options"]["method"]},
    )


def write_regions(path: Path, tree: RegionTree) -> None:
    """Keep the region tree of an image, but for its kinds and what is quickly computed again."""
    leaves = tree.working_leaves.astype(np.min_scalar_type(tree.leaf_count))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(
            file,
            leaves=leaves,
            shape=tree.shape,
            children=tree.children,
            heights=tree.heights,
            auto_ratio=tree.auto_ratio,
        )


def read_regions(path: Path, vectors: np.ndarray) -> RegionTree:
    """The region tree that was kept of an image, without kinds; with statistics of these ``vectors``, (count, rows,
    columns), which take longest. ``OSError`` for none.
    """
    from napari_what_where.segments.statistics import node_statistics
    from napari_what_where.segments.tree import RegionTree

    with np.load(path) as kept:
        rows, columns = (int(size) for size in kept["shape"])
        leaves, children = kept["leaves"].astype(np.int32), kept["children"]
        heights, auto_ratio = kept["heights"], float(kept["auto_ratio"])
    statistics = node_statistics(leaves, (rows, columns), children, np.asarray(vectors))
    return RegionTree(leaves, (rows, columns), children, heights, statistics, auto_ratio)


def write_labels(path: Path, labels: np.ndarray) -> None:
    """Keep the labels of an image."""
    import tifffile

    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, labels, compression="zlib")


def read_labels(path: Path) -> np.ndarray:
    """Those that were kept."""
    import tifffile

    return np.asarray(tifffile.imread(path))
