"""Cancellation reaches into long computations that have no report of their own."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_what_where.activations.types import TokenActivations
from napari_what_where.affinity import attention, operator
from napari_what_where.affinity.joint import joint_affinity
from napari_what_where.embedding.spectral import spectral_embedding
from napari_what_where.progress import Cancelled, Progress, checkpoint, checkpoints


def test_a_checkpoint_reports_the_progress_of_the_innermost_block():
    told = []
    outer, inner = Progress("outer", 1, 2), Progress("inner", 3, 4)
    checkpoint()
    with checkpoints(told.append, outer):
        checkpoint()
        with checkpoints(told.append, inner):
            checkpoint()
        checkpoint()
    checkpoint()
    assert told == [outer, inner, outer]


def test_checkpoints_end_with_an_exception_and_stay_in_their_thread():
    told = []

    def fail_beside_another_thread():
        with checkpoints(told.append, Progress("stage", 0, 0)):
            thread = threading.Thread(target=checkpoint)
            thread.start()
            thread.join()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_beside_another_thread()
    checkpoint()
    assert told == []


def layer() -> TokenActivations:
    query, key, value = torch.randn(3, 2, 60, 4, generator=torch.Generator().manual_seed(0))
    return TokenActivations("layer", (6, 10), query, key, value)


@pytest.mark.parametrize("kernel", ["cosine", "exp"])
@pytest.mark.parametrize("dense", [True, False])
def test_cancel_inside_one_large_layer(monkeypatch, kernel, dense):
    """The third report comes from within the layer: its tiles, or the calls of fused attention."""
    monkeypatch.setattr(operator, "TILE_ELEMENTS", 60)
    monkeypatch.setattr(attention, "FUSED_PRODUCTS", 1)
    form = "dense" if dense else "matrix-free"
    told = []

    def report(progress):
        told.append(progress)
        if len(told) == 3:
            raise Cancelled

    with pytest.raises(Cancelled):
        joint_affinity([layer()], "where" if kernel == "cosine" else "what", kernel=kernel, form=form, report=report)
    assert told == [Progress("affinity", 0, 0)] * 3


def test_cancel_inside_one_product_of_a_solver(monkeypatch):
    from napari_what_where.embedding import exact

    monkeypatch.setattr(attention, "FUSED_PRODUCTS", 1)
    monkeypatch.setattr(exact, "DENSE_TOKENS", 1)
    affinity = joint_affinity([layer()], "where", form="matrix-free")
    told = []

    def report(progress):
        told.append(progress)
        if len(told) == 20:
            raise Cancelled

    with pytest.raises(Cancelled):
        spectral_embedding(affinity, 3, report=report)
    # Without cancelling the answer is that of an affinity collapsed into a matrix.
    collapsed = spectral_embedding(joint_affinity([layer()], "where", form="dense"), 3)
    np.testing.assert_allclose(spectral_embedding(affinity, 3).values, collapsed.values, atol=1e-5)
