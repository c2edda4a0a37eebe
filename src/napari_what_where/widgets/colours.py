"""Labels coloured by their number, as napari does, or by their kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari.layers import Labels

KINDS = 10
"""Colours for kinds; never more of them are found in an image."""


def collection_colours() -> Any:
    """A colormap of the colours that clusters of a collection have wherever they are shown."""
    import numpy as np
    from napari.utils.colormaps import CyclicLabelColormap

    from napari_what_where.collection.report.colours import DISTINCT, label_colours

    opaque = np.concatenate([label_colours(DISTINCT) / 255, np.ones((DISTINCT, 1))], axis=1)
    return CyclicLabelColormap(colors=np.concatenate([np.zeros((1, 4)), opaque]), background_value=0)


def colour_by_kind(layer: Labels) -> None:
    """One colour for all labels that share a value in the layer's feature "kind"."""
    from napari.utils.colormaps import DirectLabelColormap, label_colormap

    if "kind" not in layer.features:
        return
    colours = label_colormap(KINDS + 1, seed=0.35)
    rows = layer.features[["index", "kind"]].dropna().to_numpy()
    shown = {int(label): colours.map(int(kind)) for label, kind in rows}
    # A label that was painted since is of no kind: it stands out in white.
    every: dict[Any, Any] = {None: "white", 0: "transparent", **shown}
    layer.colormap = DirectLabelColormap(color_dict=every)


def colour_by_number(layer: Labels) -> None:
    """The layer's colours as napari gives them, if they are ours; the user's own are left alone."""
    from napari.utils.colormaps import DirectLabelColormap, label_colormap

    if isinstance(layer.colormap, DirectLabelColormap):
        layer.colormap = label_colormap(49, seed=0.5)
