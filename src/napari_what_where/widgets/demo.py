"""The demonstration in napari: a sample image, the dock, Run already pressed."""

from __future__ import annotations

from napari_what_where.samples import sample_layers


def run_demo(sample: str = "coffee") -> None:
    """Open napari with a sample and the dock, start the analysis, and return when the window is closed."""
    import napari
    from napari.layers import Layer

    viewer = napari.Viewer(title="What & Where")
    viewer.window.resize(1300, 850)
    for pixels, attributes, kind in sample_layers(sample):
        viewer.add_layer(Layer.create(pixels, attributes, kind))
    # As the menu does it, so that the dock is registered with napari as the plugin's.
    _, dock = viewer.window.add_plugin_dock_widget("napari-what-where", "What & Where")
    dock.start()
    napari.run()
