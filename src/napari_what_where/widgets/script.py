"""The current settings as a Python script that gives the same labels."""

from __future__ import annotations

from dataclasses import replace

from napari_what_where.image import check_image
from napari_what_where.pipeline import Analysis, describe_image
from napari_what_where.widgets.source import Source

_ANALYZE_OPTIONS = ("backbone", "pathway", "count", "normalization", "method", "follow_edges", "device", "seed")


def as_python(analysis: Analysis, source: Source, segments: int, *, from_file: bool) -> str:
    """A script that opens the source, repeats the analysis and takes ``segments`` segments, bit for bit.

    ``from_file``: the answer of :func:`file_gives_same`.
    """
    options = analysis.provenance["options"]
    arguments = "".join(f"    {name}={options[name]!r},\n" for name in _ANALYZE_OPTIONS)
    lines = ["import napari_what_where as ww", *_opening(source, from_file=from_file)]
    if source.has_wide_alpha:
        lines += ["", "from napari_what_where.image import composite_alpha", "image = composite_alpha(image)"]
    lines += ["", f"analysis = ww.analyze(\n    image,\n{arguments})"]
    lines += [f"labels = analysis.tree.labels({segments})  # (rows, columns), numbered from 1", ""]
    return "\n".join(lines)


def file_gives_same(analysis: Analysis, source: Source) -> bool:
    """Whether scikit-image reads from the layer's file what was analysed: another reader, or edits, may differ.

    Reads the file, so call it off the GUI thread.
    """
    if source.path is None:
        return False
    try:
        from skimage.io import imread

        described = describe_image(check_image(replace(source, data=imread(source.path)).pixels()))
    except Exception:  # not a file that scikit-image reads: then it is not opened from the file
        return False
    return bool(described == analysis.provenance["image"])


def _opening(source: Source, *, from_file: bool) -> list[str]:
    places = ", ".join(":" if isinstance(step, slice) else str(step) for step in source.index)
    taken = "" if all(isinstance(step, slice) for step in source.index) else f"[{places}]"
    if from_file:
        return ["from skimage.io import imread", "", f"image = imread({source.path!r}){taken}"]
    level = "[0]" if source.multiscale else ""
    return [
        "import numpy as np",
        "",
        "# To run in napari's console, where `viewer` is known.",
        f"image = np.asarray(viewer.layers[{source.name!r}].data{level}{taken})",
    ]
