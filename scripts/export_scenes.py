"""Pictures of the Export dock, from the running program.

Usage: ``python scripts/export_scenes.py [FOLDER]`` (default docs/images). Needs a display, see ``make_screenshots.py``.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

os.environ["NAPARI_CONFIG"] = str(Path(tempfile.mkdtemp()) / "settings.yaml")  # read when napari is imported
os.environ["WHAT_WHERE_RECOVERY"] = tempfile.mkdtemp()
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from windows import add_dock, open_window, settle, take, wait_for


def export(folder: Path) -> None:
    """Coins, one by one, written in four formats."""
    viewer = open_window()
    viewer.open_sample("napari-what-where", "coins")
    dock = add_dock(viewer)
    dock.start()
    wait_for(dock)
    dock.panel.as_objects.click()
    wait_for(dock)
    viewer.window.remove_dock_widget(dock)
    _, exporter = viewer.window.add_plugin_dock_widget("napari-what-where", "Export labels")
    panel = exporter.panel
    for name in ("ome-zarr", "imagej-roi", "csv"):
        panel.formats[name].click()
    os.chdir(tempfile.mkdtemp())
    panel.folder.setText("coins")
    viewer.reset_view()
    exporter.start()
    settle(0.1)
    wait_for(exporter)
    take(viewer, folder / "export.png")
    viewer.close()


if __name__ == "__main__":
    place = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "docs" / "images"
    place.mkdir(parents=True, exist_ok=True)
    export(place.resolve())
