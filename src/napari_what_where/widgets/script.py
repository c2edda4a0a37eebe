"""The current settings as a Python script that gives the same labels."""

from __future__ import annotations

from napari_what_where.pipeline import Analysis
from napari_what_where.widgets.source import Source

_ANALYZE_OPTIONS = ("backbone", "pathway", "count", "normalization", "method", "follow_edges", "device", "seed")


def as_python(analysis: Analysis, source: Source, segments: int) -> str:
    """A script that opens the source, repeats the analysis and takes ``segments`` segments, bit for bit."""
    options = analysis.provenance["options"]
    arguments = "".join(f"    {name}={options[name]!r},\n" for name in _ANALYZE_OPTIONS)
    return f"import napari_what_where as ww\n{_opening(source)}\nanalysis = ww.analyze(\n    image,\n{arguments})\n" + (
        f"labels = analysis.tree.labels({segments})  # (rows, columns), numbered from 1\n"
    )


def _opening(source: Source) -> str:
    places = ", ".join(":" if isinstance(step, slice) else str(step) for step in source.index)
    taken = "" if all(isinstance(step, slice) for step in source.index) else f"[{places}]"
    if source.path is None:
        return (
            "# The image is not a file: run this in napari's console, where `viewer` is known.\n"
            f"image = viewer.layers[{source.name!r}].data{taken}\n"
        )
    return f"from skimage.io import imread\n\nimage = imread({source.path!r}){taken}\n"
