"""The demonstration in napari: a sample image, the dock, Run already pressed."""

from __future__ import annotations

from napari_what_where.samples import sample_layers


def run_demo(sample: str = "coffee") -> None:
    """Open napari with a sample and the dock, start the analysis, and return when the window is closed."""
    import napari
    from napari.layers import Layer

    from napari_what_where.widgets import WhatWhereDock

    viewer = napari.Viewer(title="What & Where")
    for pixels, attributes, kind in sample_layers(sample):
        viewer.add_layer(Layer.create(pixels, attributes, kind))
    dock = WhatWhereDock(viewer)
    viewer.window.add_dock_widget(dock, name="What & Where")
    dock.start()
    napari.run()
