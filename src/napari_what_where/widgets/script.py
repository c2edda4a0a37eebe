"""The current settings as a Python script, or a command, that gives the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from napari_what_where.image import check_image
from napari_what_where.pipeline import Analysis, describe_image
from napari_what_where.widgets.findings import Findings
from napari_what_where.widgets.source import Source

_ANALYZE_OPTIONS = (
    "backbone",
    "pathway",
    "count",
    "normalization",
    "method",
    "follow_edges",
    "device",
    "seed",
    "smallest_object",
)


_OBJECTS = "labels = ww.find_objects(analysis)  # (rows, columns), 0 is background"


def as_python(findings: Findings, segments: int, *, objects: bool = False) -> str:
    """A script that opens the source, repeats the analysis and takes ``segments`` segments, or objects, bit for bit."""
    options = findings.analyses[0].provenance["options"]
    arguments = "".join(f"    {name}={options[name]!r},\n" for name in _ANALYZE_OPTIONS)
    opening = _opening(findings)
    if findings.source.plane_axis is None:
        lines = [*opening, "", f"analysis = ww.analyze(\n    image,\n{arguments})"]
        lines += [_OBJECTS] if objects else [f"labels = analysis.tree.labels({segments})  # (rows, columns)"]
    else:
        linked = findings.source.linked
        lines = [
            *opening,
            "",
            "from napari_what_where.planes import analyze_planes",
            "from napari_what_where.segments.stack import TreeStack",
            "",
            f"analyses = analyze_planes(\n    image,\n{arguments})",
        ]
        lines += (
            _stack_objects(linked)
            if objects
            else [
                f"stack = TreeStack([analysis.tree for analysis in analyses], linked={linked})",
                f"labels = stack.labels({segments})  # (planes, rows, columns)",
            ]
        )
    if findings.source.outline is not None:
        lines += _outline(findings.source.outline)
    text = "\n".join(["import napari_what_where as ww", *lines, ""])
    return f"import numpy as np\n{text}" if "np." in text else text


def file_gives_same(analyses: Sequence[Analysis], source: Source) -> bool:
    """Whether scikit-image reads from the layer's file what was analysed: another reader, or edits, may differ.

    Reads the file, so call it off the GUI thread.
    """
    if source.path is None:
        return False
    try:
        from skimage.io import imread

        again = replace(source, arrays=(imread(source.path),))
        described = [describe_image(check_image(plane)) for plane in again.planes]
    except Exception:  # not a file that scikit-image reads: then it is not opened from the file
        return False
    return bool(described == [analysis.provenance["image"] for analysis in analyses])


def command_parts(source: Source) -> tuple[str, Any, int | None]:
    """The file, what of it, and which axis of that holds channels, as the command wants them."""
    assert source.path is not None
    whole = all(step == slice(None) for step in source.index)
    return source.path, None if whole else source.index, source.channel_position


def command_gives_same(analyses: Sequence[Analysis], source: Source) -> bool:
    """Whether the command reads from the layer's file what was analysed. Reads the file: not in the GUI thread."""
    if source.path is None or source.plane_axis is not None or source.outline is not None:
        return False
    try:
        from napari_what_where.files.reading import read_plane

        image = read_plane(*command_parts(source))
        described = describe_image(check_image(image.pixels))
    except Exception:  # not a file that can be read so
        return False
    return bool(described == analyses[0].provenance["image"])


def index_text(source: Source) -> str:
    """What of the layer's array was analysed, as numpy indices: "3, :, 10:90"; empty for all of it."""
    if all(step == slice(None) for step in source.index):
        return ""
    return ", ".join(_step(step) for step in source.index)


def _step(step: int | slice) -> str:
    if isinstance(step, int):
        return str(step)
    return ":" if step == slice(None) else f"{step.start}:{step.stop}"


def _opening(findings: Findings) -> list[str]:
    source = findings.source
    index = index_text(source)
    taken = f"[{index}]" if index else ""
    if findings.from_file:
        lines = ["from skimage.io import imread", "", f"image = imread({source.path!r}){taken}"]
    else:
        level = f"[{source.level}]" if source.multiscale else ""
        names = source.name.split(" + ") if len(source.arrays) > 1 else [source.name]
        read = [f"np.asarray(viewer.layers[{name!r}].data{level}{taken})" for name in names]
        listed = "".join(f"    {each},\n" for each in read)
        lines = ["", "# To run in napari's console, where `viewer` is known."]
        lines += [f"image = {read[0]}" if len(read) == 1 else f"image = np.stack([\n{listed}], axis=-1)"]
    order = _axes_order(source)
    if order is not None:
        lines += [f"image = image.transpose({order})  # {'planes, ' * (source.plane_axis is not None)}rows, columns, …"]
    if source.holds_channels:
        lines += ["", "from napari_what_where.image import data_channels"]
        lines += (
            ["image = data_channels(image)"]
            if source.plane_axis is None
            else ["image = [data_channels(plane) for plane in image]"]
        )
    if source.has_wide_alpha:
        lines += ["", "from napari_what_where.image import composite_alpha"]
        lines += (
            ["image = composite_alpha(image)"]
            if source.plane_axis is None
            else ["image = [composite_alpha(plane) for plane in image]"]
        )
    return lines


def _axes_order(source: Source) -> tuple[int, ...] | None:
    """How the axes that are left have to be permuted to (planes, rows, columns, channels); None if they are so."""
    kept = [axis for axis, step in enumerate(source.index) if isinstance(step, slice)]
    wanted = [axis for axis in (source.plane_axis, *source.axes, source.channel_axis) if axis is not None]
    order = [kept.index(axis) for axis in wanted]
    order += range(len(order), len(order) + (source.rgb or len(source.arrays) > 1))
    return None if order == sorted(order) else tuple(order)


def _stack_objects(linked: bool) -> list[str]:
    lines = ["found = [ww.find_objects(analysis) for analysis in analyses]"]
    if linked:
        return [
            *lines,
            "from napari_what_where.segments.linking import link_images",
            "labels = link_images(np.stack(found))  # (planes, rows, columns), 0 is background",
        ]
    return [
        *lines,
        "before = np.cumsum([0, *(int(labels.max()) for labels in found)])",
        "labels = np.stack([np.where(one > 0, one + first, 0) for one, first in zip(found, before)])",
    ]


def _outline(outline: np.ndarray) -> list[str]:
    """The part that the user drew, as the columns from which to which each of its rows counts."""
    runs = []
    for row, inside in enumerate(outline):
        steps = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(np.int8), [0]])))
        runs += [(row, int(start), int(stop)) for start, stop in steps.reshape(-1, 2)]
    return [
        f"outline = {runs}  # (row, first column, last + 1) of the shape that was drawn",
        "inside = [(row, column) for row, start, stop in outline for column in range(start, stop)]",
        "outside = np.ones(labels.shape[-2:], bool)",
        "outside[tuple(zip(*inside))] = False",
        "labels[..., outside] = 0",
    ]
