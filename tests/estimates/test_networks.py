"""What is said beforehand of runs with pretrained networks."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_what_where.activations.catalogue import CATALOGUE
from napari_what_where.activations.networks import network
from napari_what_where.affinity import collapse
from napari_what_where.estimates import networks
from napari_what_where.estimates.networks import look_of, operations
from napari_what_where.estimates.resources import NotEnoughMemory, check_fits, estimate_run
from napari_what_where.working_plane.object_scale import plan_plane
from tests.activations.true_models import backbone_of

SHAPE = (512, 512)
VIEW = plan_plane(SHAPE)


def look(name="stable-diffusion-1.5", pathway="where", shape=SHAPE, smallest_object=None, **options):
    return look_of(name, options, shape, plan_plane(shape, smallest_object), pathway)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_operations_go_through_what_was_counted(linear, square):
    small, large = linear + square, 4 * linear + 16 * square
    assert operations((small, large), 1) == pytest.approx(small)
    assert operations((small, large), 4) == pytest.approx(large)
    assert operations((small, large), 0.25) == pytest.approx(linear / 4 + square / 16)


def test_figures_are_those_of_the_networks():
    assert network.OBJECT_TOKENS == networks.OBJECT_TOKENS
    assert network.MOST_ENLARGED == networks.MOST_ENLARGED
    assert collapse.DENSE_TOKENS == networks.DENSE_TOKENS


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_resolution_is_the_one_that_the_model_runs_at(name, tmp_path):
    backbone = backbone_of(name, None, tmp_path, empty=True)
    default = CATALOGUE[name].resolution if "Transformer2D" in backbone.class_name else backbone.resolution
    assert look(name).tokens == pytest.approx((default / backbone.token) ** 2, rel=0.02)


def test_what_makes_a_run_longer_or_larger():
    usual = look()
    assert look(timesteps=[50, 150]).seconds > 1.3 * usual.seconds
    assert look(resolution=1024).seconds > 4 * usual.seconds
    assert look(resolution=1024).bytes == 4 * usual.bytes
    assert look(pathway="what").joint_bytes == 0 < usual.joint_bytes
    assert look("stable-diffusion-xl").weight_bytes > 2 * usual.weight_bytes
    small = look(shape=(4000, 4000), smallest_object=30)
    assert small.tokens == pytest.approx(4 * usual.tokens)
    assert look(shape=(4000, 4000)).tokens == usual.tokens


def test_filters_are_no_network():
    assert look("filters") is None
    assert look("org/model") is None


def test_a_model_that_cannot_fit_is_refused_with_what_would_help():
    estimate = estimate_run(SHAPE, "uint8", channels=3, backbone="flux-dev", device="cpu")
    with pytest.raises(NotEnoughMemory, match="smaller model or a lower resolution"):
        check_fits(estimate, available=8 * 2**30)


def test_estimating_needs_no_torch():
    code = (
        "import sys; from napari_what_where.estimates.resources import estimate_run;"
        "estimate_run((512, 512), 'uint8', backbone='flux-dev'); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
