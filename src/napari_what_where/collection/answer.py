"""What was found in a collection, read from disk image by image, and what applies it to other images."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np

from napari_what_where.collection.kept import Kept, read_embedding, read_labels, read_regions
from napari_what_where.files.encoding import atomic_path
from napari_what_where.image import PerceptualScale, check_image

if TYPE_CHECKING:
    import torch

    from napari_what_where.activations.backbone import Backbone
    from napari_what_where.embedding.collection.projection import Projection
    from napari_what_where.embedding.types import Embedding
    from napari_what_where.segments.shared import SharedClusters
    from napari_what_where.segments.tree import RegionTree
    from napari_what_where.working_plane.object_scale import WorkingPlane

_Item = TypeVar("_Item")


class OnDemand(Sequence[_Item], Generic[_Item]):
    """A sequence whose items are made when they are asked for, and not kept."""

    def __init__(self, length: int, make: Callable[[int], _Item]) -> None:
        self._length, self._make = length, make

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> _Item: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[_Item]: ...
    def __getitem__(self, index: int | slice) -> _Item | Sequence[_Item]:
        if isinstance(index, slice):
            chosen = range(self._length)[index]
            return OnDemand(len(chosen), lambda number: self._make(chosen[number]))
        return self._make(range(self._length)[index])


@dataclass(frozen=True, eq=False)
class Projector:
    """What applies the embedding and the clusters of a collection to any image.

    ``projection`` None: the method that found them knows no other images.
    """

    backbone: Backbone
    scale: PerceptualScale
    device: torch.device
    projection: Projection | None
    clusters: SharedClusters
    follow_edges: bool
    smallest_object: float | None = None

    def embedding(self, image: Any) -> Embedding:
        """Of an image that need not be in the collection: one pass through the model, one matrix product."""
        from napari_what_where.collection.passes import on_device
        from napari_what_where.collection.sorts import check_fits
        from napari_what_where.store.stored import remembered

        if self.projection is None:
            raise ValueError(
                "method 'gradient' gives an embedding of the images that it was run on, and of no others. Use method "
                "'streaming' to apply it to other images."
            )
        pixels = check_image(image)
        check_fits(self.scale, pixels)
        layers = remembered(self.backbone).extract(pixels, scale=self.scale, plane=self.plane(pixels))
        return self.projection.embed([on_device(layer, self.device) for layer in layers])

    def labels(self, image: Any, embedding: Embedding) -> np.ndarray:
        """The clusters of such an image with its embedding, (rows, columns) int32 from 1."""
        from napari_what_where.segments.shared import shared_labels

        return shared_labels(self.tree(check_image(image), embedding), embedding, self.clusters)

    def tree(self, pixels: np.ndarray, embedding: Embedding) -> RegionTree:
        """The region tree of a checked image with its embedding."""
        from napari_what_where.segments.shared import shared_tree

        plane = self.plane(pixels)
        return shared_tree(pixels, embedding, self.clusters, self.scale, follow_edges=self.follow_edges, plane=plane)

    def plane(self, pixels: np.ndarray) -> WorkingPlane:
        """The plane that such an image is worked on."""
        from napari_what_where.working_plane.object_scale import plan_plane

        return plan_plane((pixels.shape[0], pixels.shape[1]), self.smallest_object)


@dataclass(frozen=True, eq=False)
class CollectionAnalysis:
    """What one run found in a collection.

    Attributes
    ----------
    values : (count,) float64
        Eigenvalues, descending.
    failures : dict
        By number of the image, why it was left out: one line each.
    provenance : dict
        JSON-ready: versions, model, options, timings, eigenvalues, network layers, error bound.
    folder : path or None
        Where embeddings and labels of the images are; None where only the projection was loaded.
    projector : Projector
        Applies it to other images.
    """

    values: np.ndarray
    failures: Mapping[int, str]
    provenance: dict[str, Any]
    folder: Path | None
    projector: Projector
    images: Sequence[Any] = field(default=(), repr=False)

    def __len__(self) -> int:
        """How many images were asked for."""
        return len(self.images)

    @property
    def count(self) -> int:
        """Number of eigenvectors."""
        return len(self.values)

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        return self.projector.clusters.count

    @property
    def labels(self) -> Sequence[np.ndarray]:
        """Of each image (rows, columns) int32, 1 … clusters; one number means one thing in all. Read when asked for.

        ``LookupError`` for an image that failed, with the reason.
        """
        return OnDemand(len(self), lambda number: read_labels(self._kept(number).labels(number)))

    @property
    def embeddings(self) -> Sequence[Embedding]:
        """Of each image, on its own token grid; an eigenvector means the same in all. Read when asked for."""
        return OnDemand(len(self), lambda number: read_embedding(self._kept(number).embedding(number), self.provenance))

    @property
    def trees(self) -> Sequence[RegionTree]:
        """Of each image the region tree, whose kinds are the clusters. Read when asked for."""
        return OnDemand(len(self), self._tree)

    def embed(self, image: Any) -> np.ndarray:
        """The eigenvectors in an image that was not among them: (count, grid_rows, grid_columns) float32.

        Raises ``ValueError`` or ``TypeError`` for what is no image, or of another kind than the collection's, and where
        the method knows no other images. Cost: one pass through the model.
        """
        return self.projector.embedding(image).vectors

    def label(self, image: Any) -> np.ndarray:
        """The clusters in an image that was not among them: (rows, columns) int32, 1 … clusters. As :meth:`embed`."""
        return self.apply(image)[1]

    def apply(self, image: Any) -> tuple[np.ndarray, np.ndarray]:
        """Both :meth:`embed` and :meth:`label` of an image, for one pass through the model."""
        embedding = self.projector.embedding(image)
        return embedding.vectors, self.projector.labels(image, embedding)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what :meth:`embed` and :meth:`label` need into one small file, see :meth:`load`."""
        import torch

        from napari_what_where.collection.saving import state_of

        with atomic_path(path) as temporary:
            torch.save(state_of(self), temporary)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], *, backbone: Backbone | None = None, device: str = "auto"
    ) -> CollectionAnalysis:
        """A saved one, without its images, to apply to others.

        ``backbone``: the one that it was made with, where the caller has it loaded. Raises ``ValueError`` for a file
        that is none, and what :func:`~napari_what_where.load_backbone` raises.
        """
        from napari_what_where.collection.saving import read_state

        return read_state(Path(path), backbone, device)

    def _kept(self, number: int) -> Kept:
        if number in self.failures:
            raise LookupError(f"Image {number} was left out: {self.failures[number]}")
        if self.folder is None:
            raise LookupError("Only the projection was loaded, without the images that it was made from.")
        return Kept.of(self.folder, self.provenance["options"])

    def _tree(self, number: int) -> RegionTree:
        from napari_what_where.segments.shared import with_shared_kinds

        embedding = self.embeddings[number]
        tree = read_regions(self._kept(number).regions(number), embedding.sharp_vectors)
        return with_shared_kinds(tree, embedding, self.projector.clusters)
