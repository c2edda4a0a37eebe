"""What the dock holds between runs: the findings, and the layers that show them. No Qt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_what_where.pipeline import Analysis
from napari_what_where.widgets.colours import colour_by_kind, colour_by_number
from napari_what_where.widgets.findings import Findings
from napari_what_where.widgets.live import LiveLabels
from napari_what_where.widgets.results import LayerSpec, arrange, composite_layer, eigenvector_layer, labels_layer
from napari_what_where.widgets.script import command_gives_same, file_gives_same
from napari_what_where.widgets.showing import all_or_none
from napari_what_where.widgets.source import Source

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer
    from napari.viewer import Viewer

    from napari_what_where.segments.stack import TreeStack

SEGMENTS, OBJECTS = "segments", "objects"


@dataclass(frozen=True, eq=False)
class Prepared:
    """Finished findings with their image layers' data, made off the GUI thread."""

    findings: Findings
    images: dict[str, LayerSpec]


def prepare(analyses: Sequence[Analysis], source: Source, *, follow_edges: bool) -> Prepared:
    """Do, off the GUI thread, all of the work that showing analyses does not need napari for."""
    from napari_what_where.segments.stack import TreeStack

    stack = TreeStack([analysis.tree for analysis in analyses], linked=source.linked)
    images = {"eigenvectors": eigenvector_layer(analyses, source), "composite": composite_layer(analyses, source)}
    from_file, command = file_gives_same(analyses, source), command_gives_same(analyses, source)
    found = Findings(tuple(analyses), source, {follow_edges: stack}, follow_edges, from_file, command)
    found.prepare()
    return Prepared(found, images)


class Session:
    """One dock's results in one viewer.

    The last findings are *live*: their segments follow :meth:`show_segments`. Running again on the same planes and
    pathway updates the same layers; anything else, and any Labels layer that was touched, gets new ones.
    """

    def __init__(self, viewer: Viewer, on_written: Callable[..., None] = lambda layer, new, edited: None) -> None:
        """``on_written(layer, new=, edited=)`` is told of every Labels layer that was written: whether it is new, and
        whether something of the user's is in it.
        """
        self.viewer = viewer
        self.findings: Findings | None = None
        self.shown = 0
        """How many segments each plane was cut into."""
        self.mode = SEGMENTS
        self.by_kind = False
        self._on_written = on_written
        self._live = {mode: LiveLabels(viewer) for mode in (SEGMENTS, OBJECTS)}
        self._images: dict[str, Image] = {}
        self._made: dict[Any, tuple[Findings, str]] = {}

    @property
    def stack(self) -> TreeStack | None:
        """The trees that segments are taken from."""
        return None if self.findings is None else self.findings.stack

    @property
    def labels_layer(self) -> Labels | None:
        """The live Labels layer of the current mode, if it is there."""
        return self._live[self.mode].layer

    def show_findings(self, prepared: Prepared, *, segments: int | None) -> str:
        """Make findings the live ones and bring their layers up to date; returns what to tell the user.

        ``segments`` is the number of segments to show, None for the automatic one.
        """
        findings = prepared.findings
        # New images are told apart from those that are kept, and a kept hold stays on watch until all has been shown.
        same = self._same_subject(findings)
        with all_or_none(self, self._images.values()):
            self._images = dict(self._images) if same else {}
            self._live = {
                mode: live if self._may_follow(mode, same) else LiveLabels(self.viewer)
                for mode, live in self._live.items()
            }
            self.findings, self.mode, self._made = findings, SEGMENTS, dict(self._made)
            if sum(isinstance(step, slice) for step in findings.source.index) == 2 == findings.source.ndim:
                self.viewer.dims.ndisplay = 2  # napari 0.9 cannot show a flat colour image, our composite, in 3D
            for role, spec in prepared.images.items():
                self._show_image(role, spec)
            return self.show_segments(findings.stack.auto_count if segments is None else segments)

    def add_trees(self, stack: TreeStack, *, follow_edges: bool) -> str:
        """The other trees of the live findings, now those shown."""
        assert self.findings is not None
        self.findings.stacks[follow_edges] = stack
        return self.use_trees(follow_edges)

    def use_trees(self, follow_edges: bool) -> str:
        """Take segments from the trees with, or without, the image's edges."""
        assert self.findings is not None
        self.findings.take_tree(follow_edges)
        return self.show_segments(self.shown)

    def show_segments(self, count: int) -> str:
        """Show the live findings in ``count`` segments a plane; returns what to tell the user."""
        findings = self.findings
        if findings is None:
            return "Press Run first."
        self.shown = min(count, findings.stack.leaf_count)
        shown = self.shown
        features = findings.segment_rows(shown)
        number = len(features["index"])
        self._show_labels(SEGMENTS, findings.segments(shown), features)
        besides = " and background" if findings.marked(objects=False) else ""
        planes = f" in {len(findings.analyses)} planes" if len(findings.analyses) > 1 else ""
        return self._told(f"{number} segment{'s' * (number != 1)}{besides}{planes}")

    def show_objects(self) -> str:
        """Show the live findings' objects, which are there already; returns what to tell the user."""
        findings = self.findings
        assert findings is not None
        features = findings.object_table()
        self._show_labels(OBJECTS, findings.object_labels(), features)
        number = len(features["index"])
        return self._told(f"{number} object{'s' * (number != 1)}")

    def refresh(self) -> str:
        """Show again what is shown, after background or colours have changed."""
        return self.show_objects() if self.mode == OBJECTS else self.show_segments(self.shown)

    def set_by_kind(self, by_kind: bool) -> None:
        """Colour the live labels by their kind, or by their number."""
        self.by_kind = by_kind
        for live in self._live.values():
            if live.layer is not None:
                (colour_by_kind if by_kind else colour_by_number)(live.layer)

    def toggle_background(self, plane: int, row: int, column: int) -> str:
        """The user said of a pixel of the live layer: this is background (or not, after all)."""
        findings = self.findings
        assert findings is not None
        if self.mode == OBJECTS:
            said = findings.toggle_object(plane, row, column)
        else:
            said = findings.toggle_segment(self.shown, plane, row, column)
        return f"{said} {self.refresh()}"

    def made_by(self, layer: Layer | None) -> tuple[Findings, str] | None:
        """The findings that one of our Labels layers came from, and as what; None for any other layer."""
        return None if layer is None else self._made.get(layer.unique_id)

    @property
    def touched(self) -> bool:
        """Whether the live layer holds the user's own edits."""
        return self._live[self.mode].touched

    # Layers

    def _show_labels(self, mode: str, labels: Callable[[], np.ndarray], features: dict[str, np.ndarray]) -> None:
        assert self.findings is not None
        source = self.findings.source
        spec = labels_layer(self.findings.analyses, source, labels(), mode)
        layer, self._edited, self._new = self._live[mode].show(spec, features, lambda: arrange(labels(), source))
        self._on_written(layer, new=self._new, edited=self.findings.marked(mode == OBJECTS))
        self._remember(layer, mode)
        self.mode = mode
        for other, live in self._live.items():
            if live.layer is not None and live.layer.visible != (other == mode):  # setting it draws anew
                live.layer.visible = other == mode
        if self.by_kind:
            colour_by_kind(layer)

    def _told(self, what: str) -> str:
        layer, findings = self.labels_layer, self.findings
        if findings is not None and (findings.coarse or findings.source.factor > 1):
            shown = findings.stack.working_shape if findings.coarse else findings.stack.shape
            times = findings.source.factor * findings.source.shape[0] / shown[1]
            what = f"{what} at 1/{times:.3g} of the image's resolution (set the smallest object for finer ones)"
        if self._edited:
            return f"{what} in a new layer: {self._edited!r} has your edits and stays as it is."
        return f"{what} in {layer.name!r}, a new layer." if self._new and layer is not None else f"{what}."

    def _same_subject(self, findings: Findings) -> bool:
        if self.findings is None or self.findings.source.key != findings.source.key:
            return False
        was, now = (each.analyses[0].provenance["options"]["pathway"] for each in (self.findings, findings))
        return bool(was == now) and self.findings.coarse == findings.coarse

    def _may_follow(self, mode: str, same: bool) -> bool:
        """Whether the live layer may show other findings: not if the user called anything in it background."""
        return same and self.findings is not None and not self.findings.marked(mode == OBJECTS)

    def _show_image(self, role: str, spec: LayerSpec) -> None:
        layer = self._images.get(role)
        if layer is None or layer not in self.viewer.layers or layer.data.ndim != spec.data.ndim:
            step = self.viewer.dims.current_step
            self._images[role] = self.viewer.add_image(spec.data, **spec.attributes)
            added = self.viewer.dims.ndim - len(step)
            if added:  # the first eigenvector is nearly even: open on the second
                self.viewer.dims.set_current_step(0, min(1, len(spec.data) - 1))
            return
        other_grid = layer.data.shape[-2 - layer.rgb :] != spec.data.shape[-2 - layer.rgb :]
        layer.data = spec.data
        layer.metadata = {**layer.metadata, **spec.attributes["metadata"]}
        if other_grid:
            layer.scale, layer.translate = spec.attributes["scale"], spec.attributes["translate"]
        if "contrast_limits" in spec.attributes:
            layer.contrast_limits = spec.attributes["contrast_limits"]

    def _remember(self, layer: Labels, mode: str) -> None:
        assert self.findings is not None
        there = {each.unique_id for each in self.viewer.layers}
        self._made = {key: made for key, made in self._made.items() if key in there}
        self._made[layer.unique_id] = (self.findings, mode)
