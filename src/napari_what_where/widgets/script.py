"""The current settings as a Python script, or a command, that gives the same labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from napari_what_where.files.stacks import FilePart, FileStack, open_stack
from napari_what_where.image import check_image, describe_image
from napari_what_where.pipeline import Analysis
from napari_what_where.widgets.findings import Findings
from napari_what_where.widgets.source import FULL_SIZE, Source

_ANALYZE_OPTIONS = (
    "backbone",
    "backbone_options",
    "pathway",
    "count",
    "normalization",
    "method",
    "follow_edges",
    "device",
    "seed",
    "smallest_object",
)


def as_python(findings: Findings, segments: int, *, objects: bool = False) -> str:
    """A script that opens the source, repeats the analysis and takes ``segments`` segments, or objects, bit for bit."""
    options = findings.analyses[0].provenance["options"]
    given = {name: options[name] for name in _ANALYZE_OPTIONS if name != "backbone_options" or options.get(name)}
    arguments = "".join(f"    {name}={value!r},\n" for name, value in given.items())
    source = findings.source
    if source.plane_axis is None:
        analysed = ["", f"analysis = ww.analyze(\n    image,\n{arguments})"]
    else:
        analysed = ["", "from napari_what_where.planes import analyze_planes", ""]
        analysed += [f"analyses = analyze_planes(\n    image,\n{arguments})"]
    labelled = _objects(source) if objects else _segments(source, segments)
    text = "\n".join(["import napari_what_where as ww", *_opening(findings), *analysed, *labelled, ""])
    return f"import numpy as np\n{text}" if "np." in text else text


def _segments(source: Source, segments: int) -> list[str]:
    """Labels of an analysis, or of a stack of them, in the part that counts."""
    outline = [] if source.outline is None else [*_outline(source), "labels[..., ~outline] = 0"]
    if source.plane_axis is None:
        return [f"labels = analysis.tree.labels({segments})  # (rows, columns)", *outline]
    return [
        "",
        "from napari_what_where.segments.stack import TreeStack",
        "",
        f"stack = TreeStack([analysis.tree for analysis in analyses], linked={source.linked})",
        f"labels = stack.labels({segments})  # (planes, rows, columns)",
        *outline,
    ]


def _objects(source: Source) -> list[str]:
    outline = [] if source.outline is None else _outline(source)
    if source.plane_axis is None:
        lines = ["labels = ww.find_objects(analysis)  # (rows, columns), 0 is background", *outline]
        return [*lines, "labels[~outline] = 0"] if outline else lines
    # Numbers are linked, or go on, when what is outside has gone.
    within = ", outline=outline" if outline else ""
    return [
        *outline,
        "",
        "from napari_what_where.planes import find_stack_objects",
        "",
        "# (planes, rows, columns), 0 is background",
        f"labels = find_stack_objects(analyses, linked={source.linked}{within})",
    ]


def _outline(source: Source) -> list[str]:
    """The part that the user drew, drawn again."""
    shape = source.arrays[0].shape
    rows, columns = (int(shape[axis]) for axis in source.axes)
    polygons = "".join(f"    {list(polygon)},\n" for polygon in source.polygons)
    return [
        "",
        "from napari_what_where.files.outlines import draw_outline",
        "",
        "# (row, column) of each corner, in pixels of the whole plane.",
        f"shapes = [\n{polygons}]",
        f"_, outline = draw_outline(shapes, ({rows}, {columns}))",
    ]


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


def command_parts(source: Source) -> tuple[tuple[str, ...], FilePart]:
    """The files, one a layer, and what of them, as the command wants them; ``ValueError`` for a layer without one."""
    paths = tuple(path for path in source.paths if path is not None)
    if len(paths) < len(source.paths):
        raise ValueError("The pixels of these layers are not all from files.")
    within = source.polygons
    # The command finds the window of an outline itself.
    index = tuple(slice(None) if within and axis in source.axes else step for axis, step in enumerate(source.index))
    left = [axis for axis, step in enumerate(index) if isinstance(step, slice)]
    channel_axis, plane_axis = (
        None if axis is None else left.index(axis) for axis in (source.channel_axis, source.plane_axis)
    )
    whole = all(step == slice(None) for step in index)
    return paths, FilePart(None if whole else index, channel_axis, plane_axis, within)


def command_gives_same(analyses: Sequence[Analysis], source: Source) -> bool:
    """Whether the command reads from the layers' files what was analysed. Reads them: not in the GUI thread."""
    rows, columns = source.shape
    if source.outline is not None and rows * columns > FULL_SIZE:
        return False  # the outline is drawn at another resolution here
    try:
        stack = open_stack(*command_parts(source))
        return (
            len(stack.planes) == len(analyses)
            and _same_outline(stack, source)
            and all(
                describe_image(check_image(plane)) == analysis.provenance["image"]
                for plane, analysis in zip(stack.planes, analyses, strict=True)
            )
        )
    except Exception:  # not files that can be read so
        return False


def _same_outline(stack: FileStack, source: Source) -> bool:
    if stack.outline is None or source.outline is None:
        return stack.outline is source.outline
    return np.array_equal(stack.outline, source.outline)


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
