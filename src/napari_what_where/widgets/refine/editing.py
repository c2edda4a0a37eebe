"""Edits of planes → one step of the layer's own undo, drawn at once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.widgets.refine.history import atom, bound_history
from napari_what_where.widgets.refine.target import Plane, check_writable, dtype_of, most_of

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_what_where.refinement.edit import Edit

MOST_NUMBERS = 2**26
"""Labels from here on do not take their names along: the table of numbers would be too large."""
_PARTLY = ("_get_update_slices", "_align_data_to_view", "_accumulate_updated_slice", "_partial_labels_refresh")
"""What napari 0.9 draws a changed part with; where it has other names, all is drawn anew."""


@dataclass(frozen=True, eq=False)
class Change:
    """An edit of one plane, ready to be written: ``mask`` of a box of the data, with its ``old`` and ``new`` labels.

    ``step``: what napari's history will hold of it; made beforehand, as large ones are compressed.
    """

    plane: Plane
    key: tuple[slice, ...]
    mask: np.ndarray
    old: np.ndarray
    new: np.ndarray
    step: Any

    def still_holds(self) -> bool:
        """Whether the pixels that it changes are still as they were when it was made."""
        try:
            return bool(np.array_equal(np.asarray(self.plane.layer.data[self.key])[self.mask], self.old))
        except IndexError:  # other data
            return False


def prepare(plane: Plane, edit: Edit, labels: np.ndarray | None = None) -> Change | None:
    """What :func:`write` needs of an edit, made off the GUI thread where that matters; None if nothing changes.

    ``labels``: of the plane, as the edit was made of them, where they may have changed since.

    Raises ``ValueError``, in words, for a label that the layer's type has no room for.
    """
    if not len(edit.flat):
        return None
    dtype, columns = dtype_of(plane.layer), plane.shape[1]
    highest, most = int(edit.values.max()), most_of(plane.layer)
    if highest > most:
        raise ValueError(
            f"A label of {highest} does not fit into {plane.layer.name!r}, whose labels go up to {most} ({dtype}); "
            "nothing was changed. Convert it first: right click on the layer ▸ Convert data type."
        )
    rows, columns_of = np.divmod(edit.flat, columns)
    top, bottom = int(rows[0]), int(rows[-1]) + 1  # flat indices ascend
    left, right = int(columns_of.min()), int(columns_of.max()) + 1
    mask = np.zeros((bottom - top, right - left), bool)
    mask[rows - top, columns_of - left] = True
    sides = {plane.axes[0]: slice(top, bottom), plane.axes[1]: slice(left, right)}
    key = tuple(
        sides[axis] if axis in sides else slice(step, step + 1)  # type: ignore[operator]
        for axis, step in enumerate(plane.index)
    )
    old = (plane.read() if labels is None else labels)[top:bottom, left:right][mask]
    block, new = plane.block(mask), edit.values.astype(dtype)
    return Change(plane, key, block, old, new, atom(key, block, old, new))


def write(layer: Labels, changes: Sequence[Change], features: Any = None) -> int:
    """Write changes into the layer as one step of its undo; returns how many older steps it had no room to keep.

    ``features``: those that the layer has from then on, if they change, too; undone and redone with the pixels.
    The layer tells of it as of a stroke of paint, once all is written; what fails midway is put back, and no step of
    undo. Cost: that of the changed pixels.
    """
    last, staged = _last_step(layer), list(layer._staged_history)
    written: list[Change] = []
    try:
        for change in changes:
            written.append(change)
            _put(layer, change, change.new)
        _show(layer, changes)
        with layer.block_history():
            if features is not None:
                _save_features(layer, features)
            for change in changes:
                layer._save_history(change.step)
    except BaseException:
        if _last_step(layer) is last:  # else it is done, and only who was told of it has failed
            _put_back(layer, written)
            layer._staged_history = staged
        else:
            layer._staged_history = []
        raise
    return bound_history(layer)


def _last_step(layer: Labels) -> Any:
    return layer._undo_history[-1] if layer._undo_history else None


def _put(layer: Labels, change: Change, values: np.ndarray) -> None:
    """Boxes and masks of boxes: what every kind of array takes."""
    box = np.asarray(layer.data[change.key])
    box[change.mask] = values
    layer.data[change.key] = box


def _put_back(layer: Labels, changes: Sequence[Change]) -> None:
    """Undo what was written before writing failed, as far as that can be written."""
    for change in reversed(changes):
        with suppress(Exception):
            _put(layer, change, change.old)
    with suppress(Exception):
        layer.refresh()


def _show(layer: Labels, changes: Sequence[Change]) -> None:
    if not all(hasattr(layer, name) for name in _PARTLY):
        layer.refresh()
        return
    for change in changes:
        _draw(layer, change)


def _draw(layer: Labels, change: Change) -> None:
    """Bring what napari keeps of the plane on screen up to date, and have the changed part drawn."""
    state = layer._slicing_state
    places = layer._get_update_slices(change.key) if state.loaded and not layer._slice.empty else None
    if places is None:
        return
    here, there = (tuple(each) for each in places)
    image, data = layer._slice.image, layer.data
    shared = isinstance(data, np.ndarray) and np.shares_memory(data, image.view)
    if not shared:
        mask, new = change.mask[here], change.new
        if tuple(layer._slice_input.displayed) != change.plane.axes:
            # A view that is turned, or along other axes.
            values = np.zeros(change.mask.shape, new.dtype)
            values[change.mask] = new
            turned, mask = layer._align_data_to_view(values[here], mask)
            new = turned[mask]
        if not (isinstance(data, np.ndarray) and np.shares_memory(data, image.raw)):
            image.raw[there][mask] = new
        if layer.contour == 0:
            image.view[there][mask] = layer.colormap._data_to_texture(new)
    layer._accumulate_updated_slice(change.key)
    layer._partial_labels_refresh()


class _Name:
    """The name of a label as a value of napari's history: taken there, it is set, and changes no pixel.

    So a rename takes its turn among all other steps of undo and redo.
    """

    nbytes = 0

    def __init__(self, layer: Labels, features: Any) -> None:
        self._layer, self._features = layer, features

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        self._layer.features = self._features
        return np.zeros(0, dtype_of(self._layer))


def rename(layer: Labels, label: int, name: str) -> None:
    """Name a label in the layer's features, as one step of its undo. Raises as :func:`check_writable`."""
    check_writable(layer)  # a step of undo writes into its pixels, if only into none of them
    with layer.block_history():
        _save_features(layer, named(layer.features.copy(), label, name))


def _save_features(layer: Labels, after: Any) -> None:
    """Give a layer other features, as part of a step of its undo."""
    before, nothing = layer.features.copy(), (np.zeros(0, np.int64),) * layer.ndim
    layer.features = after
    layer._save_history((nothing, _Name(layer, before), _Name(layer, after)))


def renumbered(layer: Labels, changes: Sequence[Change]) -> Any:
    """The layer's features once its labels have other numbers by ``changes``; None if it has none that matter.

    What a label is called follows it; rows of labels that are gone make room for those that get their numbers.
    """
    features = layer.features
    if not changes or "index" not in features or not len(features):
        return None
    index = features["index"].to_numpy().astype(np.int64)
    highest = max(int(index.max()), *(int(change.old.max()) for change in changes))
    if highest >= MOST_NUMBERS or index.min() < 0:
        return None
    number = np.arange(highest + 1)
    for change in changes:
        number[change.old] = change.new
    moved = number != np.arange(highest + 1)
    kept = moved[index] | ~np.isin(index, number[moved])
    after = features[kept].copy()
    after["index"] = number[index[kept]]
    return after.sort_values("index", kind="stable").reset_index(drop=True)


def named(features: Any, label: int, name: str) -> Any:
    """Features with the name of one label set; the rows that were there stay."""
    import pandas as pd  # type: ignore[import-untyped]

    table = features.copy()
    if "index" not in table:  # napari then takes the number of the row for the label
        table.insert(0, "index", np.arange(len(table)))
    if "name" not in table:
        table["name"] = pd.Series([""] * len(table), dtype=object, index=table.index)
    else:
        table["name"] = table["name"].astype(object)
    if not (table["index"] == label).any():
        row = pd.DataFrame({"index": [label], "name": [name]})
        table = row if table.empty else pd.concat([table, row], ignore_index=True)
    else:
        table.loc[table["index"] == label, "name"] = name
    return table.reset_index(drop=True)


def names_of(layer: Labels) -> dict[int, str]:
    """The names that labels have been given."""
    features = layer.features
    if "index" not in features or "name" not in features:
        return {}
    pairs = zip(features["index"], features["name"], strict=True)
    return {int(label): name for label, name in pairs if isinstance(name, str) and name}
