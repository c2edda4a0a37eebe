"""What the dock holds between runs: the analysis, its trees, and the layers that show them. No Qt."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.pipeline import Analysis
from napari_what_where.segments.tree import RegionTree
from napari_what_where.widgets.protected import ProtectedLabels
from napari_what_where.widgets.results import (
    LayerSpec,
    composite_layer,
    eigenvector_layer,
    segments_layer,
)
from napari_what_where.widgets.script import file_gives_same
from napari_what_where.widgets.source import Source

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer
    from napari.viewer import Viewer


@dataclass(frozen=True, eq=False)
class Prepared:
    """A finished analysis with its image layers' data, made off the GUI thread."""

    analysis: Analysis
    source: Source
    images: dict[str, LayerSpec]
    from_file: bool
    """Whether reading the layer's file again gives the very pixels that were analysed."""


def prepare(analysis: Analysis, source: Source) -> Prepared:
    """Do, off the GUI thread, all of the work that showing an analysis does not need napari for."""
    analysis.tree.features(analysis.tree.auto_count)  # fills the caches that the slider reads
    images = {"eigenvectors": eigenvector_layer(analysis, source), "composite": composite_layer(analysis, source)}
    return Prepared(analysis, source, images, file_gives_same(analysis, source))


class Session:
    """One dock's results in one viewer.

    The last analysis is *live*: its segments follow :meth:`show_segments`. Running again on the same plane and
    pathway updates the same layers; anything else, and any Labels layer that was touched, gets new ones.
    """

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.source: Source | None = None
        self.analysis: Analysis | None = None
        self.trees: dict[bool, RegionTree] = {}
        self.follow_edges = True
        self.from_file = False
        self.shown = 0
        self._labels: ProtectedLabels | None = None
        self._images: dict[str, Image] = {}
        self._made: dict[Any, tuple[Analysis, Source]] = {}

    @property
    def tree(self) -> RegionTree | None:
        """The region tree that segments are taken from."""
        return self.trees.get(self.follow_edges)

    @property
    def labels_layer(self) -> Labels | None:
        """The live Labels layer, if it is there."""
        return self._labels.layer if self._labels and self._labels.layer in self.viewer.layers else None

    def show_analysis(self, prepared: Prepared, *, follow_edges: bool, segments: int | None) -> str:
        """Make a finished analysis the live one and bring its layers up to date; returns what to tell the user.

        ``segments`` is the number of segments to show, None for the automatic one.
        """
        analysis, source = prepared.analysis, prepared.source
        before, state = list(self.viewer.layers), dict(self.__dict__)
        shown = [(layer, layer.data, layer.metadata) for layer in self._images.values()]
        # New images are told apart from those that are kept, and a kept hold stays on watch until all has been shown.
        same = self._same_subject(analysis, source)
        self._images = dict(self._images) if same else {}
        self._labels = self._labels if same else None
        self.analysis, self.source = analysis, source
        self.trees, self.follow_edges = {follow_edges: analysis.tree}, follow_edges
        self.from_file = prepared.from_file
        if len(source.index) == 2:
            self.viewer.dims.ndisplay = 2  # napari 0.9 cannot show a flat colour image, our composite, in 3D
        try:
            for role, spec in prepared.images.items():
                self._show_image(role, spec)
            told = self.show_segments(analysis.tree.auto_count if segments is None else segments)
        except Exception:
            # napari could not show them: none is better than some.
            self.__dict__.update(state)
            for layer in [layer for layer in self.viewer.layers if layer not in before]:
                with suppress(Exception):  # napari may stumble over the same layer again
                    self.viewer.layers.remove(layer)
            for layer, data, metadata in shown:
                layer.data, layer.metadata = data, metadata
            raise
        if not same and state["_labels"] is not None:
            state["_labels"].release()
        return told

    def add_tree(self, tree: RegionTree, *, follow_edges: bool) -> str:
        """A second tree of the live analysis, now the one shown."""
        self.trees[follow_edges] = tree
        return self.use_tree(follow_edges)

    def use_tree(self, follow_edges: bool) -> str:
        """Take segments from the tree with, or without, the image's edges."""
        self.follow_edges = follow_edges
        assert self.analysis is not None
        options = self.analysis.provenance["options"] | {"follow_edges": follow_edges}
        provenance = self.analysis.provenance | {"options": options}
        self.analysis = replace(self.analysis, tree=self.trees[follow_edges], provenance=provenance)
        return self.show_segments(self.shown)

    def show_segments(self, count: int) -> str:
        """Show the live analysis in ``count`` segments; returns what to tell the user."""
        tree = self.tree
        if tree is None or self.analysis is None or self.source is None:
            return "Press Run first."
        self.shown = min(count, tree.leaf_count)
        table = tree.leaf_labels(self.shown)
        spec = segments_layer(self.analysis, self.source, table[tree.leaves])
        shape = spec.data.shape

        def expected() -> np.ndarray:
            return table[tree.leaves].reshape(shape)

        features = feature_columns(tree, self.shown)
        held = self._labels if self.labels_layer is not None else None
        if held is not None and not held.touched and held.layer.data.ndim == spec.data.ndim:
            held.write(spec.data, features, expected)
            held.layer.metadata = {**held.layer.metadata, **spec.attributes["metadata"]}
            self._remember(held.layer)
            return f"{self.shown} segments."
        edited = held.layer.name if held is not None else None
        layer = self.viewer.add_labels(spec.data, **spec.attributes)
        # Not while it is added: in a 3D display napari 0.9 fails to describe a new layer that has features.
        layer.features = features
        if self._labels is not None:
            self._labels.release()
        self._labels = ProtectedLabels(layer, expected)
        self._remember(layer)
        if edited:
            return f"{self.shown} segments in a new layer: {edited!r} has your edits and stays as it is."
        return f"{self.shown} segments in {layer.name!r}, a new layer."

    def made_by(self, layer: Layer | None) -> tuple[Analysis, Source] | None:
        """The analysis and source that one of our Labels layers came from; None for any other layer."""
        return None if layer is None else self._made.get(layer.unique_id)

    def _same_subject(self, analysis: Analysis, source: Source) -> bool:
        if self.analysis is None or self.source is None or self.source.key != source.key:
            return False
        was, now = (each.provenance["options"]["pathway"] for each in (self.analysis, analysis))
        return bool(was == now)

    def _show_image(self, role: str, spec: LayerSpec) -> None:
        layer = self._images.get(role)
        if layer is None or layer not in self.viewer.layers or layer.data.ndim != spec.data.ndim:
            step = self.viewer.dims.current_step
            self._images[role] = self.viewer.add_image(spec.data, **spec.attributes)
            added = self.viewer.dims.ndim - len(step)
            if added:  # the first eigenvector is nearly even: open on the second
                self.viewer.dims.set_current_step(0, min(1, len(spec.data) - 1))
            return
        layer.data = spec.data
        layer.metadata = {**layer.metadata, **spec.attributes["metadata"]}
        if "contrast_limits" in spec.attributes:
            layer.contrast_limits = spec.attributes["contrast_limits"]

    def _remember(self, layer: Labels) -> None:
        assert self.analysis is not None and self.source is not None
        there = {each.unique_id for each in self.viewer.layers}
        self._made = {key: made for key, made in self._made.items() if key in there}
        self._made[layer.unique_id] = (self.analysis, self.source)


def feature_columns(tree: RegionTree, count: int) -> dict[str, np.ndarray]:
    """The per-region table in the form that a Labels layer wants: column "index" is the label."""
    columns = dict(tree.features(count))
    return {"index": columns.pop("label"), **columns}
