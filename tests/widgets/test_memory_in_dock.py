"""Runs that do not fit: refused before they start, explained when they fail, smaller only when agreed to."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.estimates import resources
from napari_what_where.memory import OutOfMemory
from napari_what_where.widgets import estimating


@pytest.fixture
def large():
    return np.random.default_rng(0).integers(0, 255, (2200, 2000), dtype=np.uint8)


def test_what_a_run_takes_is_said_before_it_starts(driver, picture, qtbot):
    driver.viewer.add_image(picture)
    qtbot.waitUntil(lambda: driver.panel.estimate.text() != "")
    assert "96 × 64 pixels" in driver.panel.estimate.text()
    driver.viewer.layers.clear()
    qtbot.waitUntil(lambda: driver.panel.estimate.text() == "")


def test_what_cannot_fit_is_refused_with_what_would(driver, large, monkeypatch):
    driver.viewer.add_image(large)
    driver.panel.inputs.size.set_pixels(24)
    needed = driver.dock.estimator.of(driver.dock.chooser.find_source(), driver.panel.settings()).bytes
    monkeypatch.setattr(resources, "free_memory", lambda device="cpu": int(0.6 * needed))
    driver.run()
    assert driver.dock.task is None
    assert len(driver.viewer.layers) == 1
    assert "would fit" in driver.message
    assert driver.panel.consent.isVisibleTo(driver.dock)
    assert driver.panel.consent.text().startswith("Run with a smallest object of")
    monkeypatch.undo()
    started = []
    monkeypatch.setattr(driver.dock, "_run", lambda *arguments: started.append(arguments))
    driver.panel.consent.click()
    assert driver.panel.inputs.size.pixels > 24
    assert len(started) == 1


@pytest.mark.parametrize(
    ("device", "size", "offer"),
    [("cuda", None, "Run on the CPU"), ("cpu", 12, "smallest object of"), ("cpu", None, "")],
)
def test_out_of_memory_is_explained_and_retried_only_with_consent(driver, picture, monkeypatch, device, size, offer):
    from napari_what_where import pipeline

    driver.viewer.add_image(picture)
    driver.run()
    before = driver.segments.data.copy()
    calls = []

    def fail(*args, **kwargs):
        calls.append(kwargs)
        raise OutOfMemory(device, asked=2**30, free=2**20)

    monkeypatch.setattr(pipeline, "analyze", fail)
    if size:
        driver.panel.inputs.size.set_pixels(size)
        # So small an image fits whatever its objects are.
        monkeypatch.setattr(estimating, "smaller_settings", lambda settings, *_: settings | {"smallest_object": 24.0})
    driver.run()
    assert len(calls) == 1
    assert "memory" in driver.message
    assert "No layer was changed" in driver.message
    np.testing.assert_array_equal(driver.segments.data, before)
    assert offer in driver.panel.consent.text()
    assert driver.panel.consent.isVisibleTo(driver.dock) == bool(driver.panel.consent.text())
    if offer:
        monkeypatch.undo()
        driver.panel.consent.click()
        driver.wait()
        assert "segments" in driver.message
        assert driver.panel.device.currentText() == ("cpu" if device == "cuda" else "auto")


def test_a_large_image_is_seen_at_a_glance_first_and_then_closely(driver, large, qtbot):
    """Segments appear before the fine ones, which take their place; a cancel in between keeps them."""
    driver.viewer.add_image(large, name="large")
    driver.panel.inputs.size.set_pixels(24)
    driver.panel.run.click()
    qtbot.waitUntil(lambda: driver.segments is not None, timeout=60_000)
    assert driver.dock.session.findings.analyses[0].provenance["options"]["smallest_object"] is None
    qtbot.waitUntil(lambda: "finer segments are being made" in driver.message, timeout=10_000)
    assert driver.dock.task is not None
    first = driver.segments
    driver.panel.cancel.click()
    driver.wait()
    assert driver.segments is first
    assert driver.message == "Cancelled; nothing has changed."
    assert driver.panel.run.isEnabled()
