"""The demonstration without a window, and whether there can be one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from napari_what_where.files.export import save_analysis
from napari_what_where.files.pictures import composite, montage, overlay, write_picture
from napari_what_where.progress import Report, ignore_progress
from napari_what_where.samples import load_sample

_OPEN_A_WINDOW = "from qtpy.QtWidgets import QApplication; QApplication([])"


def why_no_window() -> str | None:
    """Why napari cannot open a window here, or None if it can."""
    if importlib.util.find_spec("napari") is None:
        return "napari is not installed (pip install 'napari-what-where[gui]')"
    on_linux = sys.platform.startswith("linux")
    if on_linux and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "there is no display"
    # Qt ends the whole process where a display cannot be reached or a library is missing: try it in another one.
    try:
        attempt = subprocess.run([sys.executable, "-c", _OPEN_A_WINDOW], capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        return "the display does not answer"
    return None if attempt.returncode == 0 else "Qt cannot open a window on the display"


def write_demo(
    folder: str | os.PathLike[str], *, sample: str = "coffee", report: Report = ignore_progress
) -> dict[Path, str]:
    """Analyse a sample and write pictures and masks into ``folder``; return what each file is."""
    from napari_what_where.pipeline import analyze

    image = load_sample(sample)
    analysis = analyze(image, backbone="built-in", report=report)
    labels = analysis.tree.labels("auto")
    rows, columns = image.shape[:2]
    vectors = analysis.embedding.vectors
    pictures = {
        "input": (image, "the image"),
        "overlay": (overlay(image, labels), f"its {labels.max()} segments, outlined"),
        "composite": (composite(vectors, (rows, columns)), "three leading eigenvectors as red, green, blue"),
        "eigenvectors": (montage(vectors, (rows // 2, columns // 2)), f"all {len(vectors)} eigenvectors"),
    }
    written = {
        write_picture(Path(folder, f"{sample}_{name}.png"), picture): what for name, (picture, what) in pictures.items()
    }
    tiff, png, stack, record = save_analysis(
        analysis, folder, sample, formats=("tiff", "png"), source=f"sample {sample}"
    )
    return written | {
        tiff: "the labels, for ImageJ",
        png: "the same labels as PNG",
        stack: "the eigenvectors as numbers, for ImageJ",
        record: "how they were made",
    }
