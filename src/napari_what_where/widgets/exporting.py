"""One of our Labels layers → files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_what_where.files.export import output_paths, save_analysis
from napari_what_where.files.formats.registry import LABEL_FORMATS, format_of, suffix_of
from napari_what_where.progress import Report
from napari_what_where.segments.superpixels import resized
from napari_what_where.widgets.findings import Findings
from napari_what_where.widgets.results import collect
from napari_what_where.widgets.script import index_text
from napari_what_where.widgets.source import Source

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_what_where.widgets.dock import WhatWhereDock

NO_SEGMENTS = "There are no segments to export; press Run first."
OFFERED = {"tiff": "TIFF", "png": "PNG", "ome-tiff": "OME-TIFF", "ome-zarr": "OME-Zarr", "geojson": "GeoJSON, QuPath"}
OFFERED |= {"imagej-roi": "ImageJ ROIs", "npy": "NPY", "csv": "CSV, measurements"}
"""Formats that a file name can mean here; COCO's would take the name of the record."""
LARGEST = 2**31
"""Images of more pixels get masks of the resolution that was worked at."""


class Exporter:
    """The dock's Export button: asks where to, then writes in a thread."""

    def __init__(self, dock: WhatWhereDock) -> None:
        self._dock = dock

    def ask(self) -> None:
        """Ask for a file name, and about files that would be replaced; then :meth:`export`."""
        made = self._dock.session.made_by(self._layer())
        if made is None:
            self._dock.panel.say(NO_SEGMENTS, problem=True)
            return
        kinds = file_kinds(stacks=made[0].source.plane_axis is not None)
        name, kind = QFileDialog.getSaveFileName(
            self._dock, f"Export {made[1]}", suggested_name(made[0].source, made[1]), ";;".join(kinds)
        )
        name += kinds.get(kind, "") if name and not suffix_of(name) else ""
        if name and self._may_replace(existing_others(name)):
            self.export(name)

    def export(self, name: str) -> None:
        """Write the labels as they are now, edits included, with eigenvectors and provenance beside them."""
        dock, layer = self._dock, self._layer()
        made = dock.session.made_by(layer)
        if layer is None or made is None or dock.task is not None:
            dock.panel.say(NO_SEGMENTS if dock.task is None else "Still running; export when it is done.", problem=True)
            return
        labels, changes = np.array(layer.data), dock.keeper.autosaver.changes(layer)

        def work(report: Report) -> list[Path]:
            return export_labels(*made, labels, name)

        def finish(paths: list[Path]) -> None:
            dock.keeper.autosaver.exported(layer, changes)
            dock.panel.say("Wrote " + ", ".join(path.name for path in paths) + f" in {paths[0].parent}.")

        dock.begin(work, finish, what="The export", cancellable=False)

    def _layer(self) -> Labels | None:
        """The selected Labels layer if it is one of ours, else the live one."""
        session = self._dock.session
        active = session.viewer.layers.selection.active
        return active if session.made_by(active) is not None else session.labels_layer

    def _may_replace(self, names: list[str]) -> bool:
        if not names:
            return True
        text = "These files are there already and would be replaced:\n" + "\n".join(names)
        return bool(QMessageBox.question(self._dock, "Replace files?", text) == QMessageBox.StandardButton.Yes)


def suggested_name(source: Source, what: str = "segments") -> str:
    """A file name to start from: beside the image where it is a file."""
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in source.plane_name).strip("_")
    folder = Path(source.path).parent if source.path else Path()
    return str(folder / f"{stem}_{'objects' if what == 'objects' else 'labels'}.tif")


def file_kinds(*, stacks: bool) -> dict[str, str]:
    """What a file dialog offers, "TIFF (*.tif *.tiff)", and the suffix that each choice adds to a name without one."""
    formats = {name: LABEL_FORMATS[name].suffixes for name in OFFERED if LABEL_FORMATS[name].stacks or not stacks}
    return {f"{OFFERED[name]} ({' '.join(f'*{each}' for each in ends)})": ends[0] for name, ends in formats.items()}


def split_name(name: str) -> tuple[Path, str]:
    """The labels file and the stem that its companions get: "out/coffee_labels.tif" is that file and "coffee".

    A name without a suffix of a format that is offered gets ``.tif``.
    """
    path = Path(name)
    if format_of(path) not in OFFERED:
        path = path.with_name(path.name + ".tif")
    stem = path.name[: -len(suffix_of(path))]
    return path, stem.removesuffix("_labels").removesuffix("_objects")


def existing_others(name: str) -> list[str]:
    """Names of files that an export to ``name`` would replace and that the file dialog did not ask about."""
    path, stem = split_name(name)
    written = [path, *output_paths(path.parent, stem)[-2:]]
    return [each.name for each in written if each.exists() and each != Path(name)]


def export_labels(findings: Findings, what: str, data: np.ndarray, name: str) -> list[Path]:
    """Write labels as they are in the layer, with eigenvectors and provenance beside them; returns the paths.

    Labels of a coarser resolution than the image's are enlarged to it, unless it is too large.
    """
    path, stem = split_name(name)
    source = findings.source
    labels = collect(data, source)
    rows, columns = source.shape
    if labels.shape[1:] != (rows, columns) and labels.shape[0] * rows * columns <= LARGEST:
        labels = np.stack([resized(plane, (rows, columns)) for plane in labels])
    size = [each * n / m for each, n, m in zip(source.pixel_size(), (rows, columns), labels.shape[1:], strict=True)]
    record: dict[str, Any] = {
        "source": source.path or source.plane_name,
        "result": what,
        "background": bool(np.any(labels == 0)),
        "placement": describe_placement(source),
    }
    known = place_in_plane(source) if labels.shape[1:] == (rows, columns) else {}
    if source.plane_axis is not None:
        units = [source.unit_name(axis) or "pixel" for axis in (source.plane_axis, *source.axes)]
        label = source.axis_labels[source.plane_axis].strip().lower()
        from napari_what_where.files.export_planes import save_planes

        return save_planes(
            findings.analyses,
            path.parent,
            stem,
            labels,
            axis="T" if label.startswith("t") else "Z",
            formats=[format_of(path) or "tiff"],
            labels_name=path.name,
            pixel_size=[source.plane_spacing(), *size],
            units=units,
            record=record | {"linked": source.linked},
            **known,
        )
    count = len(np.unique(labels[labels > 0]))
    analysis = findings.analyses[0]
    own = what == "segments" and np.array_equal(labels[0], analysis.tree.labels(max(1, count)))
    return save_analysis(
        analysis,
        path.parent,
        stem,
        segments=count,
        formats=[format_of(path) or "tiff"],
        labels=None if own else labels[0],
        labels_name=path.name,
        pixel_size=(size[0], size[1]),
        units=source.unit_name(),
        record=record,
        **known,
    )


def place_in_plane(source: Source) -> dict[str, Any]:
    """Where in the layer's planes the first of the analysed pixels lies, and the rows and columns of those planes."""
    steps = [source.index[axis] for axis in source.axes]
    rows, columns = (int(source.arrays[0].shape[axis]) for axis in source.axes)
    first, second = ((step.start or 0) if isinstance(step, slice) else step for step in steps)
    return {"offset": (first, second), "image_shape": (rows, columns)}


def describe_placement(source: Source) -> dict[str, Any]:
    """Where the analysed pixels lie, which a TIFF has no place for: what of the layer's array they are, and the matrix
    that takes that array's (…, row, column, 1) to the world.
    """
    return {
        "part": index_text(source) or "all",
        "axis_labels": list(source.axis_labels),
        "units": [str(unit) for unit in source.units],
        "data_to_world": (source.affine @ source.to_world.affine_matrix).tolist(),
    }
