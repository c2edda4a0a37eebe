"""Devices by name: one that is there, or an error that says which are."""

from __future__ import annotations

import pytest
import torch

from napari_what_where.device import resolve_device


def test_the_cpu_is_always_there():
    for name in ("cpu", "cpu:0", torch.device("cpu")):
        assert resolve_device(name).type == "cpu"


def test_auto_prefers_an_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert resolve_device() == torch.device("cpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")


@pytest.mark.parametrize("name", ["gpu", "", "cpu:x", "cuda:-2", "meta", None, 0, "CPU "])
def test_unknown_names_are_refused_in_words(name):
    with pytest.raises(ValueError, match="expected one of auto, cpu, cuda, mps"):
        resolve_device(name)


@pytest.mark.parametrize("count", [0, 2])
def test_what_this_machine_lacks_is_said(monkeypatch, count):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for name in ("cuda:2", torch.device("cuda:7"), "mps"):
        with pytest.raises(ValueError, match="this machine does not have; use 'auto' or 'cpu'"):
            resolve_device(name)
    if count:
        assert resolve_device("cuda:1") == torch.device("cuda:1")
    else:
        with pytest.raises(ValueError, match="does not have"):
            resolve_device("cuda")
