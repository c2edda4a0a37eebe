"""From Labels layers to what is written of them: axes, scale, names, colours and the image below; no Qt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.files.formats.types import AXES, Colour, LabelImage
from napari_what_where.files.formats.units import unit_symbol
from napari_what_where.files.many import Export
from napari_what_where.files.selection import Ranges, keep_labels
from napari_what_where.widgets.results import METADATA_KEY

if TYPE_CHECKING:
    from napari.layers import Image, Labels

_LETTERS = {"t": "T", "time": "T", "frame": "T", "z": "Z", "depth": "Z", "plane": "Z", "c": "C", "channel": "C"}


def finest(layer: Any) -> Any:
    """The pixels of a layer; of several resolutions the finest."""
    return layer.data[0] if layer.multiscale else layer.data


def pixel_shape(layer: Any) -> tuple[int, ...]:
    """That of its pixels, without colours."""
    shape = tuple(finest(layer).shape)
    return shape[:-1] if getattr(layer, "rgb", False) else shape


def kept_axes(layer: Labels) -> list[int]:
    """The axes that are written: rows, columns, and those before them that have a length."""
    shape = pixel_shape(layer)
    return [axis for axis, length in enumerate(shape) if length > 1 or axis >= len(shape) - 2]


def axis_letters(layer: Labels) -> str:
    """What these axes are, of "TZCYX": as the layer says, or as their number suggests. ``ValueError`` for too many."""
    kept = kept_axes(layer)
    said = [_LETTERS.get(str(layer.axis_labels[axis]).strip().lower(), "?") for axis in kept[:-2]]
    if "?" not in said and len(set(said)) == len(said):
        return "".join(said) + "YX"
    if len(kept) not in AXES:
        raise ValueError(f"{layer.name!r} has {len(kept)} axes; expected a plane, a stack, or a series of stacks.")
    return AXES[len(kept)]


def placed_in(labels: Labels, image: Image) -> tuple[int, ...] | None:
    """The pixel of an image layer where the labels begin; None where they are not laid over whole pixels of it."""
    shape, around = pixel_shape(labels), pixel_shape(image)
    if len(shape) != len(around):
        return None
    # Both may be turned, sheared and moved in the world: what counts is where the labels lie on the image's pixels.
    across = np.linalg.solve(_to_world(image), _to_world(labels))
    first = across[:-1, -1]
    if not np.allclose(across[:-1, :-1], np.eye(len(shape)), atol=1e-3):
        return None
    start = np.rint(first).astype(int)
    inside = (start >= 0).all() and (start + shape <= around).all()
    return tuple(map(int, start)) if inside and np.allclose(first, start, atol=0.01) else None


def _to_world(layer: Any) -> np.ndarray:
    """From pixels of a layer to the world, a homogeneous matrix."""
    count = layer.ndim
    corner = np.asarray(layer.data_to_world(np.zeros(count)))
    matrix = np.eye(count + 1)
    matrix[:-1, :-1] = np.transpose([np.asarray(layer.data_to_world(step)) - corner for step in np.eye(count)])
    matrix[:-1, -1] = corner
    return matrix


def describe_scale(layer: Labels) -> str:
    """The size of a pixel in words: "0.25 × 0.25 µm (planes 2 µm apart)"."""
    unit = unit_symbol(str(layer.units[-1]))
    row, column = (abs(float(size)) for size in layer.scale[-2:])
    if unit is None:
        return "not known: measured in pixels"
    said = f"{row:.4g} × {column:.4g} {unit}"
    axes = zip(kept_axes(layer)[:-2], axis_letters(layer), strict=False)
    return said + "".join(
        f", {letter.lower()} every {abs(float(layer.scale[axis])):.4g} {unit_symbol(str(layer.units[axis])) or 'px'}"
        for axis, letter in axes
    )


def describe_stack(layer: Labels) -> str:
    """What becomes of a stack, in words; nothing for one plane."""
    letters = axis_letters(layer)
    if letters == "YX":
        return ""
    lengths = [pixel_shape(layer)[axis] for axis in kept_axes(layer)[:-2]]
    sizes = ", ".join(f"{length} along {letter.lower()}" for length, letter in zip(lengths, letters, strict=False))
    measured = "volumes are measured" if "Z" in letters else "every plane is measured by itself"
    return f"A stack ({sizes}): one file for all planes, outlines plane by plane, {measured}. PNG holds one plane only."


@dataclass(frozen=True, eq=False)
class LayerCopy:
    """All that is written of a layer, as it was when the user pressed Export."""

    name: str
    data: Any
    axes: str
    kept: tuple[int, ...]
    pixel_size: tuple[float, ...]
    units: tuple[str, ...]
    colormap: Any
    names: Mapping[int, str] = field(default_factory=dict)
    classes: Mapping[int, str] = field(default_factory=dict)
    record: Mapping[str, Any] | None = None
    image: Any = None
    image_name: str = ""
    image_path: Path | None = None
    start: tuple[int, ...] = ()
    image_shape: tuple[int, int] | None = None

    def prepare(self, stem: str, ranges: Ranges | None) -> Export:
        """The label image; of some labels, if ``ranges`` are given. Takes time: for a worker thread."""
        pixels = np.asarray(self.data)
        labels = pixels.reshape([pixels.shape[axis] for axis in self.kept])
        labels = labels if ranges is None else keep_labels(labels, ranges)
        order = sorted(range(len(self.axes)), key=lambda axis: "TZCYX".index(self.axes[axis]))
        given = LabelImage(
            labels.transpose(order),
            axes="".join(self.axes[axis] for axis in order),
            pixel_size=[self.pixel_size[axis] for axis in order],
            units=[self.units[axis] for axis in order],
            names=self.names,
            classes=self.classes,
            colours=LayerColours(self.colormap),
            image=self._image(pixels.shape, order),
            image_name=self.image_name,
            offset=(self.start[-2], self.start[-1]) if self.start else (0, 0),
            image_shape=self.image_shape,
            name=stem,
        )
        said = "all" if ranges is None else [list(ends) for ends in ranges]
        record = None if self.record is None else {**self.record, "layer": self.name, "labels": said}
        return Export(stem, given, record, self.image_path)

    def _image(self, shape: tuple[int, ...], order: list[int]) -> np.ndarray | None:
        if self.image is None:
            return None
        window = tuple(slice(first, first + length) for first, length in zip(self.start, shape, strict=True))
        image = np.asarray(self.image[window])
        channels = image.shape[len(shape) :]
        image = image.reshape([*(shape[axis] for axis in self.kept), *channels])
        return image.transpose([*order, *range(len(order), image.ndim)])


def copy_layer(layer: Labels, image: Image | None) -> LayerCopy:
    """What is written of a layer; ``image``: the one below, if the labels lie in it. ``ValueError`` for odd axes."""
    kept = kept_axes(layer)
    features = layer.features
    data = finest(layer)
    start = None if image is None else placed_in(layer, image)
    below: dict[str, Any] = {}
    if image is not None and start is not None:
        rows, columns = pixel_shape(image)[-2:]
        path = image.source.path
        below = {"image": finest(image), "start": start, "image_shape": (rows, columns)}
        below |= {"image_name": Path(path).name, "image_path": Path(path)} if path else {"image_name": image.name}
    return LayerCopy(
        name=layer.name,
        data=data.copy() if isinstance(data, np.ndarray) else data,
        axes=axis_letters(layer),
        kept=tuple(kept),
        pixel_size=tuple(abs(float(layer.scale[axis])) for axis in kept),
        units=tuple(str(layer.units[axis]) for axis in kept),
        colormap=layer.colormap,
        names=_texts(features, "name", "{}"),
        classes=_texts(features, "class", "{}") or _texts(features, "kind", "kind {}"),
        record=layer.metadata.get(METADATA_KEY),
        **below,
    )


def _texts(features: Any, column: str, form: str) -> dict[int, str]:
    """A column of the table of a Labels layer, by label: its index says which, else the number of the row."""
    if column not in features:
        return {}
    labels = features.get("index", features.index)
    pairs = zip(labels.tolist(), features[column].tolist(), strict=True)
    return {int(label): form.format(text) for label, text in pairs if text == text and text not in (None, "")}


class LayerColours(Mapping[int, Colour]):
    """The colours in which a layer shows its labels, looked up when they are asked for; hidden labels have none."""

    def __init__(self, colormap: Any) -> None:
        # A copy, which shows all labels while the layer may show the selected one only.
        self._colormap = colormap.model_copy(update={"use_selection": False})

    def __getitem__(self, label: int) -> Colour:
        red, green, blue, opacity = self._colormap.map(np.array([label]))[0].tolist()
        if not opacity:
            raise KeyError(label)
        return round(255 * red), round(255 * green), round(255 * blue)

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0
