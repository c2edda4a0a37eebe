"""``make demo`` with a display: the sample, the dock, and the segments, without a click."""

from __future__ import annotations

import napari

from napari_what_where.widgets.demo import run_demo


def test_the_demonstration_runs_by_itself(make_napari_viewer, qtbot, monkeypatch):
    viewer = make_napari_viewer()
    monkeypatch.setattr(napari, "Viewer", lambda **_: viewer)
    monkeypatch.setattr(
        napari, "run", lambda: qtbot.waitUntil(lambda: "coffee segments (what)" in viewer.layers, timeout=60_000)
    )
    run_demo()
    assert viewer.layers["coffee segments (what)"].data.shape == (400, 600)
    assert list(viewer.window.dock_widgets) == ["What & Where (napari-what-where)"]
