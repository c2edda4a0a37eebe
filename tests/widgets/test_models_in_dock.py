"""Pretrained models in the dock: one that is not there, and a tiny one in a folder."""

from __future__ import annotations

import numpy as np
import pytest

from napari_what_where.activations.networks.network import NetworkBackbone
from tests.activations.tiny_models import saved
from tests.images import scene


@pytest.fixture(autouse=True)
def nothing_on_disk(tmp_path, monkeypatch):
    for name in ("HF_HOME", "HF_HUB_CACHE"):
        monkeypatch.setenv(name, str(tmp_path / "hub"))


def test_a_model_that_is_not_there_is_said_and_nothing_happens(driver):
    driver.viewer.add_image(scene((40, 50), channels=3), rgb=True)
    before = driver.names()
    driver.panel.models.choose("dino-vits16")
    driver.panel.run.click()
    assert "not on this disk" in driver.message
    assert "Download" in driver.message
    assert driver.names() == before


def test_a_model_in_a_folder_gives_where_and_is_loaded_once(driver, tmp_path, monkeypatch):
    folder, loads = saved("Dinov2Model", tmp_path / "tiny"), []
    load = NetworkBackbone.module.fget

    def counted(backbone):
        if backbone._module is None:
            loads.append(backbone)
        return load(backbone)

    monkeypatch.setattr(NetworkBackbone, "module", property(counted))
    driver.viewer.add_image(scene((40, 50), channels=3), rgb=True)
    driver.dock.models.add(str(folder))
    driver.panel.pathways["where"].click()
    driver.run()
    assert len(np.unique(driver.segments.data)) > 1
    assert any("(where)" in name for name in driver.names())
    driver.panel.count.setValue(5)
    driver.run()
    assert len(loads) == 1
