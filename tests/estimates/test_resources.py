"""Estimates before a run: instant, sensible, and what does not fit is refused with what would."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace

import hypothesis.strategies as st
import pytest
import torch
from hypothesis import given

from napari_what_where.estimates import resources, speed
from napari_what_where.estimates.resources import (
    Estimate,
    NotEnoughMemory,
    check_fits,
    estimate_run,
    readable_seconds,
    remember_speed,
    smaller_settings,
)
from napari_what_where.memory import OutOfMemory

SIDES = st.integers(2, 40_000)
SETTINGS = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["uint8", "uint16", "float32", "float64"]),
        "channels": st.integers(1, 9),
        "count": st.integers(1, 128),
        "smallest_object": st.none() | st.floats(1, 5000),
        "follow_edges": st.booleans(),
        "planes": st.integers(1, 300),
        "objects": st.booleans(),
    }
)


@pytest.fixture(autouse=True)
def _speed_file(tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "speed_file", lambda: tmp_path / "cache" / "speed.json")


def estimate(shape=(1000, 1000), **settings) -> Estimate:
    return estimate_run(shape, settings.pop("dtype", "uint8"), **settings)


# ---------------------------------------------------------------------------------------------------------- the figures


@given(shape=st.tuples(SIDES, SIDES), settings=SETTINGS)
def test_more_work_is_never_estimated_as_less(shape, settings):
    known = estimate(shape, **settings)
    assert known.seconds > 0
    assert known.bytes > 0
    assert (known.planes, known.device_bytes) == (settings["planes"], 0)
    for more in (
        {"channels": settings["channels"] + 6},
        {"count": settings["count"] + 1},
        {"planes": known.planes + 1},
    ):
        larger = estimate(shape, **settings | more)
        assert larger.bytes >= known.bytes
        assert larger.seconds >= known.seconds


@given(shape=st.tuples(SIDES, SIDES), settings=SETTINGS)
def test_the_plane_is_the_one_that_is_worked_on(shape, settings):
    from napari_what_where.working_plane.object_scale import plan_plane

    plane = plan_plane(shape, settings["smallest_object"])
    assert estimate(shape, **settings).working == plane.shape
    assert estimate(shape, **settings).tiles == len(plane.tiles)


def test_a_large_plane_in_tiles_needs_less_than_one_as_large_as_a_whole():
    tiled, view = estimate((16_000, 16_000), smallest_object=24), estimate((1024, 1024))
    times_larger = tiled.working[0] ** 2 / 1024**2
    assert tiled.tiles > 20
    assert tiled.bytes < view.bytes * times_larger / 3
    assert tiled.seconds > view.seconds * times_larger / 5


CODE = """
import sys, time
from napari_what_where.estimates.resources import check_fits, estimate_run
start = time.perf_counter()
check_fits(estimate_run((20000, 20000), "uint16", smallest_object=10), available=10**12)
assert time.perf_counter() - start < 0.5
assert not {"torch", "scipy.ndimage", "skimage"} & set(sys.modules), "slow to import"
"""


def test_estimating_is_instant_and_needs_no_torch():
    subprocess.run([sys.executable, "-c", CODE], check=True)


def test_a_gpu_has_memory_of_its_own(monkeypatch):
    assert estimate(device="cuda").device_bytes > 0
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert estimate(device="auto").device_bytes == estimate(device="cuda:1").device_bytes
    assert estimate(device="cpu").device_bytes == 0
    assert estimate(device="auto").text().endswith("on the graphics card")


@pytest.mark.parametrize("smallest", [0, -3, float("nan"), "small"])
def test_impossible_sizes_are_refused(smallest):
    with pytest.raises((TypeError, ValueError), match="smallest_object is"):
        estimate(smallest_object=smallest)


# ----------------------------------------------------------------------------------------------------------- in words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "under a second"),
        (3.4, "about 3 s"),
        (17, "about 15 s"),
        (58, "about 1 min"),
        (200, "about 3 min"),
        (1500, "about 25 min"),
        (3600, "about 1 hour"),
        (9400, "about 2.5 hours"),
    ],
)
def test_durations_read_as_a_person_says_them(seconds, text):
    assert readable_seconds(seconds) == text


@given(st.floats(1, 1e6))
def test_what_is_said_is_near_what_is_meant(seconds):
    words = readable_seconds(seconds).split()
    unit = {"s": 1, "min": 60, "hour": 3600, "hours": 3600}[words[2]]
    assert float(words[1]) * unit == pytest.approx(seconds, rel=0.34)


def test_an_estimate_in_one_line():
    assert Estimate(3.2, 6 * 2**30 // 10, 0, 1, (10, 10), 1).text() == "about 3 s, 0.6 GiB"
    assert Estimate(3.2, 2**20, 2**31, 1, (10, 10), 1).text() == "about 3 s, 1 MiB, 2.0 GiB on the graphics card"


# ------------------------------------------------------------------------------------------------------ what would fit


@given(shape=st.tuples(SIDES, SIDES), settings=SETTINGS, share=st.floats(0.01, 0.99))
def test_what_is_said_to_fit_does_and_is_not_less_than_needed(shape, settings, share):
    known = estimate(shape, **settings)
    available = int(known.bytes * share)
    with pytest.raises(NotEnoughMemory) as caught:
        check_fits(known, available=available)
    for change in caught.value.fits:
        ((name, value),) = change.items()
        changed = estimate(value, **settings) if name == "part" else estimate(shape, **settings | change)
        check_fits(changed, available=available)
        if name == "planes":
            assert estimate(shape, **settings | {"planes": value + 1}).bytes > 0.95 * available
        if name == "smallest_object":
            assert value > settings["smallest_object"]


def test_the_sentence_says_needed_free_and_what_would_fit():
    known = estimate((20_000, 20_000), smallest_object=12, planes=4)
    with pytest.raises(NotEnoughMemory) as caught:
        check_fits(known, available=known.bytes // 4)
    said = str(caught.value)
    assert said.startswith(f"This run needs about {resources.readable_bytes(known.bytes)} of memory and ")
    assert said.endswith(" would fit.")
    assert said.count(". ") == 0
    assert caught.value.fits
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.fits) == (said, caught.value.fits)


def test_where_nothing_would_fit_that_is_said():
    with pytest.raises(NotEnoughMemory, match=r"close other programs first\.$") as caught:
        check_fits(estimate(), available=2**20)
    assert caught.value.fits == ()


def test_what_fits_passes_and_free_memory_is_asked_for(monkeypatch):
    check_fits(estimate())
    monkeypatch.setattr(resources, "free_memory", lambda device="cpu": 2**20)
    with pytest.raises(NotEnoughMemory, match="1 MiB are free;"):
        check_fits(estimate())


def test_the_memory_of_the_gpu_is_checked(monkeypatch):
    monkeypatch.setattr(resources, "free_memory", lambda device="cpu": 2**20 if device == "cuda:1" else 2**40)
    with pytest.raises(NotEnoughMemory, match="1 MiB are free on the graphics card"):
        check_fits(estimate(device="cuda:1"))
    check_fits(estimate(device="cuda:0"))


# ----------------------------------------------------------------------------------------------------- smaller settings


@given(shape=st.tuples(SIDES, SIDES), settings=SETTINGS)
def test_smaller_settings_need_less_until_there_are_none(shape, settings):
    now = {"count": 4, "smallest_object": settings["smallest_object"]}
    for _ in range(20):
        smaller = smaller_settings(now, shape)
        if smaller is None:
            break
        assert smaller | {"smallest_object": 0} == now | {"smallest_object": 0}
        assert smaller["smallest_object"] > now["smallest_object"]
        assert estimate(shape, **smaller).bytes < 0.85 * estimate(shape, **now).bytes
        now = smaller
    assert smaller_settings(now, shape) is None
    assert estimate(shape, **now | {"smallest_object": 1e6}).bytes >= 0.85 * estimate(shape, **now).bytes or (
        now["smallest_object"] is None
    )


def test_after_a_gpu_the_cpu_is_offered():
    settings = {"device": "auto", "smallest_object": 20}
    assert smaller_settings(settings, (5000, 5000), OutOfMemory("cuda:0")) == settings | {"device": "cpu"}
    assert smaller_settings({"device": "mps"}, (50, 50)) == {"device": "cpu"}
    assert smaller_settings({"device": "cpu"}, (50, 50, 3), OutOfMemory("cpu")) is None
    assert smaller_settings(settings, (5000, 5000), OutOfMemory("cpu"))["smallest_object"] == 48


# --------------------------------------------------------------------------------------------------------------- speed


def test_the_second_run_is_estimated_from_the_first():
    before = estimate()
    remember_speed(before, 3 * before.seconds)
    after = estimate()
    assert after.seconds == pytest.approx(3 * before.seconds)
    assert after.bytes == before.bytes
    remember_speed(after, 12 * before.seconds)
    assert estimate().seconds == pytest.approx(6 * before.seconds)


def test_the_gpu_has_a_speed_of_its_own():
    on_card = estimate(device="cuda")
    remember_speed(on_card, 2 * on_card.seconds)
    assert estimate(device="cpu").speed == 1
    assert estimate(device="cuda").speed == pytest.approx(2)


def test_short_runs_and_nonsense_teach_nothing():
    known = estimate()
    remember_speed(replace(known, seconds=0.1), 5)
    remember_speed(known, 0.1)
    assert estimate().seconds == known.seconds
    remember_speed(known, 1e9)
    assert estimate().speed == speed.SLOWEST


@pytest.mark.parametrize("text", ["", "[]", "{", '{"cpu": "fast"}', '{"cpu": -1.0}', '{"cpu": NaN}', '{"cpu": 1e9}'])
def test_a_spoilt_file_is_ignored_and_replaced(text):
    speed.speed_file().parent.mkdir()
    speed.speed_file().write_text(text)
    known = estimate()
    assert known.speed == 1
    remember_speed(known, 2 * known.seconds)
    assert estimate().speed > 1


def test_a_cache_that_cannot_be_written_is_no_trouble(tmp_path):
    (tmp_path / "cache").write_text("a file")
    remember_speed(estimate(), 100)
    assert estimate().speed == 1


def test_scaling_an_estimate_keeps_the_rest():
    known = estimate()
    assert known.scaled(2).scaled(0.5) == known
    assert known.scaled(2).seconds == 2 * known.seconds
