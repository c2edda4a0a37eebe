"""An analysed collection → the data and attributes of napari layers, where the images lie; no Qt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.collection.kinds import Kind, describe_kinds
from napari_what_where.memory import free_memory
from napari_what_where.progress import Progress, Report
from napari_what_where.segments.superpixels import resized
from napari_what_where.widgets.buffers import label_type
from napari_what_where.widgets.collection.lazy import lazy_stack
from napari_what_where.widgets.collection.pool import FileImages, Look, Pool
from napari_what_where.widgets.colours import collection_colours
from napari_what_where.widgets.results import METADATA_KEY, LayerSpec, arrange, placement
from napari_what_where.widgets.source import Source

if TYPE_CHECKING:
    from napari_what_where.collection.answer import CollectionAnalysis

MOST_MEMORY = 0.25
"""Of free memory, for labels of a whole stack; larger ones are read plane by plane, and edited one at a time."""
SAMPLED = 8
"""Images that contrast limits are taken from."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a run found, with all that showing it does not need napari for.

    Attributes
    ----------
    labels : one for a stack or a folder, else one a layer; ``kept``: copies of those in memory, (…,) of the same shape
    lazy : whether labels are read when they are looked at, and so cannot be edited in place
    pictures : other layers, by their role; those of ``fixed`` roles are the same for the same images
    """

    pool: Pool
    analysis: CollectionAnalysis
    kinds: Sequence[Kind]
    labels: Sequence[LayerSpec]
    lazy: bool
    pictures: dict[str, LayerSpec]
    kept: Sequence[np.ndarray] = field(default=())
    fixed: frozenset[str] = frozenset()

    @property
    def pathway(self) -> str:
        """One of "what", "where" and "both"."""
        return str(self.analysis.provenance["options"]["pathway"])

    @property
    def columns(self) -> dict[str, Any]:
        """One row for each kind, as a Labels layer wants it."""
        return {
            "index": np.array([kind.number for kind in self.kinds]),
            "share": np.array([round(kind.share, 4) for kind in self.kinds]),
            "images": np.array([kind.images for kind in self.kinds]),
        }

    @property
    def failures(self) -> list[str]:
        """A line for each image that was left out."""
        return [f"{self.pool.names[number]}: {said}" for number, said in sorted(self.analysis.failures.items())]


def prepare(pool: Pool, analysis: CollectionAnalysis, report: Report) -> Found:
    """Everything that takes time; off the GUI thread. ``report`` may raise ``Cancelled``."""
    kinds = describe_kinds(analysis, pool.names, report)
    make = _of_stack if pool.stack else _of_layers if pool.layers else _of_folder
    return make(pool, analysis, kinds, report)


def _of_stack(pool: Pool, analysis: CollectionAnalysis, kinds: Sequence[Kind], report: Report) -> Found:
    source = pool.stack
    assert source is not None
    rows, columns = source.shape
    dtype = label_type(analysis.clusters)
    count = len(analysis)
    lazy = count * rows * columns * dtype.itemsize * 2 > MOST_MEMORY * free_memory("cpu")
    planes: Any = lazy_stack(lambda n: analysis.labels[n], count, (rows, columns), dtype)
    if not lazy:
        planes = np.zeros((count, rows, columns), dtype)
        for number in _good(analysis):
            report(Progress("reading labels", number, count))
            planes[number] = analysis.labels[number]
    labels = _labels_spec(source, arrange(planes, source), (rows, columns), _name(pool, analysis, "kinds"), analysis)
    kept = [] if lazy else [labels.data.copy()]
    grid = analysis.embeddings[_good(analysis)[0]].grid

    def vector(k: int, number: int) -> np.ndarray:
        return _spread(analysis, number)[k]

    stack = lazy_stack(vector, count, grid, np.float32, leading=analysis.count)
    eigenvectors = LayerSpec(
        arrange(stack, source, leading=1),
        {
            "name": _name(pool, analysis, "eigenvectors"),
            **_vector_look(analysis),
            **placement(source, grid, leading=True),
            "metadata": {METADATA_KEY: analysis.provenance},
        },
    )
    return Found(pool, analysis, kinds, [labels], lazy, {"eigenvectors": eigenvectors}, kept)


def _of_layers(pool: Pool, analysis: CollectionAnalysis, kinds: Sequence[Kind], report: Report) -> Found:
    labels, pictures = [], {}
    for number, source in enumerate(pool.layers):
        if number in analysis.failures:
            continue
        planes = analysis.labels[number].astype(label_type(analysis.clusters))[None]
        name = f"{source.plane_name} kinds ({_pathway(analysis)}, {pool.name})"
        labels.append(_labels_spec(source, arrange(planes, source), source.shape, name, analysis, image=number))
        spread = _spread(analysis, number)
        pictures[f"eigenvectors {number}"] = _vectors_spec(source, spread, analysis, pool.name)
    return Found(pool, analysis, kinds, labels, False, pictures, [spec.data.copy() for spec in labels])


def _of_folder(pool: Pool, analysis: CollectionAnalysis, kinds: Sequence[Kind], report: Report) -> Found:
    files = pool.images
    assert isinstance(files, FileImages)
    good = _good(analysis)
    looks = {number: files.looks[number] for number in good}
    size = max(look.shape[0] for look in looks.values()), max(look.shape[1] for look in looks.values())
    place = _file_placement(list(looks.values()))
    metadata = {METADATA_KEY: analysis.provenance}
    labels = LayerSpec(
        lazy_stack(lambda n: analysis.labels[n], len(files), size, label_type(analysis.clusters)),
        {
            "name": _name(pool, analysis, "kinds"),
            "opacity": 0.5,
            "colormap": collection_colours(),
            "metadata": metadata,
            **place,
        },
    )
    pictures = _file_pictures(pool, files, looks, size, place, analysis.projector.scale.colour)
    fixed = frozenset(pictures)
    pictures["eigenvectors"] = _file_vectors(pool, analysis, looks, size, place)
    return Found(pool, analysis, kinds, [labels], True, pictures, (), fixed)


def _file_pictures(
    pool: Pool, files: FileImages, looks: dict[int, Look], size: tuple[int, int], place: dict[str, Any], colour: bool
) -> dict[str, LayerSpec]:
    """The images themselves: in ``colour``, or a layer a channel."""
    from napari_what_where.image import check_image

    if colour:
        colours = lazy_stack(lambda n: _as_bytes(check_image(files[n])), len(files), (*size, 3), np.dtype(np.uint8))
        return {"image": LayerSpec(colours, {"name": pool.name, "rgb": True, **place})}
    dtype = np.result_type(*(look.dtype for look in looks.values()))
    chosen = list(looks)[:: max(1, len(looks) // SAMPLED)][:SAMPLED]
    sample = [check_image(files[number]) for number in chosen]
    channels = 1 if sample[0].ndim == 2 else sample[0].shape[2]
    found = {}
    for channel in range(channels):

        def read(number: int, channel: int = channel) -> np.ndarray:
            return files[number].reshape(*files[number].shape[:2], -1)[..., channel]

        values = np.concatenate([each.reshape(-1, channels)[:: 1 + each.size // 100_000, channel] for each in sample])
        low, high = np.percentile(values, [0.2, 99.8])
        name = pool.name if channels == 1 else f"{pool.name} channel {channel}"
        attributes = {"name": name, "contrast_limits": (float(low), float(max(high, low + 1e-6))), **place}
        if channel:
            attributes["blending"] = "additive"
        found[f"image {channel}"] = LayerSpec(lazy_stack(read, len(files), size, dtype), attributes)
    return found


def _as_bytes(colours: np.ndarray) -> np.ndarray:
    """An image in colour, of 8 bits or floats within [0, 1], as 8 bits."""
    return colours if colours.dtype == np.uint8 else np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)


def _file_vectors(
    pool: Pool, analysis: CollectionAnalysis, looks: dict[int, Look], size: tuple[int, int], place: dict[str, Any]
) -> LayerSpec:
    """Eigenvectors on their own grid where all images are of one size, else on pixels."""
    even = len({look.shape[:2] for look in looks.values()}) == 1
    grid = analysis.embeddings[next(iter(looks))].grid if even else size

    def vector(k: int, number: int) -> np.ndarray:
        found = _spread(analysis, number)[k]
        return found if even else resized(found, looks[number].shape[:2])

    scale = np.array(place["scale"], float)
    factor = np.array([1.0, size[0] / grid[0], size[1] / grid[1]])
    return LayerSpec(
        lazy_stack(vector, len(analysis), grid, np.float32, leading=analysis.count),
        {
            "name": _name(pool, analysis, "eigenvectors"),
            **_vector_look(analysis),
            "scale": (1.0, *(scale * factor)),
            "translate": (0.0, *(scale * (factor - 1) / 2)),
            "units": ("pixel", *place["units"]),
            "axis_labels": ("eigenvector", *place["axis_labels"]),
            "metadata": {METADATA_KEY: analysis.provenance},
        },
    )


def _file_placement(looks: Sequence[Look]) -> dict[str, Any]:
    """One image after the other; with the size of a pixel where all files say the same."""
    said = {(look.pixel_size, look.units) for look in looks}
    (pixel_size, units) = said.pop() if len(said) == 1 else (None, None)
    unit = units if pixel_size is not None and units else "pixel"
    return {
        "scale": (1.0, *(pixel_size or (1.0, 1.0))),
        "units": ("pixel", unit, unit),
        "axis_labels": ("image", "y", "x"),
    }


def one_image(found: Found, number: int) -> LayerSpec:
    """The labels of one image of a stack or folder, to be edited: where it lies among the others."""
    pool, analysis = found.pool, found.analysis
    labels = analysis.labels[number].astype(label_type(analysis.clusters))[None]
    name = f"{pool.names[number]} kinds ({found.pathway})"
    if pool.stack is not None:
        index = list(pool.stack.index)
        index[pool.stack.plane_axis or 0] = number
        source = replace(pool.stack, index=tuple(index), plane_axis=None)
        name = f"{source.plane_name} kinds ({found.pathway})"
        return _labels_spec(source, arrange(labels, source), source.shape, name, analysis, image=number)
    attributes = found.labels[0].attributes
    record = {METADATA_KEY: {**analysis.provenance, "result": "kinds", "image": number, "file": pool.names[number]}}
    return LayerSpec(
        labels, {**attributes, "name": name, "translate": (float(number), 0.0, 0.0), "opacity": 0.5, "metadata": record}
    )


def applied(
    source: Source, labels: np.ndarray, vectors: np.ndarray, analysis: CollectionAnalysis, of: str
) -> tuple[LayerSpec, LayerSpec]:
    """What a collection's projection made of one more image: eigenvectors, and labels."""
    name = f"{source.plane_name} kinds ({_pathway(analysis)}, as {of})"
    planes = labels.astype(label_type(analysis.clusters))[None]
    spread = vectors * np.float32(prod(vectors.shape[1:])) ** 0.5
    return (
        _vectors_spec(source, spread, analysis, f"as {of}"),
        _labels_spec(source, arrange(planes, source), source.shape, name, analysis),
    )


def regions_spec(found: Found, labels: np.ndarray) -> LayerSpec:
    """Regions of a stack, (planes, rows, columns), each with one number wherever it is; in an array of their own."""
    source = found.pool.stack
    assert source is not None
    name = _name(found.pool, found.analysis, "regions")
    data = np.array(arrange(labels, source))
    return _labels_spec(source, data, source.shape, name, found.analysis, what="regions")


def _labels_spec(
    source: Source,
    data: Any,
    shape: tuple[int, int],
    name: str,
    analysis: CollectionAnalysis,
    *,
    image: int | None = None,
    what: str = "kinds",
) -> LayerSpec:
    record = {**analysis.provenance, "result": what} | ({} if image is None else {"image": image})
    look: dict[str, Any] = {"name": name, "opacity": 0.5, "metadata": {METADATA_KEY: record}}
    if what == "kinds":
        look["colormap"] = collection_colours()
    return LayerSpec(data, {**look, **placement(source, shape)})


def _vectors_spec(source: Source, spread: np.ndarray, analysis: CollectionAnalysis, of: str) -> LayerSpec:
    """Eigenvectors of one image, (count, grid_rows, grid_columns)."""
    grid = spread.shape[1], spread.shape[2]
    return LayerSpec(
        arrange(spread[:, None], source, leading=1),
        {
            "name": f"{source.plane_name} eigenvectors ({_pathway(analysis)}, {of})",
            **_look_of(spread),
            **placement(source, grid, leading=True),
            "metadata": {METADATA_KEY: analysis.provenance},
        },
    )


def _spread(analysis: CollectionAnalysis, number: int) -> np.ndarray:
    """Eigenvectors of an image, scaled so that one spread evenly has values of ±1: (count, rows, columns) float32."""
    vectors = analysis.embeddings[number].vectors
    return np.asarray(vectors * np.float32(prod(vectors.shape[1:])) ** 0.5)


def _vector_look(analysis: CollectionAnalysis) -> dict[str, Any]:
    good = _good(analysis)
    chosen = good[:: max(1, len(good) // SAMPLED)][:SAMPLED]
    return _look_of(np.concatenate([_spread(analysis, number).ravel() for number in chosen]))


def _look_of(values: np.ndarray) -> dict[str, Any]:
    low, high = np.percentile(values, [1, 99])
    limits = (float(low), float(max(high, low + 1e-6)))
    return {"colormap": "viridis", "contrast_limits": limits, "interpolation2d": "linear", "visible": False}


def _good(analysis: CollectionAnalysis) -> list[int]:
    return [number for number in range(len(analysis)) if number not in analysis.failures]


def _pathway(analysis: CollectionAnalysis) -> str:
    return str(analysis.provenance["options"]["pathway"])


def _name(pool: Pool, analysis: CollectionAnalysis, what: str) -> str:
    return f"{pool.name} {what} ({_pathway(analysis)})"
